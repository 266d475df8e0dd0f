"""Projections of a waveform onto a mel in plain numpy, in double precision: see `pipeline.dsp.refinement`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import mel_ceiling, mel_silence
from pipeline.dsp.stft import window
from pipeline.melspec import MelSpec


def refined(
    waveform: NDArray[np.float32], mel: NDArray[np.float32], spec: MelSpec, times: float = 1
) -> NDArray[np.float64]:
    """The waveform `[samples] float64` that `pipeline.dsp.refinement.refined` makes."""
    found = waveform.astype(np.float64)
    possible = np.clip(mel, mel_silence(spec)[:, None], mel_ceiling(spec)[:, None]).astype(np.float64)
    for done in range(math.ceil(times)):
        found = found + min(1.0, times - done) * (_projected(found, possible, spec) - found)
    return found


def _projected(waveform: NDArray[np.float64], mel: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    hop, n_fft, count, weights = spec.hop_length, spec.n_fft, len(waveform), window(spec)
    around = -(-(n_fft + spec.padding) // hop) + 1  # frames on each side, so many that all that matter are there
    last = max(mel.shape[1], count // hop)
    begin = around * hop + spec.padding  # samples before the first one
    length = (2 * around + last) * hop + n_fft
    padded = np.pad(waveform, (begin, length - begin - count), mode="reflect")
    total, envelope = np.zeros(length), np.zeros(length)
    for number in range(2 * around + last):
        place, frame = slice(number * hop, number * hop + n_fft), number - around
        spectrum = np.fft.rfft(padded[place] * weights)
        if 0 <= frame < mel.shape[1]:
            spectrum = spectrum * _gains(np.abs(spectrum), mel[:, frame], spec)
        total[place] += np.fft.irfft(spectrum, n_fft) * weights
        envelope[place] += weights**2
    found: NDArray[np.float64] = (total / np.maximum(envelope, 1e-12))[begin : begin + count]
    return found


def _gains(magnitude: NDArray[np.float64], wanted: NDArray[np.float64], spec: MelSpec) -> NDArray[np.float64]:
    """The gain of each bin of a frame."""
    bank = mel_filterbank(spec).astype(np.float64)
    power = np.maximum(magnitude**2 + spec.magnitude_eps, spec.power_floor)
    outputs = bank @ (power if spec.power == 2 else np.sqrt(power))
    floored = np.maximum(outputs, spec.floor) if spec.flooring == "max" else outputs + spec.floor
    present = spec.log_scale * np.log(floored)
    norm = spec.normalization
    if norm is not None:
        present = norm.apply(present[:, None])[:, 0]
        present, wanted = (norm.undo(each[:, None])[:, 0] for each in (present, wanted))
    ratios = np.exp((wanted - present) / spec.log_scale)
    sums = bank.sum(axis=0)
    gains = np.where(sums > 0, ratios @ bank / np.maximum(sums, 1e-30), 1.0)
    return gains if spec.power == 1 else np.sqrt(gains)
