"""A net at work: its outputs for the frames of a mel."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.buffers import Rows, Span, aligned
from pipeline.kernels.convnext.layers import ConvNextCode
from pipeline.kernels.convnext.shape import ConvNextShape, why_not
from pipeline.kernels.convnext.weights import ConvNextLayout
from pipeline.kernels.products import MOST_ROWS
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target

_CACHE_BYTES = 1 << 19
"""Rows that go through a block of the net at once fill this much, so that a core's second cache holds them."""
_STEP = 48  # a multiple of the rows of every target's blocks


class _Buffers(threading.local):
    """The memory of one thread."""

    def __init__(self) -> None:
        self.mel, self.layers = Rows(), (Rows(), Rows())  # a block reads one of them and writes the other
        self.narrow, self.wide, self.last = Rows(), Rows(), Rows()

    @property
    def nbytes(self) -> int:
        """Memory taken [bytes]."""
        return sum(each.nbytes for each in (self.mel, *self.layers, self.narrow, self.wide, self.last))


class ConvNext:
    """A net whose code is compiled. Several threads may use it at once: each has its own buffers.

    Args:
        shape: its shape, which `why_not` takes.
        weights: its weights as `packed` gives them for this shape and target; they may be mapped from a file.
        target: the target of its code, whose instructions this machine has.
    """

    def __init__(self, shape: ConvNextShape, weights: NDArray[np.float32], target: Target) -> None:
        assert (why := why_not(shape)) is None, why
        self._layout = ConvNextLayout(shape, target)
        assert weights.shape == (self._layout.numbers,), (weights.shape, self._layout.numbers)
        self.shape, self._weights, self._address = shape, weights, weights.ctypes.data
        self._library = library(ConvNextCode(shape), target)
        self._buffers = _Buffers()

    def run(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs of each frame of a mel.

        Those of a frame that has `ConvNextShape.context` frames of the whole mel on either side, or as many as there
        are, are those of the whole mel, bit for bit.

        Args:
            mel: `[bands, frames] float32`, at least one frame.

        Returns:
            `[frames, outputs] float32`; rows lie `ConvNextShape.columns` apart.
        """
        shape, buffers = self.shape, self._buffers
        frames, reach = mel.shape[1], shape.reach
        seen = (-reach, frames + reach)
        for rows, channels in ((buffers.mel, shape.bands), *((each, shape.width) for each in buffers.layers)):
            rows.hold((seen[0], seen[1] + MOST_ROWS), channels)
        for rows, channels in (
            (buffers.narrow, shape.width), (buffers.wide, shape.hidden), (buffers.last, shape.width + shape.bands)
        ):  # fmt: skip
            rows.hold((0, _rows_at_once(shape) + MOST_ROWS), channels)
        buffers.mel[0, frames][...] = mel.T
        buffers.mel.fill_ends(seen, frames)
        x, y = buffers.layers
        for first, last in self._stretches(frames):
            self._multiply("embed", last - first, buffers.mel.at(first - reach), x.at(first))
            self._library["norm"](x.at(first), x.at(first), *self._layer("norm_in"), last - first, shape.width)
        for number in range(shape.blocks):
            x.fill_ends(seen, frames)
            for span in self._stretches(frames):
                self._block(f"blocks.{number}", span, x, y)
            x, y = y, x
        return self._head(x, frames)

    def _block(self, name: str, span: Span, x: Rows, y: Rows) -> None:
        """The rows `span` of y, from those of x."""
        (first, last), narrow, wide = span, self._buffers.narrow.at(0), self._buffers.wide.at(0)
        shape, count = self.shape, last - first
        self._library["depthwise"](
            x.at(first - shape.reach), narrow, *self._layer(f"{name}.depthwise"), *self._layer(f"{name}.norm"), count
        )
        self._multiply(f"{name}.up", count, narrow, wide)
        self._library["activate"](wide, count * shape.hidden)
        self._multiply(f"{name}.down", count, wide, narrow)
        self._library["add"](x.at(first), narrow, y.at(first), count * shape.width)

    def _head(self, x: Rows, frames: int) -> NDArray[np.float32]:
        shape, mel, rows = self.shape, self._buffers.mel, self._buffers.last
        outputs = aligned((frames + MOST_ROWS, shape.columns))
        for first, last in self._stretches(frames):
            count = last - first
            self._library["norm"](x.at(first), rows.at(0), *self._layer("norm_out"), count, shape.width + shape.bands)
            rows[0, count][:, shape.width :] = mel[first, last]
            self._multiply("head", count, rows.at(0), outputs.ctypes.data + 4 * shape.columns * first)
        return outputs[:frames, : shape.outputs]

    def _multiply(self, name: str, rows: int, x: int, y: int) -> None:
        """Rows of y: those of x by the matrix of a layer, which is named like its function, and its bias."""
        panels, inner, _ = self._layout.view(self._weights, f"{name}.weight").shape
        self._library[name.rpartition(".")[2]](rows, inner, panels, x, *self._layer(name), y)

    def _layer(self, name: str) -> tuple[int, int]:
        return self._layout.addresses(self._address, name)

    def _stretches(self, frames: int) -> Iterator[Span]:
        step = _rows_at_once(self.shape)
        return ((first, min(first + step, frames)) for first in range(0, frames, step))


def buffer_bytes(shape: ConvNextShape, frames: int) -> int:
    """Memory that a thread takes for `frames` frames, with their outputs and without the weights [bytes].

    It keeps this memory, except for the outputs, for the next mel.
    """
    rows = frames + 2 * shape.reach + MOST_ROWS
    at_once = (_rows_at_once(shape) + MOST_ROWS) * (2 * shape.width + shape.hidden + shape.bands)
    return 4 * (rows * (shape.bands + 2 * shape.width) + at_once + (frames + MOST_ROWS) * shape.columns)


def _rows_at_once(shape: ConvNextShape) -> int:
    return max(1, _CACHE_BYTES // (4 * (shape.width + shape.hidden)) // _STEP) * _STEP
