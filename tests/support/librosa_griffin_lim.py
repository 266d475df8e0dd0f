"""librosa's way from a mel to a waveform, which Griffin-Lim is compared with."""

import inspect

import librosa
import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec

# librosa 1.0 renamed the argument.
_SEED = "rng" if "rng" in inspect.signature(librosa.griffinlim).parameters else "random_state"


def librosa_waveform(mel: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """Least squares, and 32 iterations of its fast Griffin-Lim: `[n_mels, frames]` to `[samples]`, float32 both.

    The mel is one of natural logarithms of magnitudes, as `hifigan-22k`.
    """
    linear = librosa.feature.inverse.mel_to_stft(
        np.exp(mel), sr=spec.sample_rate, n_fft=spec.n_fft, power=1.0, fmin=spec.fmin, fmax=spec.fmax
    )
    chosen = {"n_iter": 32, "momentum": 0.99, "hop_length": spec.hop_length, "center": False, _SEED: 0}
    waveform = librosa.griffinlim(linear, **chosen)
    return waveform[spec.padding : -spec.padding].astype(np.float32, copy=False)
