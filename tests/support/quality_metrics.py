"""What is measured of a vocoded waveform against the recording. None of it is the loss of a net here.

All judges but mel_distance and LSD get 16 kHz, resampled by soxr. Those that hear no recording, DNSMOS and PLCMOS, get
samples clipped to [-1, 1].

DNSMOS is the overall score of DNSMOS P.835 (Reddy, Gopal and Cutler, arXiv 2110.01763), not personalized, as the
package speechmos (0.0.1.1) takes it: the net `dnsmos_models/sig_bak_ovr.onnx` hears 9.01 s at a time. Shorter audio is
appended to itself, doubled each time, until it is that long, and its first 9.01 s are heard; longer audio is heard in
stretches that begin each second, and the scores are averaged. The net's overall score x is then fitted to listeners by
-0.06766283 x^2 + 1.11546468 x + 0.04602535. This is the recipe of `DNSMOS/dnsmos_local.py` in
github.com/microsoft/DNS-Challenge, without its option for personalized scores, whose net and polynomial are others. The
score of P.808 (`model_v8.onnx`), which the package also gives, is not used.

PLCMOS is version 2, without a reference (Diener et al., arXiv 2305.15127): the mean over 15 listeners that are drawn at
random. The package draws them by numpy's global generator, so it is seeded here: all audio is judged by the same
listeners, and the same audio has the same score.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import pesq
import pystoi
import soxr
from numpy.typing import NDArray
from speechmos import dnsmos, plcmos
from support.numpy_stft import stft

from pipeline.dsp.mel import log_mel
from pipeline.dsp.stft import framed
from pipeline.melspec import MelSpec

RATE = 16000  # of PESQ wideband, STOI, DNSMOS and PLCMOS
NAMES = {
    "pesq": "PESQ", "stoi": "STOI", "dnsmos": "DNSMOS", "plcmos": "PLCMOS", "mel_distance": "mel_distance",
    "lsd": "LSD [dB]", "f0_cents": "F0 error [cents]", "voicing_f1": "voicing F1",
}  # fmt: skip
Wave = NDArray[np.float32]


def measure(recording: Wave, made: Wave, mel: NDArray[np.float32], spec: MelSpec) -> dict[str, float]:
    """All figures of a waveform; `mel` is the clean one, whatever the vocoder was given. NaN where one has no value."""
    count = min(len(recording), len(made))
    recording, made = recording[:count], made[:count]
    low, low_made = (soxr.resample(wave, spec.sample_rate, RATE) for wave in (recording, made))
    again = log_mel(made, spec)
    frames = min(mel.shape[1], again.shape[1])
    found = {
        "pesq": _pesq(low, low_made),
        "stoi": float(pystoi.stoi(low, low_made, RATE)),
        "dnsmos": float(dnsmos.run(np.clip(low_made, -1, 1), RATE)["ovrl_mos"]),
        "plcmos": _plcmos(np.clip(low_made, -1, 1)),
        "mel_distance": float(np.abs(mel[:, :frames] - again[:, :frames]).mean()),
        "lsd": _log_spectral_distance(recording, made, spec),
    }
    return found | _pitch(low, low_made)


def _pesq(recording: Wave, made: Wave) -> float:
    try:
        return float(pesq.pesq(RATE, recording, made, "wb"))
    except pesq.PesqError:  # no speech was found in it
        return math.nan


def _plcmos(made: Wave) -> float:
    np.random.seed(0)  # noqa: NPY002  # the generator that the package draws its listeners by
    return float(plcmos.run(made, RATE)["plcmos"])


def _log_spectral_distance(recording: Wave, made: Wave, spec: MelSpec) -> float:
    """Root mean square over bins up to 8 kHz, mean over frames, of levels [dB]; -80 dB below the loudest bin count."""
    bins = int(8000 * spec.n_fft / spec.sample_rate)
    power = [np.abs(stft(framed(wave, spec), spec)[:, :bins]) ** 2 for wave in (recording, made)]
    least = power[0].max() * 1e-8
    levels = [10 * np.log10(np.maximum(each, least)) for each in power]
    return float(np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=1)).mean())


def _pitch(recording: Wave, made: Wave) -> dict[str, float]:
    """Mean absolute F0 error where both are voiced [cents], and the F1 of being voiced, by probabilistic YIN."""
    wanted, given = (_track(wave.tobytes()) for wave in (recording, made))
    both = (wanted > 0) & (given > 0)
    voiced = (wanted > 0).sum() + (given > 0).sum()
    cents = 1200 * np.abs(np.log2(given[both] / wanted[both])).mean() if both.any() else math.nan
    return {"f0_cents": float(cents), "voicing_f1": float(2 * both.sum() / voiced) if voiced else math.nan}


@functools.lru_cache(maxsize=2)  # a recording is compared with many
def _track(wave: bytes) -> NDArray[np.float32]:
    """F0 of each frame [Hz], 0 where it is not voiced."""
    found = librosa.pyin(
        np.frombuffer(wave, np.float32), fmin=65, fmax=500, sr=RATE, frame_length=1024, hop_length=256, resolution=0.2
    )[0]
    return np.nan_to_num(found)


def median_interval(
    values: list[float], rounds: int = 1000, statistic: Callable[..., Any] = np.median
) -> tuple[float, float, float]:
    """Median, or another statistic, and its 95 % interval, by a seeded bootstrap."""
    found = np.array([value for value in values if not math.isnan(value)])
    draws = np.random.default_rng(0).choice(found, (rounds, len(found)))
    low, high = np.percentile(statistic(draws, axis=1), [2.5, 97.5])
    return float(statistic(found)), float(low), float(high)
