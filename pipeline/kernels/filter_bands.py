"""A mel filterbank over blocks of frames: its sums, and the values of bands spread over bins.

Triangles whose corners follow each other cover a bin with at most two of them, and those are neighbours. So the bins
fall into segments: in segment g each bin lies in bands g - 1 and g, or in one of them, or in none. One sweep over the
bins adds to two sums, the later of which is the earlier one of the next segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.frame_blocks import LANES
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Index, Ints

_WEIGHTS = 4  # of each bin
_TINY = 1e-30  # so that a bin without a band has gain 0


@dataclass(frozen=True)
class BandTables:
    """A filterbank as kernels read it.

    Attributes:
        bands: number of bands.
        segments: the first bin of each segment, and the number of bins: `[bands + 2] int64`.
        weights: the weights of each bin in the band below and in the band above, and these two weights divided by
            their sum: `[bins, 4] float32`.
    """

    bands: int
    segments: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, bank: NDArray[np.float32]) -> BandTables:
        """The tables of a filterbank `[bands, bins] float32`."""
        bands, bins = bank.shape
        segment = np.zeros(bins, np.int64)
        for k in range(bins):
            covering = np.flatnonzero(bank[:, k])
            assert len(covering) <= 2, (k, covering)
            before = segment[k - 1] if k else 0
            # With one band, the bin may be in the segment below it or above it; with none, in any.
            segment[k] = max(before, covering[-1] if len(covering) else 0)
            assert not len(covering) or segment[k] - 1 <= covering[0], (k, covering)
        padded = np.pad(bank.astype(np.float64), ((1, 1), (0, 0)))
        both = np.stack([padded[segment, np.arange(bins)], padded[segment + 1, np.arange(bins)]], axis=1)
        shares = both / np.maximum(both.sum(axis=1, keepdims=True), _TINY)
        weights = np.concatenate([both, shares], axis=1).astype(np.float32)
        return cls(bands, np.searchsorted(segment, np.arange(bands + 2)), weights)


@dataclass(frozen=True, eq=False)
class Bands:
    """Code over the tables of a filterbank. Rows of bands begin with one that is not used: `[bands + 2][LANES]`.

    Args:
        f: the function that gets the code.
        segments: `BandTables.segments`.
        weights: `BandTables.weights`.
        count: number of bands.
    """

    f: Function
    segments: Pointer
    weights: Pointer
    count: Ints

    def sums(self, bins: Callable[[Ints], Floats], put: Callable[[Ints, Floats], None]) -> None:
        """Calls `put(row, sum)` for the sum of each band over `bins(k)`, with the band's row; rows are band + 1.

        Row 0 gets 0. The last row, after the bands, is not put.
        """
        nothing = self.f.floats(0.0)
        with self.f.carrying([nothing], self.count + 1) as segment:
            start, stop = self.segments.one(segment.index), self.segments.one(segment.index + 1)
            with self.f.carrying([segment.values[0], nothing], stop, start=start, perhaps_none=True) as turn:
                below, above = turn.values
                value, k = bins(turn.index), turn.index
                turn.values = [value.fma(self._weight(k, 0), below), value.fma(self._weight(k, 1), above)]
            put(segment.index, turn.values[0])
            segment.values = [turn.values[1]]

    def over_bins(self, rows: Pointer, use: Callable[[Ints, Floats, Floats], None]) -> None:
        """Calls `use(k, below, above)` for each bin with the values of its two bands, from rows of bands."""
        with self.f.loop(self.count + 1) as segment:
            start, stop = self.segments.one(segment), self.segments.one(segment + 1)
            below, above = rows[segment * LANES], rows[(segment + 1) * LANES]
            with self.f.loop(stop, start=start, perhaps_none=True) as k:
                use(k, below, above)

    def weighted(self, k: Ints, below: Floats, above: Floats) -> Floats:
        """The sum of two bands' values by a bin's weights in them."""
        return below.fma(self._weight(k, 0), above * self._weight(k, 1))

    def mean(self, k: Ints, below: Floats, above: Floats) -> Floats:
        """The mean of two bands' values by a bin's weights in them; 0 for a bin without a band."""
        return below.fma(self._weight(k, 2), above * self._weight(k, 3))

    def _weight(self, k: Index, which: int) -> Floats:
        weight: Floats = self.weights.spread(k * _WEIGHTS + which)
        return weight
