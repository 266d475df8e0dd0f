"""What a plan must know of all commits: a line for each commit, and columns over the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.output.records import Ingredients, ShardId, ShardRecord
from pipeline.planning.sidecars import Sidecars
from pipeline.stores.base import Catalogue


@dataclass(frozen=True, slots=True)
class CommittedShard(ShardId):
    """One commit record without its rows. It takes about a third of a kilobyte of memory.

    Args:
        number, fingerprint, revision, texts: the identity of the shard; see ShardId.
        generation: number of the run that made it.
        ingredients: ingredients that it was made with; one object for all shards that were made alike.
        utterances: number of utterances that were made or quarantined in it.
        failed: number of them that were quarantined.
        current: whether its JSON files are known to say what they are to say.
        texts_changed: number of its utterances whose metadata has changed since; 0 if it is not the newest of its
            number.
        bytes: size of its objects.
    """

    generation: int
    ingredients: Ingredients
    utterances: int
    failed: int = 0
    current: bool = False
    texts_changed: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class CommitIndex:
    """All commit records of an output, indexed by the utterances of a catalogue.

    It takes five bytes for each utterance, however often that was made.

    Args:
        shards: a line for each commit record.
        home: `[utterances] int32`, by position in the catalogue: index in `shards` of the commit that has the
            utterance, -1 if none has it. Of the commits with one shard number, only the newest counts.
        changed: `[utterances] bool`, whether that commit was made from another mel.
    """

    shards: tuple[CommittedShard, ...]
    home: NDArray[np.int32]
    changed: NDArray[np.bool_]


def index_commits(
    catalogue: Catalogue, records: Iterable[ShardRecord], sidecars: Sidecars | None = None
) -> CommitIndex:
    """Index commit records by the utterances of a catalogue. Takes one record at a time and keeps no row.

    Args:
        catalogue: the store's utterances.
        records: commit records in the order of their names, so that those of one shard number follow each other.
        sidecars: what the JSON files of the shards are to say; None if their utterances have no metadata.
    """
    positions = _Positions(catalogue.keys)
    shards: list[CommittedShard] = []
    home = np.full(len(catalogue), -1, np.int32)
    changed = np.zeros(len(catalogue), np.bool_)
    alike: dict[Ingredients, Ingredients] = {}
    for _, of_one_number in groupby(records, key=lambda record: record.shard):
        newest, line = None, -1
        for record in of_one_number:
            shards.append(_without_rows(record, alike, sidecars is None or sidecars.unchanged(record)))
            if newest is None or (record.generation, record.name) > (newest.generation, newest.name):
                newest, line = record, len(shards) - 1
        assert newest is not None
        digests = dict(_digests(newest))
        found = dict(zip(digests, positions.find(list(digests)), strict=True))
        if sidecars is not None:
            current, texts_changed = sidecars.compare(newest, {key: at for key, at in found.items() if at >= 0})
            shards[line] = replace(shards[line], current=current, texts_changed=texts_changed)
        for position, digest in zip(found.values(), digests.values(), strict=True):
            if position < 0 or _is_newer(shards, int(home[position]), line):
                continue
            home[position] = line
            changed[position] = bytes(catalogue.digests[position]).hex() != digest
    return CommitIndex(tuple(shards), home, changed)


def _without_rows(record: ShardRecord, alike: dict[Ingredients, Ingredients], current: bool) -> CommittedShard:
    return CommittedShard(
        number=record.shard,
        fingerprint=record.fingerprint,
        revision=record.revision,
        texts=record.texts,
        generation=record.generation,
        ingredients=alike.setdefault(record.ingredients, record.ingredients),
        utterances=len(record.rows) + len(record.failures),
        failed=len(record.failures),
        current=current,
        bytes=record.size,
    )


def _digests(record: ShardRecord) -> Iterator[tuple[str, str]]:
    yield from ((row.key, row.source.digest) for row in record.rows)
    yield from ((failure.key, failure.source.digest) for failure in record.failures)


def _is_newer(shards: Sequence[CommittedShard], one: int, other: int) -> bool:
    """Whether the first of two commits that hold an utterance is the newer one; -1 stands for no commit."""
    return one >= 0 and (shards[one].generation, shards[one].number) > (shards[other].generation, shards[other].number)


class _Positions:
    """Finds keys in a catalogue. It takes 12 bytes for each utterance, where a dictionary takes 200.

    Args:
        keys: the catalogue's keys, `[utterances]` of numpy's StringDType.
    """

    def __init__(self, keys: NDArray[Any]) -> None:
        self._keys = keys
        hashes = np.fromiter(map(hash, keys), np.int64, len(keys))
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def find(self, wanted: Sequence[str]) -> list[int]:
        """Position of each key; -1 for keys that are not there."""
        hashes = np.fromiter(map(hash, wanted), np.int64, len(wanted))
        first = np.searchsorted(self._hashes, hashes, side="left").tolist()
        stop = np.searchsorted(self._hashes, hashes, side="right").tolist()
        return [self._find(*each) for each in zip(wanted, first, stop, strict=True)]

    def _find(self, key: str, first: int, stop: int) -> int:
        """Position of a key among those with the same hash. There is seldom more than one."""
        return next((int(at) for at in self._order[first:stop] if self._keys[at] == key), -1)
