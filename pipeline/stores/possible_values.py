"""Which values a log-mel of a contract can hold at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import mel_ceiling
from pipeline.melspec import MelSpec

LOUD_MARGIN = 3.0
"""Natural-log units by which a predicted mel may exceed the loudest waveform: a factor of 20 in magnitude."""
_LEAST_LOG = float(np.log(np.finfo(np.float32).smallest_subnormal)) - 1


@dataclass(frozen=True)
class PossibleValues:
    """The range of values that a log-mel of a contract can hold; values beyond it are damaged, or of another contract.

    Args:
        low: lowest possible value of each band: the logarithm of the smallest float32.
        high: highest possible value of each band: `LOUD_MARGIN` above what any waveform in [-1, 1] gives, since
            predicted mels may be too loud.

    Both have `n_mels` values, and axes of length 1, in the axis order of the array that holds the mel.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(cls, spec: MelSpec | None, n_mels: int, mel_axis: int, dimensions: int) -> PossibleValues | None:
        """The range for an array; None if there is no contract, or it is for another number of bands.

        Args:
            spec: mel contract, if one is known.
            n_mels: number of bands in the array.
            mel_axis: axis of the array that holds the bands.
            dimensions: number of axes of the array.
        """
        if spec is None or spec.n_mels != n_mels:
            return None
        shape = [1] * dimensions
        shape[mel_axis] = n_mels
        mean, scale = (0.0, 1.0) if spec.normalization is None else (spec.normalization.mean, spec.normalization.scale)
        low = (_LEAST_LOG * spec.log_scale - np.asarray(mean)) / np.asarray(scale)
        high = mel_ceiling(spec) + LOUD_MARGIN * spec.log_scale / np.asarray(scale)
        both = (np.broadcast_to(each, n_mels).astype(np.float32).reshape(shape) for each in (low, high))
        return cls(*both)

    def beyond(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which values are not possible."""
        return (values < self.low) | (values > self.high)

    def allowed(self, band: int) -> str:
        """What a band may have, as text for an error."""
        return (
            f"is not possible under the mel contract, which allows {self.low.flat[band]:.1f} to "
            f"{self.high.flat[band]:.1f} there; the values are damaged, or they have another contract"
        )
