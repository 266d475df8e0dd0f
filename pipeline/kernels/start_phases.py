"""Start phases of frames, continued along the peaks of their magnitudes.

Source: G. Beauregard, M. Harish and L. Wyse, "Single pass spectrogram inversion", IEEE DSP 2015. Every peak of a frame
is treated as a sinusoid, whose frequency is that of a parabola through three logarithms. The bins of the peak, down to
the valleys beside it, get the phase that the peak's bin had one frame before, advanced by a hop at that frequency, with
alternating signs, as a window centred in the frame gives them.

A phase is a 32-bit number of 2^-32 turns, whose sums wrap around as phases do, and are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.complex_values import Complex
from pipeline.kernels.elementary import ln, sin_cos_turns
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Ints, Truth

SMALLEST_MAGNITUDE = 1e-12
"""Smallest magnitude whose logarithm is taken, or that a direction is divided by; far below what a window leaks."""
_TINY = 1e-30
_ALONE = -1  # the owner of a bin whose region has no peak


@dataclass(frozen=True)
class StartPhases:
    """The loops that start the phases of a block.

    Args:
        n_fft: length of the Fourier transform [samples].
        hop_length: distance from one frame to the next [samples].
    """

    n_fft: int
    hop_length: int

    @property
    def bins(self) -> int:
        """Number of bins."""
        return self.n_fft // 2 + 1

    def owners(self, f: Function, magnitude: Pointer, logs: Pointer, owner: Pointer, advance: Pointer) -> None:
        """The peak that each bin belongs to, and the turn from the peak's bin a frame before to this bin now.

        A region begins at a valley. From the highest bin down, each bin learns the last peak of its region that is not
        below it; the first bin of a region then knows its peak. From the lowest bin up, all others get it from there.

        Args:
            f: the function that gets the code.
            magnitude: magnitudes `[bins][LANES]`.
            logs: room for their logarithms.
            owner: gets the number of the peak's bin, `[bins][LANES] int32`.
            advance: gets the turn, of the same shape and type.
        """
        with f.loop(self.bins) as k:
            logs[k * LANES] = ln(magnitude[k * LANES].at_least(SMALLEST_MAGNITUDE))
        nothing = owner[0].filled(0)
        with f.carrying([nothing.filled(_ALONE), nothing], self.bins - 2, perhaps_none=True) as turn:
            k = self.bins - 2 - turn.index
            peak, valley = self._extrema(magnitude, k)
            last = peak & turn.values[0].equals(_ALONE)
            own = last.where(self._number(k), turn.values[0])
            step = last.where(self._turn_of_peak(f, logs, k), turn.values[1])
            owner[k * LANES], advance[k * LANES] = own, step
            turn.values = [valley.where(nothing.filled(_ALONE), own), valley.where(nothing, step)]
        centre = f.table(self._centres())

        def put(k: Ints, own: Ints, step: Ints) -> None:
            number = self._number(k)
            turned = step + (((number - own) & 1) << 31)
            alone = own.equals(_ALONE)
            owner[k * LANES] = alone.where(number, own)
            advance[k * LANES] = alone.where(centre.spread(k), turned)

        put(f.whole(0), *turn.values)
        with f.carrying(turn.values, self.bins - 1, start=1, perhaps_none=True) as turn:
            _, valley = self._extrema(magnitude, turn.index)
            at = turn.index * LANES
            turn.values = [valley.where(new[at], old) for new, old in zip((owner, advance), turn.values, strict=True)]
            put(turn.index, *turn.values)
        put(f.whole(self.bins - 1), *turn.values)

    def carry_on(self, f: Function, owner: Pointer, advance: Pointer, current: Pointer) -> None:
        """The phases of each frame from those of the frame before.

        Args:
            f: the function that gets the code.
            owner: see `owners`.
            advance: see `owners`; gets the phases.
            current: phases of two frames in turn, `[2][bins] int32`; the second are those of the frame before the
                block, and at the end those of its last frame.
        """
        with f.loop(LANES) as lane:
            odd = lane % 2
            before, now = current + (1 - odd) * self.bins, current + odd * self.bins
            with f.loop(self.bins) as k:
                at = k * LANES + lane
                phase = before.one(owner.one(at).wide()) + advance.one(at)
                now[k] = phase
                advance[at] = phase

    def spectrum(self, magnitude: Floats, phase: Ints) -> Complex:
        """The complex numbers of magnitudes and phases."""
        sine, cosine = sin_cos_turns(phase.as_floats() * 2.0**-32)
        return Complex(magnitude * cosine, magnitude * sine)

    def _extrema(self, magnitude: Pointer, k: Ints) -> tuple[Truth, Truth]:
        """Where bin k is a peak, and where it is a valley: the first bin of those that are equal."""
        left, middle, right = (magnitude[(k + i) * LANES] for i in (-1, 0, 1))
        return (middle > left) & (middle >= right), (middle < left) & (middle <= right)

    def _turn_of_peak(self, f: Function, logs: Pointer, k: Ints) -> Ints:
        """The turn over a hop at the frequency of the parabola through the logarithms at k - 1, k and k + 1."""
        below, top, above = (logs[(k + i) * LANES] for i in (-1, 0, 1))
        bend = (below - top * 2.0 + above).at_most(-_TINY)
        shift = ((below - above) * 0.5 / bend).within(-0.5, 0.5)
        aside = (shift * (self.hop_length / self.n_fft * 2.0**24)).truncated() << 8
        turn: Ints = f.table(self._centres()).spread(k) + aside
        return turn

    def _centres(self) -> NDArray[np.int32]:
        """The turn over a hop at the centre of each bin: k hop_length / n_fft turns."""
        turns = [k * self.hop_length * 2**32 // self.n_fft % 2**32 for k in range(self.bins)]
        return np.array(turns, np.uint32).view(np.int32)

    def _number(self, k: Ints) -> Ints:
        return k.narrow().in_lanes(LANES)
