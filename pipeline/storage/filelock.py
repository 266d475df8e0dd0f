"""Locks on files of this machine. The kernel holds a lock for a process, and frees it when the process ends.

The lock file of an output also says who holds the output, and since when.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.storage.base import holder_text, signed

_LOOKS, _LOOK_SECONDS = 20, 0.05
_ALIKE = 3
"""Number of attempts to lock, the time between them, and the number of equal texts that are believed.

The holder may be about to write who it is, or about to end; and a process that only asks takes the lock for an instant.
"""


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, for `try_lock` and `take`. The file is made if it is not there.

    It has the permissions that the umask leaves, as every file of an output: a group may share the folder.

    Raises:
        StorageError: if the file is of another user who does not share it.
        OSError: if it cannot be opened or made for another reason.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError as error:
        try:
            found = os.stat(path)
        except OSError:
            raise error from None
        raise StorageError(
            f"{path} belongs to user {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):o}, so this user may not "
            f"lock it. To share the folder, its owner can run: chmod g+w {path}"
        ) from error


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Lock an open file, without waiting.

    Args:
        descriptor: descriptor of the file.
        shared: whether others may hold the lock in the same way at the same time.

    Returns:
        Whether the file is locked now.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(descriptor: int, shared: bool) -> str | None:
    """Lock the lock file of an output.

    Args:
        descriptor: descriptor of the file.
        shared: whether others may share the lock; see `try_lock`.

    Returns:
        None if it is locked now, otherwise who holds it.
    """
    seen: list[bytes] = []
    for _ in range(_LOOKS):
        if try_lock(descriptor, shared):
            return None
        seen.append(os.pread(descriptor, 4096, 0))
        if seen[-1] and seen[-_ALIKE:] == [seen[-1]] * _ALIKE:
            break
        time.sleep(_LOOK_SECONDS)
    return holder_text(seen[-1].decode("utf-8", "replace"))


def sign(descriptor: int, owner: str) -> None:
    """Write into a locked file who holds it, from now on."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, signed(owner).encode(), 0)


def who_holds(path: Path) -> str | None:
    """Who holds a lock file, or shares it; None if nobody does. To find out, it takes the lock for an instant."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return take(descriptor, shared=True) or take(descriptor, shared=False)
    finally:
        os.close(descriptor)
