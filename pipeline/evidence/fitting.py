"""Whether a stretch of a mel certainly contradicts nothing, by bounds and counts instead of the measures themselves.

Nearly every utterance of a corpus passes here, in a fraction of the time that `contradictions` takes, which judges the
others. Bounds are on the safe side of what `read_values` and `describe_values` measure, so that a stretch that passes
has no contradiction.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import mel_silence
from pipeline.dsp.stft import window
from pipeline.evidence.reading import ABOVE_FLOOR, AT_FLOOR, BELOW, LEAST_ENTRIES, magnitude_logs
from pipeline.evidence.sample import LEAST_SHARE, NO_LOGARITHM, NORMALIZED_MEAN, SAME
from pipeline.evidence.verdict import (
    LEAST_FRAMES,
    LEAST_SPREAD,
    MOST_BELOW,
    MOST_LEVEL,
    NORMALIZED_AGAIN,
    NOT_NORMALIZED,
    ROUGH,
    one_for_all,
)
from pipeline.melspec import MelSpec

_ROUNDING = 1e-3
"""More than the rounding of float32 differences of values up to 1,000, and of means of values up to 100."""

_Logs = NDArray[np.floating[Any]]


class Fitting:
    """The bounds of a contract.

    Args:
        spec: the contract.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        self._plain = (spec.log, spec.power, spec.flooring, spec.normalization) == ("ln", 1, "max", None)
        dtype = np.float32 if self._plain else np.float64
        self._floor = magnitude_logs(mel_silence(spec)[:, None].astype(np.float64), spec)
        self._unfloored = _at_most(self._floor + ABOVE_FLOOR, dtype)
        self._lowest = float(spec.natural_floor().min()) / spec.power - BELOW + _ROUNDING
        self._level = _level_weights(spec)
        self._levels = float(self._level.sum())
        self._most_level = 10 ** ((MOST_LEVEL - 0.1) / 10)

    def certain(self, mel: NDArray[np.float32]) -> bool:
        """Whether a stretch has no contradiction for certain.

        Args:
            mel: the stretch, `[n_mels, frames] float32`, finite, as stored, with the contract's number of bands.
        """
        if mel.shape[1] >= LEAST_FRAMES:  # long enough to judge its filterbank
            return False
        lowest, highest = float(np.minimum.reduce(mel, axis=None)), float(np.maximum.reduce(mel, axis=None))
        largest = max(highest, -lowest)
        if not largest < NO_LOGARITHM / 10:
            return False
        logs: _Logs = mel if self._plain else magnitude_logs(mel.astype(np.float64), self._spec)
        plainly_quiet = self._plain and self._levels * math.exp(min(2 * highest, 80.0)) < self._most_level
        return (
            ((self._plain and lowest >= self._lowest) or self._not_below(logs))
            and (plainly_quiet or self._not_loud(logs))
            and self._not_rescaled(mel, largest)
            and self._not_cut_off(mel, logs, lowest, largest)
            and self._not_stretched(logs)
        )

    def _not_below(self, logs: _Logs) -> bool:
        return bool(np.count_nonzero(logs < self._lowest) <= MOST_BELOW * logs.size)

    def _not_loud(self, logs: _Logs) -> bool:
        """Whether a frame that has the largest value of each band would not be too loud."""
        squares = self._level @ np.exp(np.minimum(2.0 * logs.max(axis=1), 80.0))
        return bool(squares < self._most_level)

    def _not_rescaled(self, mel: NDArray[np.float32], largest: float) -> bool:
        """Whether the values neither look normalized where they should not be, nor the other way round."""
        error = _ROUNDING * max(1.0, largest / 100)
        least = (NORMALIZED_MEAN if self._spec.normalization is None else NORMALIZED_AGAIN) + error
        by_band = self._spec.normalization is not None and not one_for_all(self._spec)
        # The root mean square of bands' means is at least the size of their mean.
        if not by_band and abs(float(np.add.reduce(mel, axis=None))) > least * mel.size:
            return True
        mean = float(np.sqrt(np.square(mel.mean(axis=1), dtype=np.float64).mean()))
        return mean < NOT_NORMALIZED - error if by_band else mean > least

    def _not_cut_off(self, mel: NDArray[np.float32], logs: _Logs, lowest: float, largest: float) -> bool:
        """Whether the values do not end at a floor, or at that of the contract."""
        if np.count_nonzero(mel <= np.float32(lowest + 1.01 * SAME * largest)) < LEAST_SHARE * mel.size:
            return True
        return bool((np.abs(logs.min(axis=1) - self._floor[:, 0]) < AT_FLOOR - _ROUNDING).any())

    def _not_stretched(self, logs: _Logs) -> bool:
        """Whether the median second difference over neighbouring bands lies within the bounds, or does not count."""
        if (len(logs) - 2) * logs.shape[1] < LEAST_ENTRIES:
            return True
        unfloored = logs > self._unfloored
        second = np.abs(logs[:-2] - 2 * logs[1:-1] + logs[2:])
        if not unfloored.all():
            full = np.count_nonzero(unfloored, axis=1) * 2 > logs.shape[1]
            usable = unfloored & full[:, None]
            usable &= np.count_nonzero(usable, axis=0) > 0.9 * np.count_nonzero(full)
            second = second[usable[:-2] & usable[1:-1] & usable[2:]]
        if second.size < LEAST_ENTRIES:
            return True
        half = (second.size - 1) // 2
        if np.count_nonzero(second > ROUGH[1] - _ROUNDING) > half:
            return False
        if np.count_nonzero(second < ROUGH[0] + _ROUNDING) <= half:
            return True
        return bool(logs[unfloored].std(dtype=np.float64) > LEAST_SPREAD + _ROUNDING)


@lru_cache(maxsize=16)
def fitting(spec: MelSpec) -> Fitting:
    """The bounds of a contract."""
    return Fitting(spec)


def _at_most(values: NDArray[np.float64], dtype: Any) -> _Logs:
    """The largest numbers of a type that are not above the values: `x > value` stays as true for each x of the type."""
    rounded = values.astype(dtype)
    return np.where(rounded > values, np.nextafter(rounded, np.array(-np.inf, dtype)), rounded)


def _level_weights(spec: MelSpec) -> NDArray[np.float64]:
    """The w of each band `[n_mels] float64` with which sum(w e^(2 log)) is at least a frame's mean square.

    `read_values` spreads each band's magnitude d over its bins: a bin's is the mean of its bands' by their weights. The
    square of a mean is at most the mean of squares, so the sum over bins is at most sum(d^2 c), where c is the sum of
    the band's shares in its bins.
    """
    bank = mel_filterbank(spec).astype(np.float64)
    sums, covered = bank.sum(axis=1), bank.sum(axis=0)
    shares = (bank / np.where(covered > 0, covered, np.inf)).sum(axis=1)
    density = np.where(sums > 0, sums, np.inf) ** (2 / spec.power)
    return np.asarray(2 * shares / density / (spec.n_fft * np.sum(window(spec) ** 2)))
