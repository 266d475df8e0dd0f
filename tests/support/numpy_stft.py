"""The short-time Fourier transform of framed samples, which only tests and figures of quality need."""

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.stft import window
from pipeline.melspec import MelSpec


def stft(frames: NDArray[np.float32], spec: MelSpec) -> NDArray[np.complex64]:
    """The Fourier transforms of windowed frames, in double precision, rounded at the end.

    Args:
        frames: the frames, `[frames, n_fft] float32`, as `framed` gives them.
        spec: geometry of the frames, and their window.

    Returns:
        `[frames, 1 + n_fft // 2] complex64`.
    """
    return np.fft.rfft(frames * window(spec)).astype(np.complex64)
