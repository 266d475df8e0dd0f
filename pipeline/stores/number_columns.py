"""Numbers that a store has of its items in arrays of their own (speaker_id, snr, ...), as metadata."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.stores.digests import digest
from pipeline.stores.zarr_arrays import ArrayMetadata, ZarrTree, read_numbers

_BOOLEAN = ("bool", "|b1")  # in Zarr v3 and v2


class NumberColumns:
    """Arrays `[items]` of whole numbers, floating-point numbers and booleans. They are read whole, and once.

    An item whose value is NaN or infinite has no such field. An array that cannot be read is left out and named.

    Args:
        tree: store that holds the arrays.
        arrays: arrays of one dimension.
    """

    def __init__(self, tree: ZarrTree, arrays: Sequence[ArrayMetadata]) -> None:
        self._tree = tree
        self._arrays = [array for array in arrays if array.kind in ("int", "float") or array.dtype in _BOOLEAN]

    @cached_property
    def _read(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        values, unread = dict[str, NDArray[Any]](), dict[str, str]()
        for array in self._arrays:
            try:
                values[array.path] = read_numbers(self._tree, array)
            except StoreError as exc:
                unread[array.path] = str(exc)
        return values, unread

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the arrays that are read."""
        return tuple(self._read[0])

    @property
    def unread(self) -> dict[str, str]:
        """Paths of the arrays that cannot be read, each with the reason."""
        return self._read[1]

    def at(self, item: int) -> dict[str, Any]:
        """The numbers of one item, by the array's path."""
        found = {name: _plain(column[item]) for name, column in self._read[0].items()}
        return {name: value for name, value in found.items() if value is not None}

    def digests(self) -> list[bytes]:
        """A digest of each array that is read, 16 bytes."""
        return [digest(name, str(column.dtype), column.tobytes()) for name, column in sorted(self._read[0].items())]


def _plain(value: Any) -> int | float | bool | None:
    """A number as Python has it; of float16 and float32, the shortest one that is rounded to it."""
    plain: int | float | bool = value.item()
    if not isinstance(plain, float):
        return plain
    if not math.isfinite(plain):
        return None
    return plain if value.dtype == np.float64 else float(str(value))
