"""How soon the C library gives freed memory back to the kernel."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""
_KEPT_BYTES = 64 * 2**20
_MAPPED_BYTES = 32 * 2**20


def keep_freed_memory() -> None:
    """Have this process keep what it frees, up to 64 MiB, rather than give it back and take it again.

    Dask's nanny starts workers with MALLOC_TRIM_THRESHOLD_=65536. Then each temporary array of more than 128 KiB is
    mapped, filled with zeros page by page, and unmapped again. Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
