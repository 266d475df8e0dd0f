"""CUDA cards as the driver tells of them, and which of them this process uses.

The driver's library is asked, because onnxruntime has no calls for it. CUDA_VISIBLE_DEVICES has its usual effect.
Source: CUDA Driver API, "Device Management" and "Memory Management".
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from dataclasses import dataclass
from typing import Any

_MOST_PROCESSES = 64
"""Number of processes that are told apart on one card."""


@dataclass(frozen=True)
class CudaCard:
    """A card that this process sees.

    Args:
        ordinal: its number among the cards that this process sees, from 0.
        identity: its UUID, hexadecimal, which is the same in every process.
    """

    ordinal: int
    identity: str


def visible_cards(driver: Any = None) -> tuple[CudaCard, ...]:
    """The cards that this process sees; none if there is no driver, or if it fails.

    Args:
        driver: the library `libcuda`; it is loaded if None.
    """
    cuda, count = _loaded(driver), ctypes.c_int()
    if cuda is None or cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    found = [_card(cuda, ordinal) for ordinal in range(count.value)]
    return tuple(card for card in found if card is not None)


def _card(cuda: Any, ordinal: int) -> CudaCard | None:
    device, identity = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    if cuda.cuDeviceGet(ctypes.byref(device), ordinal) or cuda.cuDeviceGetUuid_v2(ctypes.byref(identity), device):
        return None
    return CudaCard(ordinal, bytes(identity).hex())


def card_memory(ordinal: int, driver: Any = None) -> tuple[int, int] | None:
    """Free and whole memory of a card [bytes], or None if the driver does not say.

    It is asked in the card's primary context, which onnxruntime uses.

    Args:
        ordinal: number of the card among those that this process sees.
        driver: the library `libcuda`; it is loaded if None.
    """
    cuda = _loaded(driver)
    device, context, unused = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if cuda is None or cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), ordinal):
        return None
    if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    try:
        if cuda.cuCtxPushCurrent_v2(context):
            return None
        failed = cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        cuda.cuCtxPopCurrent_v2(ctypes.byref(unused))
    finally:
        cuda.cuDevicePrimaryCtxRelease_v2(device)
    return None if failed else (free.value, total.value)


@dataclass(frozen=True)
class _Claim:
    """The card of a process, and the socket that tells other processes of it."""

    process: int
    card: CudaCard | None
    held: socket.socket | None


_lock = threading.Lock()
_claim = _Claim(0, None, None)


def own_card(driver: Any = None) -> CudaCard | None:
    """The card of this process: of those that it sees, the first one that the fewest other processes of melmill use.

    So the workers of a machine spread over its cards, whatever started them, and a worker that is started again gets
    the card of the one that ended. A process keeps its card. None if there is no card.

    Args:
        driver: the library `libcuda`; it is loaded if None.
    """
    global _claim
    with _lock:
        if _claim.process != os.getpid():
            cards = visible_cards(driver)
            _claim = _claimed(cards) if cards else _Claim(os.getpid(), None, None)
        return _claim.card


def _claimed(cards: tuple[CudaCard, ...]) -> _Claim:
    """A place on a card: a socket with a name of its own, which the kernel frees however the process ends.

    Two processes cannot have one name. Names in Linux's abstract namespace (unix(7)) leave no file behind; where there
    is no such namespace, every process uses the first card.
    """
    for place in range(_MOST_PROCESSES):
        for card in cards:
            held = _bound(f"\0melmill card {card.identity} {place}")
            if held is not None:
                return _Claim(os.getpid(), card, held)
    return _Claim(os.getpid(), cards[0], None)


def _bound(name: str) -> socket.socket | None:
    if not hasattr(socket, "AF_UNIX"):
        return None
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(name)
    except OSError:
        held.close()
        return None
    return held


def _loaded(driver: Any) -> Any:
    if driver is not None:
        return driver
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
