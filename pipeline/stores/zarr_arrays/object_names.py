"""Which array an object belongs to, by the names of both."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

# Path of a chunk of an array with two to four axes, by the version of Zarr.
_CHUNK = {
    2: re.compile(r"(.+)/\d+(?:\.\d+){1,3}|(.+)/\d+/\d+"),
    3: re.compile(r"(.+)/c(?:[./]\d+){2,4}"),
}


def arrays_of_chunks(objects: Iterable[str], zarr_format: int) -> set[str]:
    """Paths of the arrays whose chunks are among the objects, by the names of these."""
    matches = map(_CHUNK[zarr_format].fullmatch, objects)
    return {match[match.lastindex or 0] for match in matches if match}


def array_of_object(path: str, arrays: Container[str]) -> str | None:
    """The array that an object at a path belongs to; None if it belongs to none of these."""
    while path and path not in arrays:
        path = path.rpartition("/")[0]
    return path or None
