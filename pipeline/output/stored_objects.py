"""Whether an object of an output still holds what was written."""

from __future__ import annotations

import hashlib

from pipeline.output.records import StoredObject
from pipeline.storage import Storage


def damage(storage: Storage, wanted: StoredObject) -> str | None:
    """What is wrong with an object, after all of it was read: its size, else its digest. None if it is whole.

    Args:
        storage: storage of the output.
        wanted: the object as its commit record states it.

    Raises:
        FileNotFoundError: if it is not there.
        StorageError: if it cannot be read.
    """
    with storage.read(wanted.name) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    if size != wanted.bytes:
        return f"it holds {size} bytes and should hold {wanted.bytes}"
    return f"its sha256 is {sha256}, should be {wanted.sha256}" if sha256 != wanted.sha256 else None
