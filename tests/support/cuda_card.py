"""A card that is partly taken, as by somebody else's work; asked of CUDA's driver."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from pipeline.vocoders.cards import card_memory

_PIECE = 2**28
"""Memory is taken in pieces of this [bytes]: one that large may not be free in one."""


def free_bytes() -> int:
    """Of the first card."""
    memory = card_memory(0)
    if memory is None:
        raise RuntimeError("CUDA's driver does not say how much of the card is free: these tests need a card")
    return memory[0]


@contextlib.contextmanager
def only_free(wanted: int) -> Iterator[None]:
    """About so many bytes of the card are free, the rest is taken (CUDA Driver API, cuMemAlloc)."""
    cuda = ctypes.CDLL("libcuda.so.1")
    card, context = ctypes.c_int(), ctypes.c_void_p()

    def call(name: str, *arguments: object) -> None:
        if failed := getattr(cuda, name)(*arguments):
            raise RuntimeError(f"{name} gave {failed}")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(card), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), card)
    call("cuCtxPushCurrent_v2", context)
    taken: list[ctypes.c_void_p] = []
    try:
        while (surplus := free_bytes() - wanted) > 2**21:
            taken.append(ctypes.c_void_p())
            call("cuMemAlloc_v2", ctypes.byref(taken[-1]), ctypes.c_size_t(min(surplus, _PIECE)))
        yield
    finally:
        for pointer in taken:
            cuda.cuMemFree_v2(pointer)
        cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        cuda.cuDevicePrimaryCtxRelease_v2(card)
