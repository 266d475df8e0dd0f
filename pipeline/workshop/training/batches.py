"""Batches for the steps of a training: stretches of speech as clean magnitudes, and their mels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.stft import window
from pipeline.melspec import MelSpec
from pipeline.workshop.training.net import SMALLEST_LOG_MAGNITUDE
from pipeline.workshop.training.speech import Recording

# Share of a recording's bandwidth that is used: its low-pass filter begins below the bandwidth.
_USABLE_BANDWIDTH = 0.95
# Range of levels of the speech, relative to the level at which it was read [dB].
_QUIETEST, _LOUDEST = -18.0, 0.5
# If there is a teacher, the share of stretches that are taken from what it has vocoded.
_TAUGHT_SHARE = 0.35
# Share of those stretches whose mel is that of the teacher's waveform.
_ROUND_TRIP_SHARE = 0.3
# Share of the stretches without a teacher that are played faster or slower, and the largest change in octaves: they
# sound like higher or lower voices than those at hand, with shorter or longer vocal tracts.
_RESAMPLED_SHARE, _FURTHEST_OCTAVES = 0.5, 0.25
# Number of frames and bins over which the teacher's power is averaged: the target is a level, as noise is not
# predictable.
_LEVEL_SIZE = 5


@dataclass(frozen=True)
class Batch:
    """Stretches of speech.

    Args:
        given: input of the net, `[batch, frames, n_mels] float32`, natural logarithms: the clean mel, or the mel of the
            teacher's waveform.
        mel: clean mel, of the same shape.
        log_magnitude: target, `[batch, frames, bins] float32`, natural logarithms.
        known: mask of the bins whose target is known, `[batch, 1, bins] float32` of 0 and 1.
    """

    given: Tensor
    mel: Tensor
    log_magnitude: Tensor
    known: Tensor


class Batches:
    """Draws batches from utterances, evenly over their durations.

    Args:
        utterances: recordings to draw from; those that are too short are left out.
        taught: waveforms that a teacher made of the mels, `[samples] float32`, by the utterance's key; the target above
            the utterance's bandwidth.
        spec: contract of the mels.
        size: number of stretches in a batch.
        frames: number of frames of a stretch.
    """

    def __init__(
        self,
        utterances: Sequence[Recording],
        taught: dict[str, NDArray[np.float32]],
        spec: MelSpec,
        size: int = 16,
        frames: int = 64,
    ) -> None:
        self._spec, self._size, self._frames = spec, size, frames
        self._samples = (frames - 1) * spec.hop_length + spec.n_fft
        fit = [utterance for utterance in utterances if len(utterance.waveform) >= self._samples]
        self._taught = taught
        self._pools = [fit, [utterance for utterance in fit if utterance.key in taught]]
        self._edges = [np.cumsum([0, *(len(utterance.waveform) for utterance in pool)]) for pool in self._pools]
        self._window = torch.tensor(window(spec), dtype=torch.float32)
        self._bank = torch.tensor(mel_filterbank(spec))
        self._hertz = torch.arange(1 + spec.n_fft // 2) * (spec.sample_rate / spec.n_fft)

    @property
    def taught(self) -> NDArray[np.bool_]:
        """Bins that have a target anywhere, `[bins] bool`."""
        widest = max(utterance.bandwidth for utterance in self._pools[0])
        known: NDArray[np.bool_] = self._below(widest).numpy() > 0
        return known | bool(self._pools[1])

    def __len__(self) -> int:
        """Number of utterances that are long enough."""
        return len(self._pools[0])

    def draw(self, random: np.random.Generator) -> Batch:
        """The next batch."""
        heard, taught, below, known, again = [], [], [], [], []
        for _ in range(self._size):
            pool = int(bool(self._pools[1]) and random.random() < _TAUGHT_SHARE)
            utterance, start = self._place(pool, random)
            gain = np.float32(10 ** (random.uniform(_QUIETEST, _LOUDEST) / 20))
            stretch = slice(start, start + self._samples)
            teacher = self._taught.get(utterance.key)
            speed = 1.0 if teacher is not None else self._speed(len(utterance.waveform) - start, random)
            heard.append(self._played(utterance.waveform, start, speed) * gain)
            taught.append(heard[-1] if teacher is None else teacher[stretch] * gain)
            below.append(self._below(utterance.bandwidth * speed))
            known.append(below[-1] if teacher is None else torch.ones_like(below[-1]))
            again.append(teacher is not None and random.random() < _ROUND_TRIP_SHARE)
        power = target = self._power(heard)
        mel = given = self._mel(power)
        if self._taught:
            other = self._power(taught)
            level = functional.avg_pool2d(other, _LEVEL_SIZE, 1, _LEVEL_SIZE // 2, count_include_pad=False)
            target = torch.where(torch.stack(below)[:, None] > 0, power, level)
            given = torch.where(torch.tensor(again)[:, None, None], self._mel(other), mel)
        return Batch(given, mel, self._logs(target), torch.stack(known)[:, None])

    def statistics(self, random: np.random.Generator, batches: int = 20) -> tuple[NDArray[np.float32], float]:
        """Mean of each band `[n_mels] float32`, and the standard deviation over all bands."""
        mels = torch.cat([self.draw(random).mel for _ in range(batches)]).flatten(0, 1)
        return mels.mean(0).numpy(), float((mels - mels.mean(0)).std())

    def _place(self, pool: int, random: np.random.Generator) -> tuple[Recording, int]:
        edges = self._edges[pool]
        number = int(np.searchsorted(edges, random.integers(edges[-1]), side="right")) - 1
        utterance = self._pools[pool][number]
        return utterance, int(random.integers(len(utterance.waveform) - self._samples + 1))

    def _speed(self, left: int, random: np.random.Generator) -> float:
        """Speed at which a stretch is played, if `left` samples of the utterance are left for it; often 1."""
        if random.random() >= _RESAMPLED_SHARE:
            return 1.0
        speed = 2.0 ** random.uniform(-_FURTHEST_OCTAVES, _FURTHEST_OCTAVES)
        return speed if self._samples * speed <= left else 1.0

    def _played(self, waveform: NDArray[np.float32], start: int, speed: float) -> NDArray[np.float32]:
        """A stretch `[samples] float32` of the waveform at that speed, which changes the pitch."""
        taken = waveform[start : start + math.ceil(self._samples * speed)]
        if speed != 1.0:
            taken = soxr.resample(taken, self._spec.sample_rate * speed, self._spec.sample_rate)
        return np.pad(taken[: self._samples], (0, max(0, self._samples - len(taken))))

    def _below(self, bandwidth: float) -> Tensor:
        """Mask of the bins within a recording's bandwidth, `[bins] float32` of 0 and 1."""
        nyquist = self._spec.sample_rate / 2
        limit = bandwidth if bandwidth >= nyquist else _USABLE_BANDWIDTH * bandwidth
        return (self._hertz <= limit).float()

    def _power(self, waveforms: list[NDArray[np.float32]]) -> Tensor:
        """Squared magnitudes `[batch, frames, bins] float32`."""
        frames = torch.from_numpy(np.stack(waveforms)).unfold(1, self._spec.n_fft, self._spec.hop_length)
        return torch.fft.rfft(frames * self._window).abs() ** 2

    def _mel(self, power: Tensor) -> Tensor:
        linear = (power + self._spec.magnitude_eps).clamp(min=self._spec.power_floor) ** (self._spec.power / 2)
        return torch.log((linear @ self._bank.T).clamp(min=self._spec.floor))

    def _logs(self, power: Tensor) -> Tensor:
        return 0.5 * torch.log(power.clamp(min=math.exp(2 * SMALLEST_LOG_MAGNITUDE)))
