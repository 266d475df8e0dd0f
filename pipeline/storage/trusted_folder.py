"""A folder of files that are believed, such as code that will be run: nobody except this user and root can write them.

What is read is what was checked: a file is opened in the folder that was opened, and both are looked at while open, so
a folder or a file that is put in place later does not matter. Files are whole or not there. They are never changed, so
a process may map one, and it stays valid for that process when it is removed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.storage.atomic import atomic_write

_DAY = 86400
_MARK_SECONDS = 3600
"""A file's time of last use is written no more often than this, and a file that was used since is not removed."""


@dataclass(frozen=True)
class Held:
    """A file of the folder.

    Args:
        name: its name.
        bytes: its size [bytes].
        idle: time since it was used last [s].
    """

    name: str
    bytes: int
    idle: float


class TrustedFolder:
    """Files by name in one folder. It is made when something is written.

    Args:
        path: path of the folder. Its last part must be no symbolic link; those before may be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, name: str, use: bool = True) -> IO[bytes]:
        """A file, to be read.

        Args:
            name: name of the file.
            use: whether it counts as used now.

        Raises:
            FileNotFoundError: if it is not there.
            PermissionError: if others own or may write the folder or the file, or one of them is a symbolic link.
            OSError: if it cannot be read.
        """
        with self._opened() as folder:
            descriptor = _open(self.path / name, name, os.O_NONBLOCK, folder)  # a FIFO would wait for its writer
        try:
            found = os.fstat(descriptor)
            _check(found, self.path / name)
            if not stat.S_ISREG(found.st_mode):
                raise PermissionError(f"{self.path / name} is not a regular file")
            if use and time.time() - found.st_mtime > _MARK_SECONDS:
                with contextlib.suppress(OSError):  # a folder of root, or one that is mounted read-only
                    os.utime(descriptor)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def write(self, name: str, parts: Iterable[bytes | memoryview], replace: bool) -> None:
        """Write a file whole, or not at all. The umask may take permissions away, and gives nobody else any to write.

        Args:
            name: name of the file.
            parts: its content.
            replace: whether a file that has the name already is replaced.

        Raises:
            FileExistsError: if the name is taken and `replace` is False.
            PermissionError: as `open`, or if the folder cannot be written.
            OSError: if it cannot be written for another reason, such as a full disk.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o755)
        with self._opened():
            pass
        with atomic_write(self.path / name, replace) as file:
            os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~0o022)
            for part in parts:
                file.write(part)

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it is not there."""
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            os.unlink(name, dir_fd=folder)

    def held(self) -> list[Held]:
        """The files in the folder, the one that was used last first; temporary files of writers, too.

        Raises:
            PermissionError: as `open`.
        """
        found, now = [], time.time()
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):
                    each = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(each.st_mode):
                        found.append(Held(name, each.st_size, max(0.0, now - each.st_mtime)))
        return sorted(found, key=lambda each: each.idle)

    def sweep(self, days: float, most_bytes: int) -> None:
        """Remove files that are not used any more. A process that maps one keeps it until the process ends.

        Args:
            days: number of days without use after which a file goes. What a killed writer left goes after one day.
            most_bytes: total size above which the files that were not used for longest go, too [bytes]. Files that
                were used within the last hour stay in any case.
        """
        kept = 0
        for each in self.held():
            kept += each.bytes
            limit = 1 if each.name.startswith(".") else days
            if each.idle > limit * _DAY or (kept > most_bytes and each.idle > 2 * _MARK_SECONDS):
                kept -= each.bytes
                self.remove(each.name)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = _open(self.path, str(self.path), os.O_DIRECTORY, None)
        try:
            _check(os.fstat(descriptor), self.path)
            yield descriptor
        finally:
            os.close(descriptor)


def _open(path: Path, name: str, flags: int, folder: int | None) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError:
        if os.path.islink(path):
            raise PermissionError(f"{path} is a symbolic link, which others could have put there") from None
        raise


def _check(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to user {found.st_uid}, who could put code of their own there")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):o}, so others could put code of their own there; "
            f"chmod go-w {path}, or delete it"
        )
