"""Garbage: what no manifest of a finished run names, and no unfinished run needs. It is found first, deleted on demand.

A commit is needed if (a) the last publication contains it, (b) the manifest or the index names one of its objects, or
(c) the run that published last, or a later one, made it: a later run may not be finished. All other commits are
superseded. Manifest and index differ from the last publication after a run that was stopped while it published.

A commit record is deleted first, durably, then its stale mark, then its objects. So after a kill at any moment, each
commit has all of its objects, and what is left over has no record and is found again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.errors import ConfigError, LostRecordError, StorageError
from pipeline.output.layout import DATA, INDEX, MANIFEST, STALE, commit_path, marked_commit, of_others, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.shard_index import indexed_shards
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
    census = _census(ledger)
    superseded = tuple(_superseded(ledger.storage, census))
    if holder is not None:
        return GarbageReport(superseded, holder, census.others)
    found = (*_half_written(ledger.storage), *superseded, *_left(ledger.storage, census))
    return GarbageReport(found, None, census.others)


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
        census = _census(ledger)
        found = (*_superseded(ledger.storage, census), *_left(ledger.storage, census))
        for name in sorted(census.gone):
            ledger.delete_commit(name)
        for each in found:
            ledger.storage.delete(each.name)
        _take_back(ledger, census, {each.name for each in found})
    return GarbageReport(half_written + found, None, census.others)


@dataclass
class _Census:
    """Commits and objects, sorted by whether they are needed.

    Args:
        kept: names of commits that are needed.
        needed: names of the objects of `kept`.
        listed: shards as the manifest or the index names them: tars, and folders of files.
        superseded: names of commits that are not needed.
        replaced: names of the objects of `superseded`.
        orphans: names of objects that no commit names.
        strangers: files and folders at the top of the output that are not melmill's.
    """

    kept: set[str]
    needed: set[str]
    listed: set[str]
    superseded: set[str]
    replaced: set[str]
    orphans: list[str]
    strangers: set[str]

    @property
    def others(self) -> tuple[str, ...]:
        """What is not melmill's, sorted."""
        return tuple(sorted(self.strangers))

    @property
    def gone(self) -> set[str]:
        """Commits whose records must be gone before objects are deleted.

        Those of orphans are among them: a process may have deleted their records and died before that was durable.
        """
        return self.superseded | {shard for name in self.orphans if (shard := shard_of(name)) is not None} - self.kept


def _census(ledger: Ledger) -> _Census:
    publication = ledger.publication()
    listed = _listed(ledger.storage)
    if publication is None and listed is not None:
        raise ConfigError(
            f"{ledger.storage.url} does not say which commits its {MANIFEST} consists of. Run the job again: that "
            "publishes it again, and makes nothing that is there already"
        )
    listed = (listed or set()) | _indexed(ledger)
    published = set(publication.commits) if publication is not None else set()
    generation = publication.generation if publication is not None else 0
    census = _Census(set(), set(), listed, set(), set(), [], set())
    for record in ledger.commits():
        name, objects = record.name, {each.name for each in record.objects}
        if name in published or record.generation >= generation or any(_is_listed(each, census) for each in objects):
            census.kept.add(name)
            census.needed |= objects
        else:
            census.superseded.add(name)
            census.replaced |= objects
    for name in ledger.storage.list(""):
        if (other := of_others(name)) is not None:
            census.strangers.add(other)
            continue
        known = name in census.needed or name in census.replaced
        if not known and not _is_listed(name, census) and shard_of(name) is not None:
            census.orphans.append(name)
    return census


def _listed(storage: Storage) -> set[str] | None:
    """The shards that manifest.jsonl names; None if there is no manifest."""
    shards = set()
    try:
        with storage.read(MANIFEST) as file:
            for number, line in enumerate(file, 1):
                try:
                    shards.add(str(json.loads(line)["shard"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise StorageError(
                        f"line {number} of {MANIFEST} of {storage.url} cannot be read: {error!r}. Delete {MANIFEST}, "
                        "then run again to publish it again"
                    ) from error
    except FileNotFoundError:
        return None
    return shards


def _indexed(ledger: Ledger) -> set[str]:
    """The shards that index.json names; none if it is not there, or is a file that no run has written."""
    try:
        return indexed_shards(ledger.storage)
    except FileNotFoundError:
        return set()
    except ValueError as error:
        if not ledger.owns_index():
            return set()
        raise StorageError(
            f"{INDEX} of {ledger.storage.url} cannot be read: {error}. Delete {INDEX}, then run again to publish it "
            "again"
        ) from error


def _is_listed(name: str, census: _Census) -> bool:
    """Whether the manifest or the index names an object: as a tar, or as a file in the folder of a shard."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in census.listed for count in range(1, len(parts) + 1))


def _superseded(storage: Storage, census: _Census) -> Iterator[Garbage]:
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


def _left(storage: Storage, census: _Census) -> Iterator[Garbage]:
    """Stale marks and objects that belong to no commit."""
    commits = census.kept | census.superseded
    for path, name in _marks(storage):
        if name not in commits:
            yield Garbage(path, _size(storage, path), _MARK)
    for name in census.orphans:
        yield Garbage(name, _size(storage, name), _ORPHAN)


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


def _take_back(ledger: Ledger, census: _Census, deleted: set[str]) -> None:
    """Undo commits that attempts made meanwhile, after their run had ended, if objects of them were deleted."""
    for name in set(ledger.commit_names()) - census.kept:
        with contextlib.suppress(LostRecordError):  # the attempt took it back itself
            if not deleted.isdisjoint(each.name for each in ledger.commit_record(name).objects):
                ledger.delete_commit(name)
