"""The items to be packed, listed before any work: files of a folder, or entries of a list, and their keys."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, MelmillError, StorageError
from pipeline.melspec import MelSpec
from pipeline.pack.folders import walk
from pipeline.pack.result import PackFailure
from pipeline.stores.keys import bad_key

MelBlocks = Callable[[Any], Iterator[NDArray[np.float32]]]
"""A function that gives the mel at the place of an item in blocks `[n_mels, frames] float32`, or raises `SourceError`.
Picklable."""


class SourceError(MelmillError):
    """An item cannot be packed; the message says why. It is listed as a failure, and the others are packed."""


@dataclass(frozen=True, slots=True)
class PackItem:
    """One utterance to be packed: a mel, or a stretch of audio.

    Args:
        key: key of the utterance; for a file, its path below the folder with "/" and without extension.
        path: name of the item in messages; for a file, its path below the folder.
        stamp: text that changes when the file of the item is rewritten.
        place: place of the item, as the corpus's `MelBlocks` takes it; picklable.
        meta: metadata that the source has of the item (text, speaker, ...), a JSON object; "" if it has none.
    """

    key: str
    path: str
    stamp: str
    place: Any
    meta: str = ""


@dataclass(frozen=True)
class Sources:
    """All items of a corpus.

    Args:
        origin: path of the folder or list, or URL of the store, that the items were found in.
        items: items to be packed, sorted by key.
        failures: items that cannot be packed, as the listing already shows.
        ignored: number of files with other extensions.
        clutter: number of files that machines leave lying about.
        note: text that says what is strange in the metadata of the items; empty if nothing is.
    """

    origin: str
    items: tuple[PackItem, ...]
    failures: tuple[PackFailure, ...] = ()
    ignored: int = 0
    clutter: int = 0
    note: str = ""

    def digest(self) -> str:
        """A digest that changes when an item is added, removed or rewritten."""
        state = hashlib.blake2b(digest_size=16)
        for item in self.items:
            state.update(f"{item.path}\0{item.stamp}\0".encode())
        return state.hexdigest()

    def with_metadata(self, rows: Mapping[str, str]) -> Sources:
        """The same items with this metadata, whose fields override those that the source has.

        Args:
            rows: JSON object for the keys of some items.
        """
        return replace(self, items=tuple(_described(item, rows) for item in self.items)) if rows else self


@dataclass(frozen=True)
class Corpus:
    """A corpus to be packed: its items, and how their mels are made.

    Args:
        sources: all items of the corpus.
        blocks: function that makes the mel of an item.
        spec: mel contract of the mels.
        parameters: all parameters that decide, together with the spec, what the mels will be.
    """

    sources: Sources
    blocks: MelBlocks
    spec: MelSpec
    parameters: Mapping[str, Any]


def _described(item: PackItem, rows: Mapping[str, str]) -> PackItem:
    if (given := rows.get(item.key)) is None:
        return item
    own = json.loads(item.meta) if item.meta else {}
    return replace(item, meta=json.dumps(own | json.loads(given)) if own else given)


@dataclass
class Listing:
    """The items found so far; no two have the same key.

    Args:
        origin: path of the folder or list, or URL of the store, that they are found in.
        found: items by key.
        failures: items that cannot be packed.
        way_out: text that says what to do if two items would get the same key.
    """

    origin: str
    found: dict[str, PackItem] = field(default_factory=dict)
    failures: list[PackFailure] = field(default_factory=list)
    way_out: str = "rename or remove one of them"

    def add(self, item: PackItem) -> None:
        """Takes one item. An item that is equal to another one, but for its name in messages, is the same.

        Raises:
            ConfigError: if another item has its key.
        """
        if (other := self.found.get(item.key)) is not None:
            if replace(other, path=item.path) == item:
                return
            raise ConfigError(
                f"{other.path} and {item.path} in {self.origin} would both get the key {item.key!r}; {self.way_out}"
            )
        if reason := bad_key(item.key):
            self.fail(item.path, reason)
        else:
            self.found[item.key] = item

    def fail(self, path: str, reason: str) -> None:
        """Takes an item that cannot be packed."""
        self.failures.append(PackFailure(path.encode("utf-8", "backslashreplace").decode(), reason))

    def sources(self, ignored: int = 0, clutter: int = 0, note: str = "") -> Sources:
        """All items that were found, sorted by key."""
        items = tuple(self.found[key] for key in sorted(self.found))
        return Sources(self.origin, items, tuple(self.failures), ignored, clutter, note)


def file_stamp(path: str) -> str:
    """A text that changes when a file is rewritten: its size and time of change.

    Raises:
        OSError: if the file is not there.
    """
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}"


def stamped_bytes(stamp: str) -> int:
    """The size of a file [bytes], which its `file_stamp` begins with."""
    return int(stamp.partition(" ")[0])


def list_sources(
    folder: str, extensions: Container[str], kind: str, unread: Mapping[str, str] = MappingProxyType({})
) -> Sources:
    """The files below a folder that have one of the extensions, in upper or lower case; linked folders are followed.

    What machines leave lying about is only counted.

    Args:
        folder: folder to be packed.
        extensions: extensions in lower case, without dot.
        kind: name of such files in messages.
        unread: other extensions of such files, each with the reason why they are not read. They are failures, except
            where a file of the same key is read.

    Raises:
        ConfigError: if there is no such folder, it has no such file, or two files would get the same key.
        StorageError: if a folder cannot be listed.
    """
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder} is not a folder; give the folder of the {kind} files")
    listing, ignored, unreadable = Listing(folder), 0, dict[str, str]()
    clutter: list[str] = []
    try:
        for path in walk(folder, clutter):
            stem, extension = os.path.splitext(path)
            if extension[1:].lower() in extensions:
                _add_file(listing, folder, path)
            elif extension[1:].lower() in unread:
                unreadable[path] = stem.replace(os.sep, "/")
            else:
                ignored += 1
    except OSError as exc:
        raise StorageError(f"{folder} cannot be listed: {exc}") from exc
    for path, key in unreadable.items():
        if key in listing.found:
            ignored += 1
        else:
            listing.fail(path, unread[os.path.splitext(path)[1][1:].lower()])
    if not listing.found and not listing.failures:
        others = ignored + len(clutter)
        raise ConfigError(f"{folder} has no {kind} files ({others} other files); give the folder of the {kind} files")
    return listing.sources(ignored, len(clutter))


def _add_file(listing: Listing, folder: str, path: str) -> None:
    if not _is_utf8(path):
        listing.fail(os.fsencode(path).decode("utf-8", "backslashreplace"), "its name is not valid UTF-8; rename it")
        return
    full = os.path.join(folder, path)
    if not os.path.isfile(full):
        listing.fail(path, "it is not a file, or a link to a file that is not there")
        return
    key = os.path.splitext(path)[0].replace(os.sep, "/")
    listing.add(PackItem(key, path, file_stamp(full), full))


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
