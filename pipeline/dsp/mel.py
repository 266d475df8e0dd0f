"""Log-mel spectrograms: the filterbank, the analysis of a waveform as a stream, and the range of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.stft import framed, window
from pipeline.melspec import MelSpec

# Number of frames analysed at once: 4 MB of windowed samples at n_fft 1024. Blocks start at multiples of it, however
# the waveform was cut into pieces, so that each frame is in the same matrix product and gets the same bits.
_BLOCK = 512

# Number of neighbouring bands whose bins are multiplied together. The filterbank is a narrow diagonal of weights, so
# twenty small products of 4 bands and their bins do a fraction of the work of a dense one. They are also too small for
# OpenBLAS to split among threads (below 4 * 65536 multiplications: its interface/gemm.c), which would change rounding.
_BANDS_TOGETHER = 4

# Slaney's mel scale, from M. Slaney, "Auditory Toolbox", Interval Research technical report 1998-010: linear below
# 1 kHz, which is 15 mels (200/3 Hz for each mel); above it 27 mels are a factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0


@lru_cache(maxsize=16)
def mel_filterbank(spec: MelSpec) -> NDArray[np.float32]:
    """The triangular filters, their corners evenly spaced in mels: `[n_mels, 1 + n_fft // 2] float32`, read-only."""
    low, high = _hz_to_mel(np.array([spec.fmin, spec.fmax]), spec)
    corners = _mel_to_hz(np.linspace(low, high, spec.n_mels + 2), spec)
    bins = np.arange(1 + spec.n_fft // 2) * (spec.bank_rate / spec.n_fft)
    ramps = corners[:, None] - bins
    rising, falling = -ramps[:-2] / np.diff(corners)[:-1, None], ramps[2:] / np.diff(corners)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        bank *= (2 / (corners[2:] - corners[:-2]))[:, None]
    single = bank.astype(np.float32)
    single.flags.writeable = False
    return single


@lru_cache(maxsize=16)
def filter_groups(spec: MelSpec) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
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


def _into_bands(linear: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Bands `[n_mels, frames] float32` of bins `[1 + n_fft // 2, frames] float32`: the filterbank times the bins."""
    bands = np.zeros((spec.n_mels, linear.shape[1]), np.float32)
    for rows, bins, weights in filter_groups(spec):
        np.matmul(weights, linear[bins], out=bands[rows])
    return bands


def _hz_to_mel(hz: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    if spec.mel_scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    above = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ_PER_MEL, above)


def _mel_to_hz(mel: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    if spec.mel_scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ_PER_MEL, above)


def linear_to_mel(linear: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Mel values of filterbank outputs, both `[n_mels, frames] float32`: floor, logarithm and normalization."""
    floor = np.float32(spec.floor)
    values: NDArray[np.float32] = np.log(np.maximum(linear, floor) if spec.flooring == "max" else linear + floor)
    values *= np.float32(spec.log_scale)
    if spec.normalization is not None:
        values -= np.array(spec.normalization.mean, np.float32)[:, None]
        values /= np.array(spec.normalization.scale, np.float32)[:, None]
        if spec.normalization.clip is not None:
            np.clip(values, *np.array(spec.normalization.clip, np.float32), out=values)
    return values


def mel_to_linear(mel: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The inverse of `linear_to_mel` where nothing was floored or clipped, both `[n_mels, frames] float32`."""
    values = mel
    if spec.normalization is not None:
        scale = np.array(spec.normalization.scale, np.float32)[:, None]
        values = values * scale + np.array(spec.normalization.mean, np.float32)[:, None]
    linear: NDArray[np.float32] = np.exp(values / np.float32(spec.log_scale))
    if spec.flooring == "add":
        linear = np.maximum(linear - np.float32(spec.floor), np.float32(0))
    return linear


def mel_silence(spec: MelSpec) -> NDArray[np.float32]:
    """The smallest values that a mel of this spec can hold, those of silence: `[n_mels] float32`."""
    quietest = max(spec.magnitude_eps, spec.power_floor) ** (spec.power / 2)
    bands = mel_filterbank(spec) @ np.full((1 + spec.n_fft // 2, 1), quietest, np.float32)
    return linear_to_mel(bands, spec)[:, 0]


def mel_ceiling(spec: MelSpec) -> NDArray[np.float32]:
    """Values that no waveform within [-1, 1] exceeds: `[n_mels] float32`.

    The magnitude of a bin is at most the sum of the window (triangle inequality). So a band is at most the sum of its
    filter times that, to the spec's power.
    """
    loudest = max(np.sum(window(spec)) ** 2 + spec.magnitude_eps, spec.power_floor) ** (spec.power / 2)
    bands = mel_filterbank(spec) @ np.full((1 + spec.n_fft // 2, 1), loudest, np.float32)
    return linear_to_mel(bands, spec)[:, 0]


class LogMelStream:
    """The log-mel spectrogram of a waveform that arrives in consecutive pieces, in bounded memory.

    Frames are those of the whole waveform, reflect-padded at its true ends; they are the same bits however it was cut.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        # Room for a block of frames, and for the samples after it that the padding at the end reflects.
        hop = spec.hop_length
        capacity = max((_BLOCK - 1) * hop + spec.n_fft, _BLOCK * hop + spec.padding + 1)
        self._held = np.zeros(capacity, np.float32)
        self._filled = spec.padding  # room for the padding in front, which is reflected once the samples are there
        self._at_start = True

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes the next samples, and returns the frames that they complete, in whole blocks.

        Args:
            samples: the next samples, `[samples] float32`, any number.

        Returns:
            `[n_mels, k] float32`; k is often 0.
        """
        hop, padding = self._spec.hop_length, self._spec.padding
        done = []
        while len(samples):
            piece, samples = np.split(samples, [len(self._held) - self._filled])
            self._held[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            if self._filled < len(self._held):
                break
            if self._at_start:
                self._held[:padding] = self._held[2 * padding : padding : -1]
                self._at_start = False
            done.append(self._analyse(self._held[: (_BLOCK - 1) * hop + self._spec.n_fft]))
            self._filled -= _BLOCK * hop
            self._held[: self._filled] = self._held[_BLOCK * hop :].copy()
        return self._joined(done)

    def finish(self) -> NDArray[np.float32]:
        """Ends the waveform and returns its last frames, `[n_mels, k] float32`; k is 0 if there was no sample."""
        hop, n_fft, padding = self._spec.hop_length, self._spec.n_fft, self._spec.padding
        held = self._held[padding if self._at_start else 0 : self._filled]
        if not len(held):
            return self._joined([])
        padded = np.pad(held, (padding if self._at_start else 0, padding), mode="reflect")
        frames = max(0, 1 + (len(padded) - n_fft) // hop)
        starts = range(0, frames, _BLOCK)
        return self._joined(
            [self._analyse(padded[i * hop : (min(i + _BLOCK, frames) - 1) * hop + n_fft]) for i in starts]
        )

    def _joined(self, blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate([np.empty((self._spec.n_mels, 0), np.float32), *blocks], axis=1)

    def _analyse(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames of a padded stretch of signal, at most a block of them: `[n_mels, frames] float32`."""
        spec = self._spec
        # In double precision, as in librosa: single precision would add 1e-4 of noise from loud bins to quiet bands.
        spectrum = np.fft.rfft(framed(signal, spec) * window(spec)).astype(np.complex64).T
        power = spectrum.real**2 + spectrum.imag**2 + np.float32(spec.magnitude_eps)
        if spec.power_floor:
            np.maximum(power, np.float32(spec.power_floor), out=power)
        return linear_to_mel(_into_bands(np.sqrt(power) if spec.power == 1 else power, spec), spec)


def log_mel_blocks(pieces: Iterable[NDArray[np.float32]], spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    """The log-mel spectrogram of a waveform given in pieces `[samples] float32`, as blocks `[n_mels, k] float32`."""
    stream = LogMelStream(spec)
    for piece in pieces:
        if (block := stream.push(piece)).shape[1]:
            yield block
    if (block := stream.finish()).shape[1]:
        yield block


def log_mel(waveform: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The log-mel spectrogram of a waveform.

    Args:
        waveform: the waveform, `[samples] float32`, full scale at 1.
        spec: contract of the mel.

    Returns:
        `[n_mels, spec.frames(samples)] float32`; no frames for no samples.
    """
    mel = np.empty((spec.n_mels, spec.frames(len(waveform)) if len(waveform) else 0), np.float32)
    piece = _BLOCK * spec.hop_length
    done = 0
    for block in log_mel_blocks((waveform[i : i + piece] for i in range(0, len(waveform), piece)), spec):
        mel[:, done : done + block.shape[1]] = block
        done += block.shape[1]
    return mel
