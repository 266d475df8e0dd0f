"""What a plan must know of all commits: a line for each commit, and columns over the catalogue."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.output.commit_heads import DIGEST_BYTES, CommitHead
from pipeline.output.records import Ingredients, Row, ShardId, ShardRecord
from pipeline.planning.sidecars import Sidecars
from pipeline.stores.base import Catalogue

_DIGEST = np.dtype(f"V{DIGEST_BYTES}")
"""The digest of a mel as one value: compared in a quarter of the time that its bytes take."""


@dataclass(frozen=True, slots=True)
class CommittedShard(ShardId):
    """One commit without its utterances. It takes about a third of a kilobyte of memory.

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
    catalogue: Catalogue,
    heads: Iterable[CommitHead],
    sidecars: Sidecars | None = None,
    record_of: Callable[[str], ShardRecord] | None = None,
) -> CommitIndex:
    """Index commits by the utterances of a catalogue. Takes one head at a time and keeps none.

    Args:
        catalogue: the store's utterances.
        heads: heads of the commits in the order of their names, so that those of one shard number follow each other.
        sidecars: what the JSON files of the shards are to say; None if their utterances have no metadata.
        record_of: gives the record of a commit by name; it is asked where metadata may have changed.
    """
    positions = _Positions(catalogue.keys)
    digests_now = np.ascontiguousarray(catalogue.digests).view(_DIGEST)[:, 0]
    shards: list[CommittedShard] = []
    home = np.full(len(catalogue), -1, np.int32)
    changed = np.zeros(len(catalogue), np.bool_)
    ages = _Ages()
    alike: dict[Ingredients, Ingredients] = {}
    for _, of_one_number in groupby(heads, key=lambda head: head.number):
        newest, line = None, -1
        for head in of_one_number:
            shards.append(_without_utterances(head, alike, sidecars is None or sidecars.unchanged(head)))
            ages.add(head)
            if newest is None or (head.generation, head.name) > (newest.generation, newest.name):
                newest, line = head, len(shards) - 1
        assert newest is not None
        found = positions.find(newest.keys)
        there = found >= 0
        if sidecars is not None and not shards[line].current:
            known = {key: int(at) for key, at in zip(newest.keys, found, strict=True) if at >= 0}
            rows = functools.partial(_rows, record_of, newest.name)
            current, texts_changed = sidecars.compare(newest, known, rows)
            shards[line] = replace(shards[line], current=current, texts_changed=texts_changed)
        taken = found[there]
        digests = np.frombuffer(newest.digests, _DIGEST)[there]
        ours = ~ages.is_newer(home[taken], line)
        taken, digests = taken[ours], digests[ours]
        home[taken] = line
        changed[taken] = digests_now[taken] != digests
    return CommitIndex(tuple(shards), home, changed)


def _rows(record_of: Callable[[str], ShardRecord] | None, name: str) -> Sequence[Row]:
    assert record_of is not None, "metadata is compared with that of the records"
    return record_of(name).rows


def _without_utterances(head: CommitHead, alike: dict[Ingredients, Ingredients], current: bool) -> CommittedShard:
    return CommittedShard(
        number=head.number,
        fingerprint=head.fingerprint,
        revision=head.revision,
        texts=head.texts,
        generation=head.generation,
        ingredients=alike.setdefault(head.ingredients, head.ingredients),
        utterances=len(head.keys),
        failed=head.failed,
        current=current,
        bytes=head.size,
    )


class _Ages:
    """Tells which of two commits that hold an utterance is the newer one: by generation, then by number."""

    def __init__(self) -> None:
        self._generations = array("q")
        self._numbers = array("q")

    def add(self, head: CommitHead) -> None:
        """The next commit."""
        self._generations.append(head.generation)
        self._numbers.append(head.number)

    def is_newer(self, others: NDArray[np.int32], line: int) -> NDArray[np.bool_]:
        """Whether each of some commits is newer than that of a line; -1 stands for no commit."""
        if not (others >= 0).any():  # as in all outputs whose utterances kept their shards
            return np.zeros(len(others), np.bool_)
        ours = (self._generations[line], self._numbers[line])
        newer = [at >= 0 and (self._generations[at], self._numbers[at]) > ours for at in others.tolist()]
        return np.array(newer, np.bool_)


class _Positions:
    """Finds keys in a catalogue.

    Shards hold runs of the catalogue, so a run is looked for behind the last one first. If the keys are elsewhere, they
    are found by their hashes, for 12 bytes an utterance, where a dictionary takes 200.

    Args:
        keys: the catalogue's keys, `[utterances]` of numpy's StringDType.
    """

    def __init__(self, keys: NDArray[Any]) -> None:
        self._keys = keys
        self._next = 0

    @functools.cached_property
    def _hashes(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The hashes of all keys, ascending, and the position of each."""
        hashes = np.fromiter(map(hash, self._keys), np.int64, len(self._keys))
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order.astype(np.int32)

    def find(self, wanted: Sequence[str]) -> NDArray[np.int64]:
        """Position of each key, `[keys] int64`; -1 for keys that are not there."""
        if not wanted:
            return np.empty(0, np.int64)
        run = slice(self._next, self._next + len(wanted))
        if self._keys[run].tolist() != wanted:
            first = self._by_hash(wanted[:1])[0]
            run = slice(first, first + len(wanted))
            if first < 0 or self._keys[run].tolist() != wanted:
                return np.array(self._by_hash(wanted), np.int64)
        self._next = run.stop
        return np.arange(run.start, run.stop)

    def _by_hash(self, wanted: Sequence[str]) -> list[int]:
        hashes, order = self._hashes
        of_wanted = np.fromiter(map(hash, wanted), np.int64, len(wanted))
        first = np.searchsorted(hashes, of_wanted, side="left").tolist()
        stop = np.searchsorted(hashes, of_wanted, side="right").tolist()
        return [self._find(key, order[begin:end]) for key, begin, end in zip(wanted, first, stop, strict=True)]

    def _find(self, key: str, candidates: NDArray[np.int32]) -> int:
        """Position of a key among those with the same hash. There is seldom more than one."""
        return next((int(at) for at in candidates if self._keys[at] == key), -1)
