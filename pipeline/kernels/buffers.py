"""Memory that compiled code works on: aligned float32 arrays, and rows at absolute positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALIGNMENT = 64
"""Arrays begin at a multiple of this [bytes]: a line of the cache, and the widest vector there is."""

Span = tuple[int, int]
"""Rows from the first up to, not including, the last."""


def aligned(shape: tuple[int, ...] | int) -> NDArray[np.float32]:
    """Zeros, float32, at an aligned address."""
    count = int(np.prod(shape))
    raw = np.zeros(count * 4 + ALIGNMENT, np.uint8)
    shift = -raw.ctypes.data % ALIGNMENT
    return raw[shift : shift + count * 4].view(np.float32).reshape(shape)


def aligned_copy(array: ArrayLike) -> NDArray[np.float32]:
    """The same numbers as float32, at an aligned address."""
    given = np.asarray(array)
    copy = aligned(given.shape)
    copy[...] = given
    return copy


def padded(array: NDArray[np.floating], axis: int, length: int) -> NDArray[np.floating]:
    """An array with zeros added at the end of an axis, up to a length."""
    more = [(0, 0)] * array.ndim
    more[axis] = (0, length - array.shape[axis])
    return np.pad(array, more)


class Rows:
    """Memory for rows at absolute positions, which is kept from call to call and grows where it must.

    Attributes:
        span: the rows that it holds.
    """

    def __init__(self) -> None:
        self._memory, self._rows, self.span = aligned(0), np.zeros((0, 0), np.float32), (0, 0)
        self._address = 0

    @property
    def nbytes(self) -> int:
        """Memory taken [bytes]."""
        return self._memory.nbytes

    def hold(self, span: Span, channels: int) -> None:
        """Makes room for the rows of `span`. What they hold is left over from before, and of no meaning."""
        count = (span[1] - span[0]) * channels
        if count > self._memory.size:
            self._memory = aligned(count)
        self._rows, self.span = self._memory[:count].reshape(-1, channels), span
        self._address = self._memory.ctypes.data

    def at(self, row: int) -> int:
        """Address of a row."""
        return self._address + self._rows.shape[1] * 4 * (row - self.span[0])

    def __getitem__(self, span: Span) -> NDArray[np.float32]:
        """The rows of a span, `[rows, channels] float32`."""
        assert self.span[0] <= span[0] <= span[1] <= self.span[1], (span, self.span)
        return self._rows[span[0] - self.span[0] : span[1] - self.span[0]]

    def fill_ends(self, span: Span, length: int, mirrored: int = 0) -> None:
        """Fills the rows of `span` before row 0 and from row `length` on.

        Args:
            span: rows that are held.
            length: number of rows of the whole.
            mirrored: number of rows beyond each end that get the rows that lie as far inside it: row -1 gets row 1.
                Rows farther out get zeros.
        """
        first, last = span
        for lo, hi in ((first, min(last, 0)), (max(first, length), last)):
            if lo < hi:
                self[lo, hi].fill(0)
        if (lo := max(first, -mirrored)) < 0:
            self[lo, 0][...] = self[1, 1 - lo][::-1]
        if (more := min(last - length, mirrored)) > 0:
            self[length, length + more][...] = self[length - 1 - more, length - 1][::-1]
