"""The mel analysis of a signal in numpy: where no kernel can be compiled, and in the tests of those that are.

It measures the same as the kernels, up to rounding: its bits depend on the processor, and on numpy's version.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.stft import framed, window
from pipeline.melspec import MelSpec

# Number of neighbouring bands whose bins are multiplied together. The filterbank is a narrow diagonal of weights, so
# twenty small products of 4 bands and their bins do a fraction of the work of a dense one. They are also too small for
# OpenBLAS to split among threads (below 4 * 65536 multiplications: its interface/gemm.c), which would change rounding.
_BANDS_TOGETHER = 4


class MelInNumpy:
    """A `MelAnalysis` in numpy.

    Args:
        spec: contract of the mel.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec

    def log_mel(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `MelAnalysis.log_mel`. A frame's rounding depends on its place in the signal, by the matrix products."""
        spec = self._spec
        # In double precision, as in librosa: single precision would add 1e-4 of noise from loud bins to quiet bands.
        spectrum = np.fft.rfft(framed(signal, spec) * window(spec)).astype(np.complex64).T
        power = spectrum.real**2 + spectrum.imag**2 + np.float32(spec.magnitude_eps)
        if spec.power_floor:
            np.maximum(power, np.float32(spec.power_floor), out=power)
        linear = np.sqrt(power) if spec.power == 1 else power
        bands = np.zeros((spec.n_mels, linear.shape[1]), np.float32)
        for rows, bins, weights in _filter_groups(spec):
            np.matmul(weights, linear[bins], out=bands[rows])
        return self._to_mel(bands)

    def _to_mel(self, linear: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel values of filterbank outputs, both `[n_mels, frames] float32`: floor, logarithm and normalization."""
        spec = self._spec
        floor = np.float32(spec.floor)
        values: NDArray[np.float32] = np.log(np.maximum(linear, floor) if spec.flooring == "max" else linear + floor)
        values *= np.float32(spec.log_scale)
        if spec.normalization is not None:
            values -= np.array(spec.normalization.mean, np.float32)[:, None]
            values /= np.array(spec.normalization.scale, np.float32)[:, None]
            if spec.normalization.clip is not None:
                np.clip(values, *np.array(spec.normalization.clip, np.float32), out=values)
        return values

    def to_linear(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `MelAnalysis.to_linear`."""
        spec, values = self._spec, mel
        if spec.normalization is not None:
            scale = np.array(spec.normalization.scale, np.float32)[:, None]
            values = values * scale + np.array(spec.normalization.mean, np.float32)[:, None]
        linear: NDArray[np.float32] = np.exp(values / np.float32(spec.log_scale))
        if spec.flooring == "add":
            linear = np.maximum(linear - np.float32(spec.floor), np.float32(0))
        return linear

    def add_differences(self, one: NDArray[np.float32], other: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """As `MelAnalysis.add_differences`."""
        sums[0] += np.abs(one - other).sum(dtype=np.float64)

    def add_moments(self, mel: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """As `MelAnalysis.add_moments`."""
        sums += mel.sum(dtype=np.float64), np.square(mel, dtype=np.float64).sum()


@lru_cache(maxsize=16)
def _filter_groups(spec: MelSpec) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
    """Blocks along the filterbank's diagonal: bands, the bins that they cover, and weights `[bands, bins] float32`."""
    bank = mel_filterbank(spec)
    groups = []
    for low in range(0, len(bank), _BANDS_TOGETHER):
        bands = slice(low, low + _BANDS_TOGETHER)
        covered = np.flatnonzero(bank[bands].any(axis=0))
        if len(covered):
            bins = slice(covered[0], covered[-1] + 1)
            groups.append((bands, bins, np.ascontiguousarray(bank[bands, bins])))
    return tuple(groups)
