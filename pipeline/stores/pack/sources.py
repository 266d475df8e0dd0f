"""The files of a folder that are to be packed, and the keys that they get."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass

from pipeline.errors import ConfigError, StorageError
from pipeline.stores.pack.result import PackFailure


@dataclass(frozen=True)
class Source:
    """One file to be packed.

    Args:
        key: its path below the folder with "/" and without extension.
        path: below the folder.
        size: [bytes].
        mtime: of its last change [ns].
    """

    key: str
    path: str
    size: int
    mtime: int


@dataclass(frozen=True)
class Sources:
    """All sources of a folder, sorted by key.

    Args:
        folder: that they lie in.
        files: to be packed.
        failures: files that cannot be, because of their name.
        ignored: number of files with other extensions.
    """

    folder: str
    files: tuple[Source, ...]
    failures: tuple[PackFailure, ...]
    ignored: int

    def digest(self) -> str:
        """What changes when a source is added, removed or rewritten."""
        state = hashlib.blake2b(digest_size=16)
        for source in self.files:
            state.update(f"{source.path}\0{source.size}\0{source.mtime}\0".encode())
        return state.hexdigest()


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
    found: dict[str, Source] = {}
    failures, ignored = [], 0
    try:
        for path in _walk(folder):
            stem, extension = os.path.splitext(path)
            if extension[1:].lower() not in extensions:
                ignored += 1
                continue
            key = stem.replace(os.sep, "/")
            if not _is_utf8(path):
                shown = os.fsencode(path).decode("utf-8", "backslashreplace")
                failures.append(PackFailure(shown, "its name is not valid UTF-8; rename it"))
                continue
            if key in found:
                raise ConfigError(
                    f"{found[key].path} and {path} in {folder} would both get the key {key!r}; rename or remove one"
                )
            full = os.path.join(folder, path)
            if not os.path.isfile(full):
                failures.append(PackFailure(path, "it is no file, or a link that leads nowhere"))
                continue
            status = os.stat(full)
            found[key] = Source(key, path, status.st_size, status.st_mtime_ns)
    except OSError as exc:
        raise StorageError(f"{folder} cannot be listed: {exc}") from exc
    if not found and not failures:
        raise ConfigError(f"{folder} has no {kind} files ({ignored} others); give the folder that they lie in")
    return Sources(folder, tuple(found[key] for key in sorted(found)), tuple(failures), ignored)


def _walk(folder: str) -> Iterator[str]:
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
