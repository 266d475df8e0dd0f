"""Non-negative least squares over a mel filterbank, from a flat start, one frame in each lane.

D. Lee and H. Seung, "Algorithms for non-negative matrix factorization", NIPS 13 (2001), theorem 1, with a fixed
filterbank B: m <- m * (B' y) / (B' B m).
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.filter_bands import Bands
from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Ints

_TINY = 1e-30
"""Added to denominators; smaller than all values in them (1e-16 for squared magnitudes at a floor of 1e-10)."""


@dataclass(frozen=True)
class NonnegativeLeastSquares:
    """The recipe of the magnitudes of mels.

    Its function `magnitudes(wanted, found, segments, weights, numerators, rows, blocks, updates, bands)` takes

        wanted            linear bands, a row of zeros before and after them, [blocks][bands + 2][LANES]
        found             gets the magnitudes, [blocks][bins][LANES]
        segments, weights `BandTables` of the filterbank
        numerators        room, [bins][LANES]
        rows              room, [bands + 2][LANES], zeros

    Args:
        bins: number of bins.
        power: power of the magnitudes that the bands sum up, 1 or 2.
    """

    bins: int
    power: int

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds `magnitudes`."""
        f = Function(
            module,
            "magnitudes",
            "*wanted *found *segments:int64 *weights *numerators *rows blocks updates bands",
            LANES,
        )
        wanted, found, segments, weights, numerators, rows, blocks, updates, count = f.arguments
        bands = Bands(f, segments, weights, count)
        with f.loop(blocks) as block:
            mine = found + block * (self.bins * LANES)

            def begin(k: Ints, below: Floats, above: Floats) -> None:
                numerators[k * LANES] = bands.weighted(k, below, above)
                mine[k * LANES] = below.filled(1.0)

            def put(row: Ints, energy: Floats) -> None:
                rows[row * LANES] = energy

            def update(k: Ints, below: Floats, above: Floats) -> None:
                denominator = bands.weighted(k, below, above) + _TINY
                mine[k * LANES] = mine[k * LANES] * (numerators[k * LANES] / denominator)

            bands.over_bins(wanted + block * ((count + 2) * LANES), begin)
            with f.loop(updates, perhaps_none=True):
                bands.sums(lambda k: mine[k * LANES], put)
                bands.over_bins(rows, update)
            if self.power == 2:
                with f.loop(self.bins) as k:
                    mine[k * LANES] = mine[k * LANES].sqrt()
        f.end()
