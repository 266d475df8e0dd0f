"""Overlapping frames of a signal, one in each lane: framing, and windowed overlap-add.

The signal is kept in hops. Row r holds sample r of every hop, a hop in each lane: `[hop_length][spans][LANES]`, where
the first span is the block whose frames are at hand, and those after it reach as far as its last frame does. So sample
m of the frames is in row m % hop_length, m // hop_length lanes further on. Samples are counted from where the window of
the first frame begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.complex_values import Complex
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Index


@dataclass(frozen=True)
class Overlap:
    """Frames of `n_fft` samples, every `hop_length` samples; all but `win_length` in their middle have no weight."""

    n_fft: int
    hop_length: int
    win_length: int

    @property
    def lead(self) -> int:
        """Number of samples of a frame before its window."""
        return (self.n_fft - self.win_length) // 2

    @property
    def frames(self) -> int:
        """Number of frames that overlap in a sample, at most."""
        return -(-self.win_length // self.hop_length)

    @property
    def reach(self) -> int:
        """Number of blocks of hops after a block of frames that its last frames reach into."""
        return -(-(self.frames - 1) // LANES)

    @property
    def spans(self) -> int:
        """Number of blocks of hops that a block of frames lies in."""
        return 1 + self.reach

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where in the signal's memory the lanes of each sample of a frame begin, `[n_fft] int64`; 0 without weight."""
        m = np.arange(self.n_fft) - self.lead
        at = m % self.hop_length * (self.spans * LANES) + m // self.hop_length
        return np.where((m >= 0) & (m < self.win_length), at, 0)

    def put_in(self, f: Function, samples: Pointer, signal: Pointer) -> None:
        """The first span of the signal goes, and `LANES` hops of samples become the last; `put_out` is the inverse."""
        with f.loop(self.hop_length) as row:
            at = row * (self.spans * LANES)
            for span in range(self.reach):
                signal[at + span * LANES] = signal[at + (span + 1) * LANES]
            for lane in range(LANES):
                signal[at + (self.reach * LANES + lane)] = samples.one(row + lane * self.hop_length)

    def framed(self, f: Function, signal: Pointer, window: Pointer, point: Index) -> Complex:
        """Windowed samples 2 point and 2 point + 1 of a block of frames.

        Args:
            f: the function that gets the code.
            signal: the signal's memory.
            window: weights `[n_fft] float32`.
            point: number of the complex point.
        """
        at = f.table(self.offsets)
        even, odd = point * 2, point * 2 + 1
        return Complex(signal[at.one(even)] * window.spread(even), signal[at.one(odd)] * window.spread(odd))

    def add(self, f: Function, frames: Pointer, window: Pointer, mask: Floats, carry: Pointer, signal: Pointer) -> None:
        """Adds a block of frames: the first span of the signal goes, and the hops that are complete become the last.

        Frame t gives hop t + s its samples s hop_length and on. The sum of a hop begins with the earliest frame, so it
        does not depend on where the hop lies in its block.

        Args:
            f: the function that gets the code.
            frames: samples `[n_fft][LANES]`.
            window: weights `[n_fft] float32`.
            mask: factor of each frame, 1, or 0 for frames that there are not.
            carry: sums of hops that later frames add to, `[hop_length][reach][LANES]`.
            signal: the signal's memory.
        """
        hop, whole = self.hop_length, self.win_length // self.hop_length
        rest = self.win_length - whole * hop  # rows in which one frame more overlaps
        for start, stop, terms in ((0, rest, whole + 1), (rest, hop, whole)):
            if start == stop:
                continue
            with f.loop(stop, start=start) as row:
                sums = self._carried(f, carry, row)
                for s in reversed(range(terms)):
                    sample = row + (self.lead + s * hop)
                    self._spread(sums, frames[sample * LANES] * (window.spread(sample) * mask), s)
                self._put(f, sums, carry, signal, row)

    def add_nothing(self, f: Function, carry: Pointer, signal: Pointer) -> None:
        """`add` after the last frames: the next hops are what earlier frames gave."""
        with f.loop(self.hop_length) as row:
            self._put(f, self._carried(f, carry, row), carry, signal, row)

    def corrected(self, f: Function, signal: Pointer, factors: Pointer) -> None:
        """The last span of the signal times factors `[hop_length][LANES]`."""
        with f.loop(self.hop_length) as row:
            at = row * (self.spans * LANES) + self.reach * LANES
            signal[at] = signal[at] * factors[row * LANES]

    def put_out(self, f: Function, signal: Pointer, samples: Pointer) -> None:
        """The last span of the signal, as `LANES` hops of samples."""
        with f.loop(self.hop_length) as row:
            values = signal[row * (self.spans * LANES) + self.reach * LANES]
            for lane in range(LANES):
                samples[row + lane * self.hop_length] = values.lane(lane)

    def _carried(self, f: Function, carry: Pointer, row: Index) -> list[Floats]:
        return [*(carry[(row * self.reach + span) * LANES] for span in range(self.reach)), f.floats(0.0)]

    def _spread(self, sums: list[Floats], values: Floats, s: int) -> None:
        """Adds a frame's values to the hops s lanes further on."""
        span, shift = divmod(s, LANES)
        nothing = values.filled(0.0)
        sums[span] = sums[span] + nothing.shuffle(values, range(LANES - shift, 2 * LANES - shift))
        if shift:
            sums[span + 1] = sums[span + 1] + values.shuffle(nothing, range(LANES - shift, 2 * LANES - shift))

    def _put(self, f: Function, sums: list[Floats], carry: Pointer, signal: Pointer, row: Index) -> None:
        for span in range(self.reach):
            carry[(row * self.reach + span) * LANES] = sums[span + 1]
            at = (row * self.spans + span) * LANES
            signal[at] = signal[at + LANES]
        signal[(row * self.spans + self.reach) * LANES] = sums[0]
