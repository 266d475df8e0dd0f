"""The short-time Fourier transform of a mel spec and its inverse, vectorized over frames, in single precision."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec

# Smallest sum of squared windows that istft divides by. Only samples that rest on the tails of windows alone, at the
# outer ends of the signal, have less: there a division would multiply rounding errors by more than 30.
_SMALLEST_ENVELOPE = np.float32(1e-3)


@lru_cache(maxsize=16)
def window(spec: MelSpec) -> NDArray[np.float64]:
    """The periodic Hann window of `win_length`, centred in `n_fft`: 0.5 - 0.5 cos(2 pi n / win_length).

    Returns:
        `[n_fft] float64`, read-only.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.win_length) / spec.win_length)
    before = (spec.n_fft - spec.win_length) // 2
    centred = np.pad(hann, (before, spec.n_fft - spec.win_length - before))
    centred.flags.writeable = False
    return centred


def framed(signal: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The frames that lie wholly in a signal, as a view of it: `[1 + (samples - n_fft) // hop_length, n_fft] float32`.

    Args:
        signal: `[samples] float32`, at least `n_fft` samples.
    """
    return np.lib.stride_tricks.sliding_window_view(signal, spec.n_fft)[:: spec.hop_length]


def stft(signal: NDArray[np.float32], spec: MelSpec) -> NDArray[np.complex64]:
    """The Fourier transforms of the windowed frames that lie wholly in the signal; nothing is padded.

    Args:
        signal: `[samples] float32`, at least `n_fft` samples.

    Returns:
        `[1 + n_fft // 2, frames] complex64` with `frames = 1 + (samples - n_fft) // hop_length`. A frame is contiguous
        in memory.
    """
    # norm="forward" divides by n_fft, which the window makes up for. With the default norm, numpy 2.4 computes the
    # transform of float32 in a wider type, 4 times slower.
    scaled = (window(spec) * spec.n_fft).astype(np.float32)
    spectrum = np.fft.rfft(framed(signal, spec) * scaled, norm="forward")
    return spectrum.astype(np.complex64, copy=False).T


def istft(spectrum: NDArray[np.complex64], spec: MelSpec) -> NDArray[np.float32]:
    """The signal whose STFT is nearest to the spectrum in least squares: windowed overlap-add over its envelope.

    Source: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions on
    Acoustics, Speech, and Signal Processing 32 (1984), equation 6.

    Args:
        spectrum: `[1 + n_fft // 2, frames] complex64`, at least one frame.

    Returns:
        `[(frames - 1) * hop_length + n_fft] float32`.
    """
    frames = np.fft.irfft(spectrum.T, spec.n_fft).astype(np.float32, copy=False)
    shape = window(spec).astype(np.float32)
    frames *= shape
    envelope = _overlap_add(np.broadcast_to(shape**2, frames.shape), spec.hop_length)
    signal = _overlap_add(frames, spec.hop_length)
    signal /= np.maximum(envelope, _SMALLEST_ENVELOPE)
    return signal


def _overlap_add(frames: NDArray[np.float32], hop_length: int) -> NDArray[np.float32]:
    """The sum of `[frames, n_fft]`, each a hop after the one before, as `[(frames - 1) * hop_length + n_fft]`.

    One addition for each hop-long slice of a frame, over all frames at once: slice s of frame t lies at hop t + s. A
    sample's terms are added in the same order wherever it lies in the signal.
    """
    count, n_fft = frames.shape
    slices = -(-n_fft // hop_length)
    hops = np.zeros((count + slices - 1, hop_length), np.float32)
    for s in range(slices):
        piece = frames[:, s * hop_length : (s + 1) * hop_length]
        hops[s : s + count, : piece.shape[1]] += piece
    return hops.reshape(-1)[: (count - 1) * hop_length + n_fft]
