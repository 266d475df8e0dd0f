"""Files of this machine, written whole or not at all, and durable when they have their name.

The order is the same for all of them: the bytes are synced, then the file gets its name, then the folder is synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(file: Path, target: Path, replace: bool) -> bool:
    """Give a finished file the name where readers look for it.

    Args:
        file: the file, on the file system of `target`. With `replace` it moves; without, it keeps its own name, too.
        target: the new name. Its folder must be there.
        replace: whether a file that has the name already is replaced.

    Returns:
        False if the name is taken and `replace` is False; nothing is changed then.
    """
    sync(file)
    try:
        if replace:
            os.replace(file, target)
        else:
            os.link(file, target)
    except FileExistsError:
        sync(target.parent)  # the process that gave the name may have died before it synced the folder
        return False
    sync(target.parent)
    return True


@contextlib.contextmanager
def atomic_write(path: Path, replace: bool = True, beside: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write into. When the context ends well, the file is at `path`; otherwise `path` is as it was.

    It has the permissions that the umask leaves.

    Args:
        path: the name of the file in the end. Its folder must be there.
        replace: whether a file that has the name already is replaced.
        beside: the name of the file until then; None for a name that no other process uses. Give one if a later run
            has to overwrite what a killed process left.

    Raises:
        FileExistsError: if the name is taken and `replace` is False.
    """
    beside = beside or path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(beside, "wb") as file:
            yield file
        if not put_in_place(beside, path, replace):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    finally:
        beside.unlink(missing_ok=True)
