"""The lock file of a local output: the kernel holds the lock for a process, the file says for whom and since when."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from datetime import timedelta
from pathlib import Path

_TRIES, _TRY_SECONDS = 5, 0.02
_LOOKS, _LOOK_SECONDS = 20, 0.05
"""How often, and how far apart, a run looks who holds the lock: the holder may just be writing that down."""


def take(descriptor: int) -> None:
    """Lock the file, or fail as flock does. Tried more than once, since whoever asks for the holder shares the lock."""
    for _ in range(_TRIES - 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_TRY_SECONDS)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sign(descriptor: int, owner: str) -> None:
    """Write into a locked file who holds it, from now on."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{owner}\n{time.time()}".encode(), 0)


def holder(descriptor: int) -> str:
    """Who holds the lock, in words. The age is for the reader: a clock that is off matters to nothing."""
    text = b""
    for _ in range(_LOOKS):
        before, text = text, os.pread(descriptor, 4096, 0)
        if text and text == before:
            break
        time.sleep(_LOOK_SECONDS)
    owner, _, since = text.decode("utf-8", "replace").strip().rpartition("\n")
    try:
        age = time.time() - float(since)
        return f"{owner}, for {timedelta(seconds=int(age))}" if age >= 0 else f"{owner}, just now"
    except (ValueError, OverflowError):
        return owner or since or "it has just begun"


def who_holds(path: Path) -> str | None:
    """Who holds a lock file, in words; None if nobody does. Asking shares the lock for an instant."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return holder(descriptor)
    finally:
        os.close(descriptor)
    return None
