"""The phase stage in plain numpy, which the kernels are compared with: see `pipeline.dsp.phase`."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from support.numpy_start_phases import PHASE_BLOCK, SMALLEST_MAGNITUDE, TINY, started_spectra
from support.numpy_stft import stft

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.stft import framed, istft
from pipeline.melspec import MelSpec

Method = Literal["fast-griffin-lim", "admm"]

# Number of bins whose bands are multiplied together. The filterbank is a narrow diagonal of weights, so a few products
# of neighbouring bands and their bins do a quarter of the work of a dense one. They are also too small for OpenBLAS to
# split among threads (below 4 * 65536 multiplications: its interface/gemm.c), which would change rounding.
_BINS_TOGETHER = 128

# The level of bins without a band is kept by extra bands of this number of bins, about as wide as the highest bands of
# a mel. Keeping each bin's magnitude would lose more of the level: the more alike magnitudes are, the less overlapping
# frames agree.
_UNCOVERED_BINS = 16


def reconstruct(
    magnitude: NDArray[np.float32],
    spec: MelSpec,
    iterations: int = 32,
    method: Method = "fast-griffin-lim",
    first_frame: int = 0,
    anchor: float = 0.0,
) -> NDArray[np.float32]:
    """The waveform `[samples] float32` that `pipeline.dsp.phase.reconstruct_blocks` makes, by numpy.

    Args:
        magnitude: the magnitudes, `[1 + n_fft // 2, frames] float32`; other arguments as there.
    """
    before = first_frame % PHASE_BLOCK
    wanted = np.ascontiguousarray(np.pad(magnitude.T, ((before, 0), (0, 0))))
    parts = [slice(start, start + PHASE_BLOCK) for start in range(0, len(wanted), PHASE_BLOCK)]
    started = started_spectra(wanted, spec, first_frame - before)
    block_of = _FastGriffinLim if method == "fast-griffin-lim" else _Admm
    blocks = [block_of(started[part], _Bands(wanted[part], spec, anchor)) for part in parts]
    for _ in range(iterations):
        frames = framed(istft([block.spectrum for block in blocks], spec), spec)
        for block, part in zip(blocks, parts, strict=True):
            block.step(stft(frames[part], spec))
    signal = istft([block.result() for block in blocks], spec)
    return signal[before * spec.hop_length + spec.padding : len(signal) - spec.padding]


class _FastGriffinLim:
    """With the projection t[n] = P c[n-1], the next phases are those of t[n] + momentum (t[n] - t[n-1]).

    Source: N. Perraudin, P. Balazs and P. Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013; the momentum is
    that of the paper.
    """

    _INERTIA = np.float32(-0.99 / 1.99)

    def __init__(self, started: NDArray[np.complex64], bands: _Bands) -> None:
        self.spectrum = started
        self._bands = bands
        self._before = np.zeros_like(started)

    def step(self, projected: NDArray[np.complex64]) -> None:
        """The next spectrum, from P of this one."""
        direction, self._before = self._before, projected
        direction.view(np.float32)[:] *= self._INERTIA
        direction += projected
        self.spectrum = self._bands.fitted(direction, np.abs(projected))

    def result(self) -> NDArray[np.complex64]:
        """The spectrum at the end."""
        return self.spectrum


class _Admm:
    """The alternating direction method of multipliers: x = A(z - u), z = (r (x + u) + P(x + u)) / (1 + r), u += x - z.

    Source: Y. Masuyama, K. Yatabe and Y. Oikawa, "Griffin-Lim like phase recovery via alternating direction method of
    multipliers", IEEE Signal Processing Letters 26, 2019. A momentum is added to z - u.

    From a net's magnitudes, 8 iterations reach the PESQ of 16 of fast Griffin-Lim, and 16 reach 0.16 more. From a flat
    start they gain nothing (22 kHz) or lose 0.3 (16 kHz), and the mel is a tenth farther off. Penalties of 0 to 1 and
    momenta of 0 to 0.8 were tried, and these are the best; with a momentum of 0.4 it diverges.
    """

    _PENALTY, _MOMENTUM = np.float32(0.1), np.float32(0.2)

    def __init__(self, started: NDArray[np.complex64], bands: _Bands) -> None:
        self._bands = bands
        self._estimate = started  # z - u, except for a factor
        self.spectrum = self.result()  # x + u

    def step(self, projected: NDArray[np.complex64]) -> None:
        """The next spectrum, from P of this one."""
        dual, estimate = self.spectrum, self._estimate
        dual -= projected
        dual.view(np.float32)[:] *= 1 / (1 + self._PENALTY)
        estimate.view(np.float32)[:] *= -self._MOMENTUM
        estimate += projected
        estimate += np.multiply(dual.view(np.float32), self._PENALTY - 1).view(np.complex64)
        dual += self.result()

    def result(self) -> NDArray[np.complex64]:
        """The spectrum at the end, x."""
        return self._bands.fitted(self._estimate, np.abs(self._estimate))


class _Bands:
    """The wanted bands of a block of frames, and how magnitudes are scaled to them.

    Args:
        wanted: the wanted magnitudes, `[frames, bins] float32`, at most a block of frames.
        spec: contract of the mel.
        anchor: weight of the wanted magnitudes; see `reconstruct`.
    """

    def __init__(self, wanted: NDArray[np.float32], spec: MelSpec, anchor: float) -> None:
        self._anchor = np.float32(1 - anchor)
        self._kept = wanted * np.float32(anchor) if anchor else None
        self._power = spec.power
        self._filters = _filters(spec)
        self._frames, self._bands = len(wanted), self._filters[-1][0].stop
        self._wanted = self._energies(wanted)

    def fitted(self, direction: NDArray[np.complex64], present: NDArray[np.float32]) -> NDArray[np.complex64]:
        """A spectrum `[frames, bins] complex64` with the phases of a direction, scaled to the wanted bands.

        Args:
            direction: spectrum that gives the phases, of the same shape.
            present: magnitudes to scale, `[frames, bins] float32`; they are overwritten.
        """
        length = np.abs(direction)
        np.maximum(length, SMALLEST_MAGNITUDE, out=length)
        return direction * np.divide(self._scaled(present), length, out=length)

    def _scaled(self, present: NDArray[np.float32]) -> NDArray[np.float32]:
        """Magnitudes `[frames, bins] float32` scaled, in place, towards the wanted bands."""
        if self._kept is not None:
            present *= self._anchor
            present += self._kept
        ratio = self._energies(present)
        np.maximum(ratio, TINY, out=ratio)
        np.divide(self._wanted, ratio, out=ratio)
        gain = np.zeros((PHASE_BLOCK, present.shape[1]), np.float32)
        for rows, bins, _, spread in self._filters:
            gain[:, bins] += ratio[:, rows] @ spread
        if self._power == 2:
            np.sqrt(gain, out=gain)
        present *= gain[: self._frames]
        return present

    def _energies(self, magnitude: NDArray[np.float32]) -> NDArray[np.float32]:
        """The bands `[PHASE_BLOCK, bands] float32` of magnitudes `[frames, bins] float32`; 0 after the last frame."""
        linear = magnitude if self._power == 1 else magnitude**2
        if len(linear) < PHASE_BLOCK:  # a matrix product rounds by its shape, so the shape is always the same
            linear = np.pad(linear, ((0, PHASE_BLOCK - len(linear)), (0, 0)))
        bands = np.empty((PHASE_BLOCK, self._bands), np.float32)
        for rows, bins, weights, _ in self._filters:
            bands[:, rows] = linear[:, bins] @ weights
        return bands


@lru_cache(maxsize=16)
def _filters(spec: MelSpec) -> tuple[tuple[slice, slice, NDArray[np.float32], NDArray[np.float32]], ...]:
    """The filterbank in a few blocks along its diagonal, in both directions.

    Returns:
        For each block: its bands; the bins that they cover; weights `[bins, bands] float32`, which sum bins; and
        weights `[bands, bins] float32`, which spread the values of bands over bins and sum to 1 for each bin.
    """
    bank = _with_ends(mel_filterbank(spec))
    sums = np.maximum(bank.sum(axis=0), TINY)
    blocks = []
    first = 0
    while first < len(bank):
        last = first + 1
        low, high = _extent(bank[first:last])
        while last < len(bank) and (wider := _extent(bank[first : last + 1]))[1] - wider[0] <= _BINS_TOGETHER:
            last, (low, high) = last + 1, wider
        part = bank[first:last, low:high]
        blocks.append(
            (
                slice(first, last),
                slice(low, high),
                np.ascontiguousarray(part.T),
                np.ascontiguousarray(part / sums[low:high]),
            )
        )
        first = last
    return tuple(blocks)


def _with_ends(bank: NDArray[np.float32]) -> NDArray[np.float32]:
    """A filterbank `[bands, bins] float32` with flat bands over the bins at its ends that no band covers."""
    bins = bank.shape[1]
    covered = np.flatnonzero(bank.any(axis=0))

    def level(first: int, last: int) -> NDArray[np.float32]:
        starts = np.arange(first, last, _UNCOVERED_BINS)[:, None]
        inside = (np.arange(bins) >= starts) & (np.arange(bins) < np.minimum(starts + _UNCOVERED_BINS, last))
        return inside.astype(np.float32)

    return np.concatenate([level(0, covered[0]), bank, level(covered[-1] + 1, bins)])


def _extent(filters: NDArray[np.float32]) -> tuple[int, int]:
    covered = np.flatnonzero(filters.any(axis=0))
    return (int(covered[0]), int(covered[-1]) + 1) if len(covered) else (0, 0)
