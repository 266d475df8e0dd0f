"""Many small files of a local folder, listed and read with several threads: fsspec takes ten times as long."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 8  # a network file system answers slowly; files in the page cache are bound by Python's lock
_SHARE = 128  # number of folders or files that a thread takes at once

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def subfolders(folder: str) -> list[str]:
    """Names of the folders directly in a folder, sorted; without links to folders.

    Raises:
        OSError: if the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def list_files(root: str, unstamped: frozenset[str]) -> dict[str, str]:
    """All files below a folder, and everything else there that is not a folder: a stamp by path below the folder.

    The stamp is the size and the time of change. Links to folders are not followed. A file that vanishes during the
    listing is left out.

    Args:
        root: folder to list; if it is not there, there are no files.
        unstamped: names of files whose stamp nobody needs; it is "".

    Raises:
        OSError: if a folder cannot be listed.
    """
    found: dict[str, str] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        folders = [""]
        while folders:
            deeper: list[str] = []
            for files, inner in _shared(pool, lambda share: _scan(root, share, unstamped), folders):
                found.update(files)
                deeper += inner
            folders = deeper
    return found


def read_files(paths: Sequence[str]) -> list[bytes | OSError]:
    """The content of each file, in order; for a file that cannot be read, the error."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(itertools.chain.from_iterable(_shared(pool, lambda share: list(map(_read, share)), paths)))


def _shared(pool: ThreadPoolExecutor, work: Callable[[Sequence[_In]], _Out], items: Sequence[_In]) -> Iterator[_Out]:
    return pool.map(work, [items[start : start + _SHARE] for start in range(0, len(items), _SHARE)])


def _scan(root: str, folders: Sequence[str], unstamped: frozenset[str]) -> tuple[list[tuple[str, str]], list[str]]:
    files: list[tuple[str, str]] = []
    inner: list[str] = []
    for folder in folders:
        try:
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(path)
                    elif entry.name in unstamped:
                        files.append((path, ""))
                    else:
                        files.append((path, _stamp(entry)))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return files, inner


def _stamp(entry: os.DirEntry[str]) -> str:
    """Size and time of change, written as for other storage; for a link, its own time and the size of its target."""
    own = entry.stat(follow_symlinks=False)
    size = own.st_size
    if entry.is_symlink():
        try:
            size = entry.stat().st_size
        except OSError:
            size = 0
    return f"{size}:{own.st_mtime}"


def _read(path: str) -> bytes | OSError:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as exc:
        return exc
