"""The mel analysis of a signal by compiled kernels; by numpy where none can be compiled."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel_in_numpy import MelInNumpy
from pipeline.dsp.stft import window
from pipeline.kernels import log_mel
from pipeline.kernels.buffers import aligned
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.log_mel import LogMel, frames_together
from pipeline.kernels.mel_sums import MelSums
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, available
from pipeline.melspec import MelSpec


class MelAnalysis(Protocol):
    """What is measured of signals and mels. An object of this kind belongs to one thread."""

    def log_mel(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mel of the frames that lie fully in a stretch of signal, `[n_mels, frames] float32`.

        Args:
            signal: padded signal, `[samples] float32`, at least `n_fft` samples.
        """
        ...

    def to_linear(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """The filterbank outputs that have this mel where nothing was floored or clipped, both `[n_mels, frames]`."""
        ...

    def add_differences(self, one: NDArray[np.float32], other: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """Adds the absolute differences of two mels `[n_mels, frames] float32` to `sums[0]`."""
        ...

    def add_moments(self, mel: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """Adds the values of a mel `[n_mels, frames] float32` to `sums[0]`, and their squares to `sums[1]`."""
        ...


class _OfThread(threading.local):
    """The analyses of a thread, by contract: their scratch memory is used again."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=4)(_new_analysis)


def mel_analysis(spec: MelSpec) -> MelAnalysis:
    """The analysis of that contract that belongs to the calling thread. Do not keep it for another."""
    return _of_thread.of(spec)


def _new_analysis(spec: MelSpec) -> MelAnalysis:
    target = _target()
    return MelInNumpy(spec) if target is None else CompiledMel(spec, target)


def mel_analysis_name() -> str:
    """What mels are made by here: mels of equal names are the same bits, or, by "numpy", as near as rounding goes."""
    return "numpy" if _target() is None else "kernels"


def _target() -> Target | None:
    """What to compile for; None where numpy takes its place.

    That is where nothing can be compiled, and where the processor has no fused multiply-add, so that numpy is faster.
    """
    found = available()
    return None if isinstance(found, str) or found.slow else found


_of_thread = _OfThread()


class _Tables:
    """The arrays that the kernel of a contract reads; see `LogMel`."""

    def __init__(self, spec: MelSpec) -> None:
        self.window = window(spec) / 2
        bank = mel_filterbank(spec)
        self.bands, parts, begin = np.zeros((spec.n_mels, 3), np.int64), [], 0
        for band, row in enumerate(bank):
            covered = np.flatnonzero(row)
            first, stop = (covered[0], covered[-1] + 1) if len(covered) else (0, 1)
            self.bands[band] = first, stop, begin - first
            parts.append(row[first:stop])
            begin += stop - first
        self.weights = np.concatenate(parts)
        self.constants, self.mean, self.scale = mel_numbers(spec)


def mel_numbers(spec: MelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The numbers of a contract as kernels read them: `constants`, `mean` and `scale` of `LogMel`."""
    constants = {
        log_mel.MAGNITUDE_EPS: spec.magnitude_eps,
        log_mel.POWER_FLOOR: spec.power_floor,
        log_mel.ADDED_FLOOR: spec.floor if spec.flooring == "add" else 0.0,
        log_mel.FLOOR: spec.floor if spec.flooring == "max" else 0.0,
        log_mel.LOG_SCALE: spec.log_scale,
        log_mel.CLIP_LOW: -np.inf,
        log_mel.CLIP_HIGH: np.inf,
    }
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    if spec.normalization is not None:
        mean, scale = spec.normalization.mean, spec.normalization.scale
        if spec.normalization.clip is not None:
            constants[log_mel.CLIP_LOW], constants[log_mel.CLIP_HIGH] = spec.normalization.clip
    each_band = [
        np.ascontiguousarray(np.broadcast_to(np.array(each, np.float32), spec.n_mels)) for each in (mean, scale)
    ]
    return np.array([constants[i] for i in range(len(constants))], np.float32), each_band[0], each_band[1]


_tables = lru_cache(maxsize=16)(_Tables)


class CompiledMel:
    """A `MelAnalysis` by kernels: the same bits on every processor. It holds the kernels' scratch memory.

    Args:
        spec: contract of the mel.
        target: what the kernels are compiled for.
    """

    def __init__(self, spec: MelSpec, target: Target) -> None:
        self._spec, self._lanes, self._block = spec, frames_together(target), target.lanes
        recipe = LogMel(spec.n_fft, spec.hop_length, spec.power)
        kernels, sums = library(recipe, target), library(MelSums(), target)
        self._log_mel, self._mel_to_linear = kernels["log_mel"], kernels["mel_to_linear"]
        self._add_differences, self._add_moments = sums["add_differences"], sums["add_moments"]
        self._hops, t = recipe.hops(target), _tables(spec)
        # Scratch memory; z is float64, two float32 each.
        columns = aligned(spec.hop_length * self._hops)
        z = aligned(RealFourier(spec.n_fft).rows * 2 * self._lanes * 2)
        linear = aligned((1 + spec.n_fft // 2) * self._lanes)
        self._kept = columns, z, linear, t
        self._values = tuple(each.ctypes.data for each in (t.constants, t.mean, t.scale))
        self._scratch_and_tables = tuple(
            each.ctypes.data
            for each in (columns, t.window, z, linear, t.bands, t.weights, t.constants, t.mean, t.scale)
        )

    def log_mel(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `MelAnalysis.log_mel`. The last groups of frames are read from a copy with zeros after its end."""
        hop, lanes, hops = self._spec.hop_length, self._lanes, self._hops
        signal = np.ascontiguousarray(signal, np.float32)
        frames = 1 + (len(signal) - self._spec.n_fft) // hop
        groups = -(-frames // lanes)
        inside = min(groups, max(0, (len(signal) // hop - hops) // lanes + 1))
        mel = np.empty((self._spec.n_mels, groups * lanes), np.float32)
        if inside:
            self._run(signal, inside, mel, 0)
        if groups > inside:
            rest = np.zeros(((groups - inside - 1) * lanes + hops) * hop, np.float32)
            left = signal[inside * lanes * hop :][: len(rest)]
            rest[: len(left)] = left
            self._run(rest, groups - inside, mel, inside * lanes)
        return mel[:, :frames]

    def _run(self, signal: NDArray[np.float32], groups: int, mel: NDArray[np.float32], begin: int) -> None:
        """The frames of `groups` groups, from frame `begin` of the mel on."""
        bands, stride = mel.shape
        self._log_mel(signal.ctypes.data, *self._scratch_and_tables, bands, groups, mel.ctypes.data + 4 * begin, stride)

    def to_linear(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `MelAnalysis.to_linear`."""
        bands, frames = mel.shape
        padded = np.pad(np.asarray(mel, np.float32), ((0, 0), (0, -frames % self._block)))
        linear, stride = np.empty_like(padded), padded.shape[1]
        if frames:
            self._mel_to_linear(
                padded.ctypes.data, *self._values, bands, stride // self._block, linear.ctypes.data, stride
            )
        return linear[:, :frames]

    def add_differences(self, one: NDArray[np.float32], other: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """As `MelAnalysis.add_differences`."""
        (one, stride), (other, other_stride) = _rows(one), _rows(other)
        self._add_differences(one.ctypes.data, stride, other.ctypes.data, other_stride, *one.shape, sums.ctypes.data)

    def add_moments(self, mel: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """As `MelAnalysis.add_moments`."""
        mel, stride = _rows(mel)
        self._add_moments(mel.ctypes.data, stride, *mel.shape, sums.ctypes.data)


def _rows(mel: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """A mel with the values of a band side by side, and the distance of two bands in numbers."""
    if mel.dtype != np.float32 or mel.strides[1] != mel.itemsize:
        mel = np.ascontiguousarray(mel, np.float32)
    return mel, mel.strides[0] // mel.itemsize
