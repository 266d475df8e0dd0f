"""Storage: the protocol of the five verbs, the names that storage itself needs, and what to do about its errors."""

from __future__ import annotations

import contextlib
import errno
import io
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pipeline.errors import StorageError

PRIVATE = "_melmill"
"""The folder of an output that holds what no reader needs."""
SCRATCH = f"{PRIVATE}/scratch"
"""The folder of half-written files, which listings of objects leave out."""
LOCK = f"{PRIVATE}/run.lock"
"""The lock of an output: who works on it."""
OBJECT_STORES = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""Protocol of a URL -> the extra of the package that installs its client."""


class Storage(Protocol):
    """Named objects, each written whole. Names are relative, with forward slashes."""

    url: str

    @property
    def name_bytes(self) -> int:
        """Largest number of bytes in the name of an object."""
        ...

    def read(self, name: str) -> io.BufferedReader:
        """The object, opened for reading and seeking. FileNotFoundError if it is not there.

        If reading fails later, that is a StorageError.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all objects below the folder `prefix` ("" for all), sorted.

        Files in `SCRATCH` are not objects. They are listed only if `prefix` is `SCRATCH`.
        """
        ...

    def stamps(self, prefix: str) -> Iterator[tuple[str, str]]:
        """The names that `list` gives, each with a stamp that is another one once the object is replaced.

        A stamp has no quotation mark, and is "" if the storage tells too little of its objects. No object is read.
        """
        ...

    def put_if_absent(self, name: str, source: Path | bytes) -> bool:
        """Make `source` durable under `name`. If the name is taken, change nothing and return False.

        A `source` that is a path must lie in a `scratch` folder.
        """
        ...

    def replace(self, name: str, source: Path | bytes) -> None:
        """Make `source` durable under `name`, and replace atomically what was there."""
        ...

    def delete(self, name: str) -> None:
        """Delete the object, durably. If it is not there, make that durable."""
        ...

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A folder for files to put; it is deleted when the context ends."""
        ...

    def lock(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Hold the output for one run.

        OwnedError, with the holder's name and how long it has held the output, if another live run holds it.
        """
        ...

    def share(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Hold the output together with others that share it, as the parts of one job do.

        OwnedError, as from `lock`, if a live run holds it alone.
        """
        ...

    def holder(self) -> str | None:
        """Who holds the output; None if nobody does, as far as this process can see."""
        ...


def exists(storage: Storage, name: str) -> bool:
    """Whether an object is there."""
    try:
        storage.read(name).close()
    except FileNotFoundError:
        return False
    return True


def signed(owner: str) -> str:
    """What a lock says: who holds the output, and since when. `holder_text` reads it."""
    return f"{owner}\n{time.time()}"


def holder_text(signature: str) -> str:
    """Who holds an output, and for how long, as text for people. Nothing is decided by the age: clocks may be wrong."""
    owner, _, since = signature.strip().rpartition("\n")
    try:
        age = time.time() - float(since)
        return f"{owner}, for {timedelta(seconds=int(age))}" if age >= 0 else f"{owner}, just now"
    except (ValueError, OverflowError):
        return owner or since or "it has just begun"


_REMEDIES = {
    errno.ENOSPC: "make room, then run again to resume",
    errno.EDQUOT: "raise the quota or make room, then run again to resume",
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder",
    errno.ENOENT: "check the path: a folder in it is not there and cannot be made",
    errno.EROFS: "make the file system writable, or choose another output",
    errno.EEXIST: "a part of this path is a file; choose another output",
    errno.ENOTDIR: "a part of this path is a file; choose another output",
}


@contextlib.contextmanager
def translated(doing: str, passing: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    """Turns errors of the operating system into StorageErrors that say what to do.

    Args:
        doing: text that says what is being done, and to which file: `writing /data/out/job.json`.
        passing: kinds of OSError that are raised as they are.
    """
    try:
        yield
    except passing:
        raise
    except OSError as error:
        raise StorageError(f"{doing}: {error.strerror or error} ({remedy(error)})") from error


def remedy(error: Exception) -> str:
    """What to do about an error of storage."""
    code = error.errno if isinstance(error, OSError) else None
    return _REMEDIES.get(code or 0, "what was committed is kept; run again to resume")
