"""What is to be packed, listed before any work: the files of a folder, or what a list names, and their keys."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, MelmillError, StorageError
from pipeline.melspec import MelSpec
from pipeline.pack.result import PackFailure
from pipeline.stores.common import MAX_KEY_BYTES
from pipeline.stores.metadata_lists import Metadata

MelBlocks = Callable[[Any], Iterator[NDArray[np.float32]]]
"""Gives the mel at a source's place in blocks `[n_mels, k] float32`; raises `SourceError`. Picklable."""


class SourceError(MelmillError):
    """A source cannot be packed; the message says why. It is listed as a failure and the others go on."""


@dataclass(frozen=True, slots=True)
class PackItem:
    """One mel to be packed, or one stretch of audio.

    Args:
        key: of the utterance; for a file, its path below the folder with "/" and without extension.
        path: what it is called in messages; for a file, its path below the folder.
        stamp: changes when the source is rewritten.
        place: where it is, as the corpus's `MelBlocks` takes it; picklable.
        meta: what the source itself says (text, speaker, ...), a JSON object; "" if nothing.
    """

    key: str
    path: str
    stamp: str
    place: Any
    meta: str = ""


@dataclass(frozen=True)
class Sources:
    """All sources of a corpus, sorted by key.

    Args:
        origin: the folder, list or store that they were found in.
        files: to be packed.
        failures: sources that cannot be, as the listing already shows.
        ignored: number of files with other extensions.
    """

    origin: str
    files: tuple[PackItem, ...]
    failures: tuple[PackFailure, ...] = ()
    ignored: int = 0

    def digest(self) -> str:
        """What changes when a source is added, removed or rewritten."""
        state = hashlib.blake2b(digest_size=16)
        for source in self.files:
            state.update(f"{source.path}\0{source.stamp}\0".encode())
        return state.hexdigest()

    def with_metadata(self, metadata: Metadata | None) -> Sources:
        """The same with the metadata of each key, whose fields go over those that the source itself has."""
        if metadata is None:
            return self
        return replace(self, files=tuple(_described(source, metadata.rows) for source in self.files))


@dataclass(frozen=True)
class Corpus:
    """What is to be packed, and how its mels come about.

    Args:
        sources: all of it.
        blocks: makes the mel of one.
        spec: the mel contract.
        parameters: all that decides, with the spec, what the mels will be.
    """

    sources: Sources
    blocks: MelBlocks
    spec: MelSpec
    parameters: Mapping[str, Any]


def _described(source: PackItem, rows: Mapping[str, str]) -> PackItem:
    if (given := rows.get(source.key)) is None:
        return source
    own = json.loads(source.meta) if source.meta else {}
    return replace(source, meta=json.dumps(own | json.loads(given)) if own else given)


@dataclass
class Listing:
    """Sources as they are found, one key each.

    Args:
        origin: the folder, list or store that they are found in.
    """

    origin: str
    found: dict[str, PackItem] = field(default_factory=dict)
    failures: list[PackFailure] = field(default_factory=list)

    def add(self, source: PackItem) -> None:
        """Takes one source.

        Raises:
            ConfigError: if another has its key.
        """
        if (other := self.found.get(source.key)) is not None:
            raise ConfigError(
                f"{other.path} and {source.path} in {self.origin} would both get the key {source.key!r}; "
                "rename or remove one"
            )
        if reason := bad_key(source.key):
            self.fail(source.path, reason)
        else:
            self.found[source.key] = source

    def fail(self, path: str, reason: str) -> None:
        """Notes a source that cannot be packed."""
        self.failures.append(PackFailure(path.encode("utf-8", "backslashreplace").decode(), reason))

    def sources(self, ignored: int = 0) -> Sources:
        """All of them, sorted by key."""
        files = tuple(self.found[key] for key in sorted(self.found))
        return Sources(self.origin, files, tuple(self.failures), ignored)


def bad_key(key: str) -> str | None:
    """Why no utterance can have this key; None if one can."""
    if not key:
        return "its key is empty"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "its key is not valid Unicode"
    return f"its key has {size} bytes, more than {MAX_KEY_BYTES}" if size > MAX_KEY_BYTES else None


def file_stamp(path: str) -> str:
    """What changes when a file is rewritten.

    Raises:
        OSError: if it is not there.
    """
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}"


def list_sources(folder: str, extensions: Container[str], kind: str) -> Sources:
    """The files below a folder that have one of the extensions, in any case; linked folders are followed.

    Args:
        folder: to be packed.
        extensions: without dot, lower-case.
        kind: what such files are called in messages.

    Raises:
        ConfigError: if there is no folder, no such file, or two files would get the same key.
        StorageError: if a folder cannot be listed.
    """
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder} is no folder; give the one that the {kind} files lie in")
    listing, ignored = Listing(folder), 0
    try:
        for path in walk(folder):
            stem, extension = os.path.splitext(path)
            if extension[1:].lower() not in extensions:
                ignored += 1
                continue
            if not _is_utf8(path):
                shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                listing.fail(shown, "its name is not valid UTF-8; rename it")
                continue
            full = os.path.join(folder, path)
            if not os.path.isfile(full):
                listing.fail(path, "it is no file, or a link that leads nowhere")
                continue
            listing.add(PackItem(stem.replace(os.sep, "/"), path, file_stamp(full), full))
    except OSError as exc:
        raise StorageError(f"{folder} cannot be listed: {exc}") from exc
    if not listing.found and not listing.failures:
        raise ConfigError(f"{folder} has no {kind} files ({ignored} others); give the folder that they lie in")
    return listing.sources(ignored)


def walk(folder: str) -> Iterator[str]:
    """Paths of all files below the folder; a linked folder that leads back to one above it is not entered again."""

    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(here)
        folders[:] = sorted(
            name
            for name in folders
            if not os.path.islink(os.path.join(here, name))
            or not (real + os.sep).startswith(os.path.realpath(os.path.join(here, name)).rstrip(os.sep) + os.sep)
        )
        yield from (os.path.relpath(os.path.join(here, name), folder) for name in sorted(files))


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
