"""Garbage: what no manifest of a finished run names, and no unfinished run needs. Found first; deleted when asked.

Needed are the commits that the last publication consists of, those whose objects its manifest names, and those of its
own run and later ones, which are finished work of a run that is not. Other commits of earlier runs are superseded.

Order: a commit record goes, durably, then its stale mark, then its objects. So whatever is killed whenever, a commit
has all of its objects, and what is left has no record and is found again.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.errors import ConfigError, StorageError
from pipeline.output.layout import DATA, MANIFEST, STALE, commit_path, marked_commit, shard_of
from pipeline.output.ledger import Ledger
from pipeline.storage import NO_OPTIONS, SCRATCH, Storage, open_storage

_SUPERSEDED = "superseded: the last publication is made of other shards"
_ORPHAN = "no commit record names it: left by an attempt that was stopped"
_MARK = "it marks a shard that is no longer there"
_HALF = "half written by a run that died"


@dataclass(frozen=True)
class Garbage:
    """Something that can be deleted.

    Args:
        name: relative to the output.
        bytes: its size.
        why: it is garbage, in words.
    """

    name: str
    bytes: int
    why: str


@dataclass(frozen=True)
class GarbageReport:
    """What can be deleted, or was.

    Args:
        garbage: in the order of deletion.
        holder: the run that goes on meanwhile, in its own words, or None. What has no commit record yet may be its
            work, and is not reported then.
    """

    garbage: tuple[Garbage, ...]
    holder: str | None

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(each.bytes for each in self.garbage)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**dataclasses.asdict(self), "bytes": self.bytes}


def find_garbage(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> GarbageReport:
    """What `collect_garbage` would delete. Writes nothing.

    Args:
        url: of the output.
        options: for the client of an object store.

    Raises:
        ConfigError: if there is no melmill output, or it does not say what was published.
        StorageError: if it cannot be read, or a commit record or the manifest is damaged.
    """
    ledger = Ledger(open_storage(url, options))
    ledger.existing_job()
    holder = ledger.storage.holder()
    census = _census(ledger)
    superseded = tuple(_superseded(ledger.storage, census))
    if holder is not None:
        return GarbageReport(superseded, holder)
    return GarbageReport((*_half_written(ledger.storage), *superseded, *_left(ledger.storage, census)), None)


def collect_garbage(url: str, options: Mapping[str, Any] = NO_OPTIONS, single_writer: bool = False) -> GarbageReport:
    """Delete what no manifest of a finished run names and no unfinished run needs; says what it was.

    Where it is stopped, the output is whole, and the next time deletes the rest.

    Args:
        url: of the output.
        options: for the client of an object store.
        single_writer: see `open_storage`.

    Raises:
        OwnedError: if a run is working on the output.
        ConfigError, StorageError: as `find_garbage`; and if something cannot be deleted.
    """
    ledger = Ledger(open_storage(url, options, single_writer))
    ledger.existing_job()
    half_written = tuple(_half_written(ledger.storage))  # whoever takes the lock deletes it
    with ledger.storage.lock(f"gc on {socket.gethostname()}, process {os.getpid()}"):
        census = _census(ledger)
        found = (*_superseded(ledger.storage, census), *_left(ledger.storage, census))
        for name in sorted(census.gone):
            ledger.delete_commit(name)
        for each in found:
            ledger.storage.delete(each.name)
        _take_back(ledger, census, {each.name for each in found})
    return GarbageReport(half_written + found, None)


@dataclass
class _Census:
    """Commits and objects, sorted out.

    Args:
        kept: names of commits that are needed.
        needed: names of their objects.
        listed: what the manifest names as shards: tars, and folders of files.
        superseded: names of commits that are not needed.
        replaced: names of their objects.
        orphans: names of objects that no commit names.
    """

    kept: set[str]
    needed: set[str]
    listed: set[str]
    superseded: set[str]
    replaced: set[str]
    orphans: list[str]

    @property
    def gone(self) -> set[str]:
        """Commits that must not be there when objects are deleted.

        Those of orphans too: whoever deleted their records may have died before that was durable.
        """
        return self.superseded | {shard for name in self.orphans if (shard := shard_of(name)) is not None} - self.kept


def _census(ledger: Ledger) -> _Census:
    publication = ledger.publication()
    listed = _listed(ledger.storage)
    if publication is None and listed is not None:
        raise ConfigError(
            f"{ledger.storage.url} does not say which commits its {MANIFEST} consists of. Run the job again: that "
            "publishes it anew, and makes nothing that is there already"
        )
    published = set(publication.commits) if publication is not None else set()
    generation = publication.generation if publication is not None else 0
    census = _Census(set(), set(), listed or set(), set(), set(), [])
    for name in ledger.commit_names():
        record = ledger.commit_record(name)
        objects = {each.name for each in record.objects}
        if name in published or record.generation >= generation or any(_is_listed(each, census) for each in objects):
            census.kept.add(name)
            census.needed |= objects
        else:
            census.superseded.add(name)
            census.replaced |= objects
    for name in ledger.storage.list(DATA):
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
                        "then run again to publish it anew"
                    ) from error
    except FileNotFoundError:
        return None
    return shards


def _is_listed(name: str, census: _Census) -> bool:
    """Whether the manifest names an object: as a tar, or as a file in the folder of a shard."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in census.listed for count in range(1, len(parts) + 1))


def _superseded(storage: Storage, census: _Census) -> Iterator[Garbage]:
    """In the order of deletion. Objects only as they were listed: none leaves its place, whatever records say."""
    names = [commit_path(name) for name in sorted(census.superseded)]
    names += [path for path, name in _marks(storage) if name in census.superseded]
    names += [
        name
        for name in storage.list(DATA)
        if name in census.replaced and name not in census.needed and shard_of(name) is not None
    ]
    return (Garbage(name, _size(storage, name), _SUPERSEDED) for name in names)


def _left(storage: Storage, census: _Census) -> Iterator[Garbage]:
    """What belongs to no commit."""
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
    """What lies in scratch, by folder."""
    depth = SCRATCH.count("/") + 2
    for folder, names in groupby(storage.list(SCRATCH), key=lambda name: "/".join(name.split("/")[:depth])):
        yield Garbage(folder, sum(_size(storage, name) for name in names), _HALF)


def _size(storage: Storage, name: str) -> int:
    try:
        with storage.read(name) as file:
            return file.seek(0, io.SEEK_END)
    except FileNotFoundError:
        return 0  # it went meanwhile


def _take_back(ledger: Ledger, census: _Census, deleted: set[str]) -> None:
    """Undo commits that came meanwhile, of attempts that outlived their run, if what they name was deleted."""
    for name in ledger.commit_names():
        if name not in census.kept and not deleted.isdisjoint(each.name for each in ledger.commit_record(name).objects):
            ledger.delete_commit(name)
