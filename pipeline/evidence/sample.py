"""A sample of the mels in a store, and the properties of its values that need no contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SAME = 1e-3  # values this near to each other, relative to the others, count as equal: float16 has steps of 5e-4
NO_LOGARITHM = 1e4  # float32's own range is 770 dB
LEAST_SHARE = 0.005  # of the values; fewer equal values do not count as a floor
NORMALIZED_MEAN = 0.5
_NORMALIZED_DEVIATION = (0.5, 1.6)


@dataclass(frozen=True)
class Sample:
    """Stretches of some utterances' mels.

    Args:
        mels: the stretches, `[n_mels, frames] float32` each, finite, as stored.
        utterances: number of utterances that the sample was taken from.
        keys: key of the utterance of each stretch; empty if they are not known.
    """

    mels: tuple[NDArray[np.float32], ...]
    utterances: int
    keys: tuple[str, ...] = ()

    @property
    def n_mels(self) -> int:
        """Number of bands."""
        return int(self.mels[0].shape[0])

    @property
    def frames(self) -> int:
        """Number of frames in all."""
        return sum(mel.shape[1] for mel in self.mels)

    def of(self, positions: Iterable[int]) -> Self:
        """The stretches at these positions alone."""
        chosen = list(positions)
        keys = tuple(self.keys[at] for at in chosen) if self.keys else ()
        return type(self)(tuple(self.mels[at] for at in chosen), self.utterances, keys)

    def joined(self) -> NDArray[np.float64]:
        """All frames, `[n_mels, frames] float64`, except a few damaged ones, which say nothing about a contract."""
        frames = np.concatenate(self.mels, axis=1).astype(np.float64)
        sound = (np.abs(frames) < NO_LOGARITHM).all(axis=0)
        return frames[:, sound] if sound.mean() > 0.5 else frames


@dataclass(frozen=True)
class Values:
    """Properties of the values of a sample, as stored.

    Args:
        lowest: lowest value.
        highest: highest value.
        floor: the lowest value, if many entries have it; else None.
        floor_share: share of the entries that have the lowest value.
        silence: mean value of the quietest frames: a tenth of all are quieter.
        speech: mean value of the loudest frames: a tenth of all are louder.
        bands: mean of each band, from the lowest to the highest.
        normalized: whether every band's mean is near 0 and its standard deviation near 1.
    """

    lowest: float
    highest: float
    floor: float | None
    floor_share: float
    silence: float
    speech: float
    bands: tuple[float, ...]
    normalized: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "bands": list(self.bands)}


def describe_values(sample: Sample) -> Values:
    """Measures a sample that has at least one frame."""
    values = sample.joined()
    lowest, highest = float(values.min()), float(values.max())
    share = float((values <= lowest + SAME * max(abs(lowest), float(np.median(np.abs(values))))).mean())
    quiet, loud = np.quantile(values.mean(axis=0), [0.1, 0.9])
    means, deviations = values.mean(axis=1), values.std(axis=1)
    return Values(
        lowest=lowest,
        highest=highest,
        floor=lowest if share >= LEAST_SHARE else None,
        floor_share=share,
        silence=float(quiet),
        speech=float(loud),
        bands=tuple(means.round(3).tolist()),
        normalized=bool(
            np.sqrt(np.mean(means**2)) < NORMALIZED_MEAN
            and _NORMALIZED_DEVIATION[0] < deviations.mean() < _NORMALIZED_DEVIATION[1]
        ),
    )
