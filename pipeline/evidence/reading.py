"""The values of a sample, read by a contract: the properties that the sound would have if the contract were true."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import mel_silence
from pipeline.dsp.stft import window
from pipeline.evidence.sample import Sample
from pipeline.melspec import MelSpec

AT_FLOOR = (
    0.1  # natural-log units of magnitude: an entry this near the floor counts as floored; float16 rounds by 0.008
)
BELOW = 0.7  # an entry this far below the floor counts as below it: acoustic models overshoot by a little
ABOVE_FLOOR = 1.0  # entries that are nearer to the floor are bent by it
LEAST_ENTRIES = 2000


@dataclass(frozen=True)
class Reading:
    """The properties of a sample by a contract. Logarithms are natural ones of magnitudes.

    Args:
        below: share of entries below the contract's floor.
        floored: share of entries at the contract's floor.
        level: level of the loudest frames, at the 99th percentile [dBFS]; a lower bound of the waveform's level.
        spread: standard deviation of the entries above the floor.
        roughness: median of |second difference over neighbouring bands| of entries above the floor; None if there are
            too few.
        bend: mean second difference at each band except the outer two, `[n_mels - 2] float64`.
        entries: number of entries in each mean, `[n_mels - 2] int64`.
    """

    below: float
    floored: float
    level: float
    spread: float
    roughness: float | None
    bend: NDArray[np.float64]
    entries: NDArray[np.int64]


def read_values(sample: Sample, spec: MelSpec) -> Reading:
    """Reads a sample by a contract with its number of bands."""
    logs = magnitude_logs(sample.joined(), spec)
    floor = magnitude_logs(mel_silence(spec)[:, None].astype(np.float64), spec)
    lowest = spec.natural_floor().min() / spec.power
    unfloored = logs > floor + ABOVE_FLOOR
    usable = unbent_entries(unfloored)
    three = usable[:-2] & usable[1:-1] & usable[2:]
    second = logs[:-2] - 2 * logs[1:-1] + logs[2:]
    entries = three.sum(axis=1)
    enough = entries.sum() >= LEAST_ENTRIES
    return Reading(
        below=float((logs < lowest - BELOW).mean()),
        floored=float((np.abs(logs - floor) < AT_FLOOR).mean()),
        level=_level(logs, spec),
        spread=float(logs[unfloored].std()) if unfloored.any() else 0.0,
        roughness=float(np.median(np.abs(second[three]))) if enough else None,
        bend=np.where(three, second, 0.0).sum(axis=1) / np.maximum(entries, 1),
        entries=entries,
    )


def unbent_entries(unfloored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The entries that no floor bends, of those that are above it: `[n_mels, frames]` to the same shape.

    A band that is mostly empty is bent, as is a frame that is mostly silent.
    """
    usable = unfloored & (unfloored.mean(axis=1) > 0.5)[:, None]
    return np.asarray(usable & (usable.sum(axis=0) > 0.9 * usable.any(axis=1).sum()))


def magnitude_logs(values: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    """Stored values as natural logarithms of the filterbank's magnitudes: `[n_mels, frames] float64` to the same shape.

    The normalization and a floor that was added are undone; where the contract's power is 2, the logarithms are halved.
    """
    if spec.normalization is not None:
        values = spec.normalization.undo(values)
    natural = values / spec.log_scale
    if spec.flooring == "add":
        # A value below the floor that was added has no logarithm. It stays below, so that it is noticed.
        linear = np.exp(np.minimum(natural, 80.0)) - spec.floor
        natural = np.where(linear > spec.floor, np.log(np.maximum(linear, spec.floor)), natural)
    return natural / spec.power


def _level(logs: NDArray[np.float64], spec: MelSpec) -> float:
    """Root mean square of the loudest frames [dBFS], by Parseval's theorem, from magnitudes that are flat in each band.

    Of all magnitudes with the same sum, flat ones have the least power, so this is a lower bound.
    """
    sums, form = _power_of_bands(spec)
    linear = np.exp(np.minimum(logs * spec.power, 80.0))
    density = linear / np.where(sums > 0, sums, np.inf)[:, None]
    power = form @ density if spec.power == 2 else np.sum(density * (form @ density), axis=0)
    squares = 2 * power / (spec.n_fft * np.sum(window(spec) ** 2))
    return float(10 * np.log10(np.quantile(squares, 0.99) + 1e-30))


@lru_cache(maxsize=64)
def _power_of_bands(spec: MelSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How the densities of bands, each flat over its filter, add up to the power of all bins.

    A bin's value is the mean of its bands' densities, weighted by their filters. If it is a power, the sum over bins is
    a sum over bands; if it is a magnitude, the sum of squares is a quadratic form of the bands, which are fewer.

    Returns:
        The sum of each filter, `[n_mels]`; and a weight for each band, `[n_mels]`, or the form, `[n_mels, n_mels]`.
    """
    bank = mel_filterbank(spec).astype(np.float64)
    covered = bank.sum(axis=0)
    shares = bank / np.where(covered > 0, covered, np.inf)
    return bank.sum(axis=1), shares.sum(axis=1) if spec.power == 2 else shares @ shares.T
