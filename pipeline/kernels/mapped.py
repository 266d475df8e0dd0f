"""Large arrays that are computed once for a machine, such as transformed weights, and are in its memory once.

They are files that processes map, so that all of them share the pages.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import threading
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.buffers import ALIGNMENT, aligned_copy
from pipeline.kernels.cache import identity, keep, kept, say

_HEAD_BYTES = 4096
"""Room for the first line; the array begins after it, at the beginning of a page."""
_lock = threading.Lock()


def mapped(parts: tuple[object, ...], make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """An array that is computed by the first process on a machine, and mapped by all.

    Its file is whole, since it gets its name last, and it is read through the checks of the cache. Its length and its
    first line are checked; a digest of its values is not, which would take longer than to map it.

    Args:
        parts: values whose `repr` says all that the array depends on, besides the sources of the kernels: the digest
            of the model that the weights come from, and the transform's parameters.
        make: function that computes it, float32 of any shape.

    Returns:
        The array, float32, read-only, at an address that is a multiple of 64.
    """
    name = f"array-{identity(*parts)}"
    with _lock:
        file = kept(name)
        found = _mapped(file)
        if found is not None:
            return found
        made = np.ascontiguousarray(make(), np.float32)
        assert made.size, parts
        head = json.dumps({"array": repr(parts), "shape": made.shape}).encode()
        assert len(head) < _HEAD_BYTES, head
        # Of two processes that compute it at once, both map the file of the first. What is damaged is replaced.
        if keep(name, [head.ljust(_HEAD_BYTES - 1) + b"\n", made.data.cast("B")], replace=file is not None):
            found = _mapped(kept(name))
        return _aligned(made) if found is None else found


def _mapped(file: IO[bytes] | None) -> NDArray[np.float32] | None:
    """The array in a file, which is closed; None if there is no file, or it is not whole or cannot be mapped."""
    if file is None:
        return None
    with file:
        shape = _shape(file)
        if shape is None:
            return None
        try:
            pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except OSError as error:
            say(error)
            return None
    return np.frombuffer(pages, np.float32, offset=_HEAD_BYTES).reshape(shape)


def _shape(file: IO[bytes]) -> tuple[int, ...] | None:
    try:
        shape = tuple(json.loads(file.read(_HEAD_BYTES))["shape"])
    except (ValueError, KeyError, TypeError):
        return None
    whole = os.fstat(file.fileno()).st_size == _HEAD_BYTES + 4 * math.prod(shape)
    return shape if whole else None


def _aligned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same array, read-only, at an address that is a multiple of 64."""
    array = (aligned_copy(array) if array.ctypes.data % ALIGNMENT else array).view()
    array.flags.writeable = False
    return array
