"""Frames of a signal, their window, and the inverse short-time Fourier transform in numpy, in single precision.

Spectra are `[frames, 1 + n_fft // 2]` here, so that a frame is contiguous in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.circle import circle
from pipeline.melspec import MelSpec

# Smallest sum of squared windows that istft divides by. Only samples that rest only on the tails of windows, at the
# outer ends of the signal, have less; there a division would multiply rounding errors by more than 30.
SMALLEST_ENVELOPE = np.float32(1e-3)


@lru_cache(maxsize=64)  # see mel_filterbank
def window(spec: MelSpec) -> NDArray[np.float64]:
    """The Hann window of `win_length`, centred in `n_fft`: 0.5 - 0.5 cos(2 pi n / N).

    N is `win_length` for a periodic window, and `win_length - 1` for a symmetric one.

    Returns:
        `[n_fft] float64`, read-only.
    """
    period = spec.win_length if spec.window == "periodic" else max(1, spec.win_length - 1)
    hann = 0.5 - 0.5 * circle(np.arange(spec.win_length), period).real
    before = (spec.n_fft - spec.win_length) // 2
    centred = np.pad(hann, (before, spec.n_fft - spec.win_length - before))
    centred.flags.writeable = False
    return centred


@lru_cache(maxsize=16)
def _single_window(spec: MelSpec) -> NDArray[np.float32]:
    single = window(spec).astype(np.float32)
    single.flags.writeable = False
    return single


def framed(signal: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The frames that lie fully in a signal, as a view of it: `[1 + (samples - n_fft) // hop_length, n_fft] float32`.

    Args:
        signal: the signal, `[samples] float32`, at least `n_fft` samples.
        spec: geometry of the frames.
    """
    return np.lib.stride_tricks.sliding_window_view(signal, spec.n_fft)[:: spec.hop_length]


def istft(blocks: Sequence[NDArray[np.complex64]], spec: MelSpec) -> NDArray[np.float32]:
    """The signal whose STFT is nearest to the spectrum in least squares: windowed overlap-add over its envelope.

    Source: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions on
    Acoustics, Speech, and Signal Processing 32 (1984), equation 6.

    Args:
        blocks: consecutive pieces of the spectrum, each `[frames, 1 + n_fft // 2] complex64`. A piece is transformed at
            once, so it should fit into a core's cache.
        spec: geometry of the frames, and their window.

    Returns:
        `[(all frames - 1) * hop_length + n_fft] float32`.
    """
    count, hop = sum(map(len, blocks)), spec.hop_length
    hops = np.zeros((count + -(-spec.n_fft // hop) - 1, hop), np.float32)
    done = 0
    for spectrum in blocks:
        frames = np.fft.irfft(spectrum, spec.n_fft).astype(np.float32, copy=False)
        frames *= _single_window(spec)
        _add_overlapping(frames, hops[done:])
        done += len(spectrum)
    signal = hops.reshape(-1)[: (count - 1) * hop + spec.n_fft]
    signal *= _inverse_envelope(spec, count)
    return signal


@lru_cache(maxsize=8)
def _inverse_envelope(spec: MelSpec, count: int) -> NDArray[np.float32]:
    """One over the sum of `count` overlapping squared windows, `[samples] float32`, where that is large enough."""
    squares = np.broadcast_to(_single_window(spec) ** 2, (count, spec.n_fft))
    hops = np.zeros((count + -(-spec.n_fft // spec.hop_length) - 1, spec.hop_length), np.float32)
    _add_overlapping(squares, hops)
    envelope = hops.reshape(-1)[: (count - 1) * spec.hop_length + spec.n_fft]
    return np.reciprocal(np.maximum(envelope, SMALLEST_ENVELOPE))


def _add_overlapping(frames: NDArray[np.float32], hops: NDArray[np.float32]) -> None:
    """Adds `[frames, n_fft]`, each a hop after the one before, to a signal in rows of a hop, `[hops, hop_length]`.

    One addition for each hop-long slice of a frame, over all frames at once: slice s of frame t lies at hop t + s. A
    sample's terms are added in the same order wherever it lies in the signal.
    """
    hop_length = hops.shape[1]
    for s in range(-(-frames.shape[1] // hop_length)):
        piece = frames[:, s * hop_length : (s + 1) * hop_length]
        hops[s : s + len(frames), : piece.shape[1]] += piece
