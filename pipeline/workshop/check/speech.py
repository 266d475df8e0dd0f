"""Copy-synthesis: the vocoder decodes mels of real speech, and the result is compared with that speech."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.melspec import MelSpec
from pipeline.vocoders import Vocoder

# Range below the loudest band of a prompt in which bands are compared [dB]; softer bands count as equally soft. So the
# distance does not depend on the contract's floor, nor on the bands above the prompts' 8 kHz.
_HEARD_DB = 60.0

# Distance of the bands' magnitudes [Np], mean over the prompts, at the best of the three shifts. By trial with the
# vocoders that come with melmill, each with its own contract:
#     griffin-lim 0.03, lift 0.05, hifigan-universal 0.17, hifigan-ljspeech 0.18
# (worst single prompt: 0.27, a man's voice with the checkpoint of one woman's voice), and with hifigan-universal on
# mels of other contracts:
#     24 kHz up to 12000 Hz 0.41, fmin-fmax 80-7600 0.42, 24 kHz 0.51, fmax 11025 0.54, HTK's scale 0.57, power 2 0.64,
#     16 kHz 0.72, decibels 1.3, log10 2.2, without Slaney's norm 3.0, normalized 3.5; random weights: 1.3.
# The threshold is the geometric mean of the largest that is right and the smallest that is wrong.
_FITS = 0.27
# Mels whose frames are half a hop apart (framing same or center) give audio that is shifted by it: hifigan-universal on
# tacotron2-22k has 0.24 as it comes and 0.17 half a hop earlier; on its own mels 0.17 as it comes and 0.24 shifted.
_SHIFTED = 0.85


@dataclass(frozen=True)
class PromptTrial:
    """The trial of the vocoder with one prompt.

    Args:
        name: name of the prompt.
        seconds: duration of the audio [s].
        took: time that decoding took [s].
        mel_distance: mean absolute difference of the mels [log-mel units of the contract], as in a manifest.
        mel_distance_relative: the same distance in standard deviations of the mel that went in.
        apart: mean difference of the bands' magnitudes [Np], down to 60 dB below the loudest band: of the audio as it
            came, half a hop earlier, and half a hop later.
        peak: largest magnitude of a sample [full scale].
        bad: number of samples that are NaN or infinite.
    """

    name: str
    seconds: float
    took: float
    mel_distance: float
    mel_distance_relative: float
    apart: tuple[float, float, float]
    peak: float
    bad: int


@dataclass(frozen=True)
class SpeechVerdict:
    """The result of the trials with all prompts.

    Args:
        fits: whether the audio sounds like speech of this contract.
        words: description of the result.
        apart: mean distance over the prompts at the best shift [Np].
    """

    fits: bool
    words: str
    apart: float


def try_prompt(vocoder: Vocoder, spec: MelSpec, name: str, speech: NDArray[np.float32]) -> PromptTrial:
    """The copy-synthesis of one prompt.

    Args:
        vocoder: the vocoder, which decodes the whole mel at once.
        spec: contract by which the mel is made and the audio is judged.
        name: name of the prompt.
        speech: the prompt, `[samples] float32` at the spec's sample rate.
    """
    mel = log_mel(speech, spec)
    begun = time.perf_counter()
    made = vocoder.decode(mel)
    took = time.perf_counter() - begun
    bad = int(np.count_nonzero(~np.isfinite(made)))
    seconds = len(made) / spec.sample_rate
    if bad:
        nan = float("nan")
        return PromptTrial(name, seconds, took, nan, nan, (nan, nan, nan), nan, bad)
    distance = MelDistance(spec)
    distance.push_mel(mel)
    distance.push_audio(made)
    plain, relative = distance.finish()
    half = spec.hop_length // 2
    apart = _apart(made, speech, spec), _apart(made[half:], speech, spec), _apart(np.pad(made, (half, 0)), speech, spec)
    return PromptTrial(name, seconds, took, plain, relative, apart, float(np.abs(made).max(initial=0)), bad)


def _apart(made: NDArray[np.float32], speech: NDArray[np.float32], spec: MelSpec) -> float:
    """Mean absolute difference of the bands' magnitudes [Np]; 0 if one of the two is too short for a frame."""
    bands = dataclasses.replace(
        spec, log="ln", normalization=None, floor=1e-30, flooring="max", magnitude_eps=0.0, power_floor=0.0
    )
    wanted, given = log_mel(speech, bands), log_mel(made, bands)
    frames = min(wanted.shape[1], given.shape[1])
    softest = wanted.max(initial=-math.inf) - _HEARD_DB / 20 * math.log(10) * spec.power
    wanted, given = np.maximum(wanted[:, :frames], softest), np.maximum(given[:, :frames], softest)
    return float(np.abs(wanted - given).mean(dtype=np.float64)) / spec.power if frames else 0.0


def judge(trials: Sequence[PromptTrial]) -> SpeechVerdict:
    """The verdict of all prompts together. The rule and its numbers are at the head of this file."""
    if bad := sum(trial.bad for trial in trials):
        return SpeechVerdict(False, f"does not give audio: {bad} samples are NaN or infinite", float("nan"))
    as_it_is, earlier, later = np.mean([trial.apart for trial in trials], axis=0).tolist()
    best = min(as_it_is, earlier, later)
    if best > _FITS:
        words = (
            f"does not sound like speech of this contract: {best:.2f} Np from the prompts, where up to {_FITS:g} fit "
            "(untrained weights, or a contract that they were not trained on?)"
        )
        return SpeechVerdict(False, words, best)
    if best < _SHIFTED * as_it_is:
        words = (
            f"speaks, but its audio is half a hop too {'late' if earlier < later else 'early'} ({best:.2f} Np when "
            f"shifted, {as_it_is:.2f} as it comes): its own framing is the other one of same and center"
        )
        return SpeechVerdict(False, words, best)
    return SpeechVerdict(True, f"fits: {best:.2f} Np from the prompts, where up to {_FITS:g} fit", best)
