"""Garbage: what no manifest of a finished run names, and no unfinished run needs. It is found first, deleted on demand.

`census` says what is needed. A commit record is deleted first, durably, then its stale mark, then its objects. So after
a kill at any moment, each commit has all of its objects, and what is left over has no record and is found again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.errors import LostRecordError
from pipeline.output.census import Census, others_beside, take_census
from pipeline.output.layout import DATA, STALE, commit_path, marked_commit, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.superseded import Superseded
from pipeline.storage import NO_OPTIONS, SCRATCH, Storage, open_storage

_SUPERSEDED = "superseded: the last publication consists of other shards"
_ORPHAN = "no commit record names it: an attempt that was stopped left it"
_MARK = "it marks a shard that no longer exists"
_HALF = "half written by a run that died"


@dataclass(frozen=True)
class Garbage:
    """Something that can be deleted.

    Args:
        name: name of the object or folder, relative to the output.
        bytes: size of the object, or of all files in the folder.
        why: why it is garbage.
    """

    name: str
    bytes: int
    why: str


@dataclass(frozen=True)
class GarbageReport:
    """What can be deleted, or was.

    Args:
        garbage: objects that can be deleted, in the order of deletion.
        holder: the run that is working on the output, or None. Objects without a commit record may be its work, and
            are not reported then.
        others: names of files and folders of other people at the top of the output, which are left alone.
    """

    garbage: tuple[Garbage, ...]
    holder: str | None
    others: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of all garbage."""
        return sum(each.bytes for each in self.garbage)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**dataclasses.asdict(self), "bytes": self.bytes}


def find_garbage(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> GarbageReport:
    """What `collect_garbage` would delete. Writes nothing.

    Args:
        url: URL or path of the output.
        options: options for the client of an object store.

    Raises:
        ConfigError: if there is no melmill output, or if it does not say what was published.
        StorageError: if it cannot be read, or a commit record, the manifest or the index is damaged.
    """
    ledger = Ledger(open_storage(url, options))
    ledger.existing_job()
    holder = ledger.storage.holder()
    census = take_census(ledger)
    superseded = tuple(_superseded(ledger.storage, census))
    if holder is not None:
        return GarbageReport(superseded, holder, others_beside(ledger))
    found = (*_half_written(ledger.storage), *superseded, *_left(ledger.storage, census))
    return GarbageReport(found, None, others_beside(ledger))


def collect_garbage(url: str, options: Mapping[str, Any] = NO_OPTIONS, single_writer: bool = False) -> GarbageReport:
    """Delete what no manifest of a finished run names and no unfinished run needs. Returns what it was.

    Wherever it is stopped, the output is whole, and the next call deletes the rest.

    Args:
        url: URL or path of the output.
        options: options for the client of an object store.
        single_writer: whether nothing else writes to the output; see `open_storage`.

    Raises:
        OwnedError: if a run is working on the output.
        ConfigError, StorageError: as from `find_garbage`, or if something cannot be deleted.
    """
    ledger = Ledger(open_storage(url, options, single_writer))
    ledger.existing_job()
    half_written = tuple(_half_written(ledger.storage))  # taking the lock deletes it
    with ledger.storage.lock(f"gc on {socket.gethostname()}, process {os.getpid()}"):
        census = take_census(ledger)
        found = (*_superseded(ledger.storage, census), *_left(ledger.storage, census))
        _delete(ledger, census, found)
    return GarbageReport(half_written + found, None, others_beside(ledger))


def delete_superseded(ledger: Ledger) -> Superseded:
    """Delete the superseded shards of an output that this process has locked, as `collect_garbage` does.

    Objects that other attempts left stay. Wherever it is stopped, the output is whole, and the next call deletes the
    rest. Returns what was deleted.

    Raises:
        StorageError: if something cannot be read or deleted.
    """
    census = take_census(ledger)
    publication = ledger.publication()
    known = set((publication.superseded if publication is not None else None) or {})
    census.orphans = [name for name in census.orphans if shard_of(name) in known]  # of a deletion that was stopped
    found = [*_superseded(ledger.storage, census), *_orphans(ledger.storage, census)]
    _delete(ledger, census, found)
    ledger.forget_superseded()
    return Superseded(len(census.gone), sum(each.bytes for each in found if shard_of(each.name) is not None))


def _delete(ledger: Ledger, census: Census, found: Iterable[Garbage]) -> None:
    """Delete commit records, durably, and then the rest of what was found."""
    names = [each.name for each in found]
    for name in sorted(census.gone):
        ledger.delete_commit(name)
    for name in names:
        ledger.storage.delete(name)
    _take_back(ledger, census, set(names))


def _superseded(storage: Storage, census: Census) -> Iterator[Garbage]:
    """What belongs to superseded commits, in the order of deletion.

    Only objects that a listing of the data folder has: a record cannot name a file elsewhere.
    """
    names = [commit_path(name) for name in sorted(census.superseded)]
    names += [path for path, name in _marks(storage) if name in census.superseded]
    names += [
        name
        for name in storage.list(DATA)
        if name in census.replaced and name not in census.needed and shard_of(name) is not None
    ]
    return (Garbage(name, _size(storage, name), _SUPERSEDED) for name in names)


def _left(storage: Storage, census: Census) -> Iterator[Garbage]:
    """Stale marks and objects that belong to no commit."""
    commits = census.kept | census.superseded
    for path, name in _marks(storage):
        if name not in commits:
            yield Garbage(path, _size(storage, path), _MARK)
    yield from _orphans(storage, census)


def _orphans(storage: Storage, census: Census) -> Iterator[Garbage]:
    return (Garbage(name, _size(storage, name), _ORPHAN) for name in census.orphans)


def _marks(storage: Storage) -> Iterator[tuple[str, str | None]]:
    """The path of each stale mark with the name of its commit; None for a file whose name is not that of a mark."""
    return ((path, marked_commit(path)) for path in storage.list(STALE))


def _half_written(storage: Storage) -> Iterator[Garbage]:
    """The folders in scratch."""
    depth = SCRATCH.count("/") + 2
    for folder, names in groupby(storage.list(SCRATCH), key=lambda name: "/".join(name.split("/")[:depth])):
        yield Garbage(folder, sum(_size(storage, name) for name in names), _HALF)


def _size(storage: Storage, name: str) -> int:
    try:
        with storage.read(name) as file:
            return file.seek(0, io.SEEK_END)
    except FileNotFoundError:
        return 0  # it was deleted meanwhile


def _take_back(ledger: Ledger, census: Census, deleted: set[str]) -> None:
    """Undo commits that attempts made meanwhile, after their run had ended, if objects of them were deleted."""
    for name in set(ledger.commit_names()) - census.kept:
        with contextlib.suppress(LostRecordError):  # the attempt took it back itself
            if not deleted.isdisjoint(ledger.commit(name).head.objects):
                ledger.delete_commit(name)
