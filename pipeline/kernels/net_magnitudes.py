"""The last step of `lift`'s net: from its logarithms to magnitudes that have the corrected mel, one frame in each lane.

With bands y' of the corrected mel and bands y of the magnitudes, the energies of each bin are multiplied by the mean of
its bands' ratios y' / y, weighted by the filters; a few times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from pipeline.kernels.elementary import exp
from pipeline.kernels.filter_bands import Bands
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Ints

SMALLEST_BAND = 1e-9
"""Added to the energy of a band that is divided by."""
LARGEST_LOG = 20.0
"""Largest absolute value of the logarithm of a magnitude, and of a ratio."""
_LARGEST_BAND = 80.0  # the same of a band, so that its exponential is a float32
# Lanes of two vectors side by side, in turn: first of their first halves, then of their second ones.
_INTERLEAVED = [[lane // 2 + part * (LANES // 2) + lane % 2 * LANES for lane in range(LANES)] for part in range(2)]


@dataclass(frozen=True)
class NetMagnitudes:
    """The recipe of the magnitudes of a net.

    Its function `net_magnitudes(levels, found, segments, weights, room, wanted, rows, blocks, frames, before, updates,
    first, bands)` takes

        levels            natural logarithms of bins and of corrected bands, [frames][bins + mels]
        found             gets the magnitudes, [blocks][bins][LANES]; 0 in `before` lanes in front and after the frames
        segments, weights `BandTables` of a filterbank without gaps at its ends
        room              [bins + mels][LANES]
        wanted, rows      room, [bands + 2][LANES], zeros
        first             number of bands of the filterbank before those of the mel

    Args:
        bins: number of bins.
        mels: number of bands of the mel.
        power: power of the magnitudes that the bands sum up, 1 or 2.
    """

    bins: int
    mels: int
    power: int

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds `net_magnitudes`."""
        transpose = _transpose(module, self.bins + self.mels)
        f = Function(
            module,
            "net_magnitudes",
            "*levels *found *segments:int64 *weights *room *wanted *rows blocks frames before updates first bands",
            LANES,
        )
        levels, found, segments, weights, room, wanted, rows, blocks, frames, before, updates, first, count = (
            f.arguments
        )
        bands = Bands(f, segments, weights, count)
        with f.loop(blocks) as block:
            mine = found + block * (self.bins * LANES)
            begin = block * LANES - before
            f.call(transpose, levels, room, begin, frames)
            with f.loop(self.bins) as k:
                mine[k * LANES] = exp(room[k * LANES].within(-LARGEST_LOG, LARGEST_LOG) * float(self.power))
            with f.loop(self.mels) as band:
                value = room[(band + self.bins) * LANES].within(-_LARGEST_BAND, _LARGEST_BAND)
                wanted[(first + band + 1) * LANES] = exp(value)

            def ratio(row: Ints, energy: Floats) -> None:
                """1 for bands that are none of the mel's; their wanted energy is 0."""
                goal = wanted[row * LANES]
                apart = (goal / (energy + SMALLEST_BAND)).within(math.exp(-LARGEST_LOG), math.exp(LARGEST_LOG))
                rows[row * LANES] = (goal > 0).where(apart, goal.filled(1.0))

            def update(k: Ints, below: Floats, above: Floats) -> None:
                mine[k * LANES] = mine[k * LANES] * bands.mean(k, below, above)

            with f.loop(updates, perhaps_none=True):
                bands.sums(lambda k: mine[k * LANES], ratio)
                bands.over_bins(rows, update)
            there = _there(f, begin, frames)
            with f.loop(self.bins) as k:
                magnitude = mine[k * LANES] if self.power == 1 else mine[k * LANES].sqrt()
                mine[k * LANES] = magnitude * there
        f.end()


def _there(f: Function, begin: Ints, frames: Ints) -> Floats:
    """1 in the lanes of frames that there are, 0 in others."""
    lane = f.table(np.arange(LANES, dtype=np.int32))[0]
    number = begin.narrow().in_lanes(LANES) + lane
    inside = (number >= 0) & (number < frames.narrow().in_lanes(LANES))
    factor: Floats = inside.where(f.floats(1.0), f.floats(0.0))
    return factor


def _transpose(module: ir.Module, columns: int) -> Function:
    """From rows `[frames][columns]`, 16 of them from a frame on, to `[columns][LANES]`.

    Frames that there are not are replaced by the nearest. Four times, rows i and i + 8 are interleaved: each time, the
    highest bit of the row becomes the lowest of the column, and that of the column the lowest of the row.
    """
    f = Function(module, "transpose", "*given *turned begin frames", LANES)
    given, turned, begin, frames = f.arguments
    half, last = LANES // 2, max(columns - LANES, 0)
    starts = [(begin + lane).at_least(0).at_most(frames - 1) * columns for lane in range(LANES)]
    with f.loop(-(-columns // LANES)) as tile:
        column = (tile * LANES).at_most(last)
        rows = [given[start + column] for start in starts]
        for _ in range(LANES.bit_length() - 1):
            rows = [rows[i].shuffle(rows[i + half], lanes) for i in range(half) for lanes in _INTERLEAVED]
        for i, row in enumerate(rows):
            turned[(column + i) * LANES] = row
    return f.end()
