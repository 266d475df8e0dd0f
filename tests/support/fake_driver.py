"""A stand-in for libcuda: the calls of the CUDA driver API that are made, as cuda.h declares them."""

from __future__ import annotations

import ctypes
from typing import Any

_DEVICE, _CONTEXT = 7, 0xC0


class Driver:
    """It is strict about the order of calls.

    Args:
        fails: name of the call that fails.
        cards: number of cards.
        identity: UUID of the first card.
    """

    def __init__(self, fails: str = "", cards: int = 1, identity: bytes = bytes(16)) -> None:
        self.fails, self.cards, self.identity = fails, cards, identity
        self.ready, self.pushed, self.retained = False, False, 0

    @staticmethod
    def identity_of(first: bytes, ordinal: int) -> bytes:
        """UUID of a card."""
        return first[:-1] + bytes([(first[-1] + ordinal) % 256])

    def _is_card(self, device: ctypes.c_int) -> bool:
        return self.ready and _DEVICE <= device.value < _DEVICE + self.cards

    def cuInit(self, flags: int) -> int:  # noqa: N802
        self.ready = flags == 0 and self.fails != "cuInit"
        return int(not self.ready)

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.cards
        return int(not self.ready or self.fails == "cuDeviceGetCount")

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = _DEVICE + ordinal
        return int(not self.ready or ordinal >= self.cards)

    def cuDeviceGetUuid_v2(self, identity: Any, device: ctypes.c_int) -> int:  # noqa: N802
        ctypes.memmove(identity._obj, self.identity_of(self.identity, device.value - _DEVICE), 16)
        return int(not self._is_card(device) or self.fails == "cuDeviceGetUuid_v2")

    def cuDevicePrimaryCtxRetain(self, context: Any, device: ctypes.c_int) -> int:  # noqa: N802
        context._obj.value = _CONTEXT
        self.retained += 1
        return int(not self._is_card(device))

    def cuCtxPushCurrent_v2(self, context: ctypes.c_void_p) -> int:  # noqa: N802
        self.pushed = context.value == _CONTEXT
        return int(not self.pushed)

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value, total._obj.value = 11_000_000_000, 12_000_000_000
        return int(not self.pushed or self.fails == "cuMemGetInfo_v2")

    def cuCtxPopCurrent_v2(self, popped: Any) -> int:  # noqa: N802
        self.pushed = False
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device: ctypes.c_int) -> int:  # noqa: N802
        self.retained -= 1
        return int(not self._is_card(device))
