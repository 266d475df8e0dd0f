"""What the plan must know of all that is committed: a line a commit, and columns over the catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.output.records import Ingredients, ShardId, ShardRecord
from pipeline.stores.base import Catalogue


@dataclass(frozen=True, slots=True)
class CommittedShard(ShardId):
    """One commit record, without its rows: a quarter of a kilobyte.

    Args:
        number, fingerprint, revision: as in ShardId.
        generation: of the run that made it.
        ingredients: it was made with; one object for all that were made alike.
        utterances: made or quarantined in it.
        failed: how many of them were quarantined.
    """

    generation: int
    ingredients: Ingredients
    utterances: int
    failed: int = 0


@dataclass(frozen=True)
class CommitIndex:
    """All commit records of an output, held against a catalogue: five bytes an utterance, however often it was made.

    Args:
        shards: a line for each commit record.
        home: `[utterances] int32`, by position in the catalogue: which of `shards` has the utterance, of each number
            only the newest counting; -1 for none.
        changed: `[utterances] bool`, whether that was made of another mel.
    """

    shards: tuple[CommittedShard, ...]
    home: NDArray[np.int32]
    changed: NDArray[np.bool_]


def index_commits(catalogue: Catalogue, records: Iterable[ShardRecord]) -> CommitIndex:
    """What commit records say of the utterances of a catalogue. Takes them one at a time and keeps no row.

    Args:
        catalogue: the store's utterances.
        records: in the order of their names, so that those of one number stand together.
    """
    positions = _Positions(catalogue.keys)
    shards: list[CommittedShard] = []
    home = np.full(len(catalogue), -1, np.int32)
    changed = np.zeros(len(catalogue), np.bool_)
    alike: dict[Ingredients, Ingredients] = {}
    for _, of_one_number in groupby(records, key=lambda record: record.shard):
        newest, line = None, -1
        for record in of_one_number:
            shards.append(_without_rows(record, alike))
            if newest is None or (record.generation, record.name) > (newest.generation, newest.name):
                newest, line = record, len(shards) - 1
        assert newest is not None
        digests = dict(_digests(newest))
        for position, digest in zip(positions.find(list(digests)), digests.values(), strict=True):
            if position < 0 or _is_newer(shards, int(home[position]), line):
                continue
            home[position] = line
            changed[position] = bytes(catalogue.digests[position]).hex() != digest
    return CommitIndex(tuple(shards), home, changed)


def _without_rows(record: ShardRecord, alike: dict[Ingredients, Ingredients]) -> CommittedShard:
    return CommittedShard(
        number=record.shard,
        fingerprint=record.fingerprint,
        revision=record.revision,
        generation=record.generation,
        ingredients=alike.setdefault(record.ingredients, record.ingredients),
        utterances=len(record.rows) + len(record.failures),
        failed=len(record.failures),
    )


def _digests(record: ShardRecord) -> Iterator[tuple[str, str]]:
    yield from ((row.key, row.source.digest) for row in record.rows)
    yield from ((failure.key, failure.source.digest) for failure in record.failures)


def _is_newer(shards: Sequence[CommittedShard], one: int, other: int) -> bool:
    """Whether an utterance that the newest commits of two numbers hold is rather that of the first; -1 is no commit."""
    return one >= 0 and (shards[one].generation, shards[one].number) > (shards[other].generation, shards[other].number)


class _Positions:
    """Finds keys in a catalogue: 12 bytes an utterance, where a dictionary takes 200.

    Args:
        keys: `[utterances]` of numpy's StringDType.
    """

    def __init__(self, keys: NDArray[Any]) -> None:
        self._keys = keys
        hashes = np.fromiter(map(hash, keys), np.int64, len(keys))
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def find(self, wanted: Sequence[str]) -> list[int]:
        """Position of each key; -1 for those that are not there."""
        hashes = np.fromiter(map(hash, wanted), np.int64, len(wanted))
        first = np.searchsorted(self._hashes, hashes, side="left").tolist()
        stop = np.searchsorted(self._hashes, hashes, side="right").tolist()
        return [self._find(*each) for each in zip(wanted, first, stop, strict=True)]

    def _find(self, key: str, first: int, stop: int) -> int:
        """Among those of the same hash, which is seldom more than one."""
        return next((int(at) for at in self._order[first:stop] if self._keys[at] == key), -1)
