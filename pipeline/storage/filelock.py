"""The lock file of a local output: the kernel holds the lock for a process, the file says for whom and since when."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from pipeline.storage.signature import in_words, signed

_LOOKS, _LOOK_SECONDS = 20, 0.05
_ALIKE = 3
"""How often, and how far apart, a run tries to lock, and how many looks at the holder's words must be alike.

The holder may just be writing them down, or be ending; and whoever only asks for it takes the lock for an instant.
"""


def take(descriptor: int, how: int) -> str | None:
    """Lock the file.

    Args:
        descriptor: of the file.
        how: LOCK_EX, or LOCK_SH.

    Returns:
        None if it is locked now, else who holds it, in words.
    """
    seen: list[bytes] = []
    for _ in range(_LOOKS):
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            seen.append(os.pread(descriptor, 4096, 0))
        if seen[-1] and seen[-_ALIKE:] == [seen[-1]] * _ALIKE:
            break
        time.sleep(_LOOK_SECONDS)
    return in_words(seen[-1].decode("utf-8", "replace"))


def sign(descriptor: int, owner: str) -> None:
    """Write into a locked file who holds it, from now on."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, signed(owner).encode(), 0)


def who_holds(path: Path) -> str | None:
    """Who holds a lock file, or shares it, in words; None if nobody does. Asking takes the lock for an instant."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return take(descriptor, fcntl.LOCK_SH) or take(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
