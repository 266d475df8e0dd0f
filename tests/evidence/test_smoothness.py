"""Mels of recordings are told from smoother ones in every contract, whatever the sound is."""

from __future__ import annotations

import dataclasses
import functools
import io

import numpy as np
import pytest
import scipy.ndimage
import soundfile
import soxr
from numpy.typing import NDArray
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.evidence import LEAST_IN_BANDS, LEAST_IN_TIME, Sample, Smoothness, smoothness
from pipeline.melspec import PRESETS, MelSpec, convert_mel, mel_spec

HIFIGAN = PRESETS["hifigan-22k"]
Floats = NDArray[np.float32]


@functools.cache
def speech(rate: int) -> tuple[Floats, ...]:
    """Three prompts of each voice."""
    voices = sorted(path for path in PROMPTS.iterdir() if path.is_dir())
    paths = [path for voice in voices for path in sorted(voice.glob("*.flac"))[:3]]
    return tuple(soxr.resample(soundfile.read(path, dtype="float32")[0], 16000, rate) for path in paths)


def smoothed(mel: Floats, frames: int, bands: int) -> Floats:
    return np.asarray(scipy.ndimage.uniform_filter(mel, (bands, frames), mode="nearest"), np.float32)


def found(mels: list[Floats], spec: MelSpec = HIFIGAN) -> Smoothness:
    measured = smoothness(Sample(tuple(mels), len(mels)), spec)
    assert measured is not None
    return measured


def coded(wave: Floats, kind: str, subtype: str, rate: int) -> Floats:
    file = io.BytesIO()
    soundfile.write(file, soxr.resample(wave, 22050, rate), rate, format=kind, subtype=subtype)
    file.seek(0)
    return np.asarray(soxr.resample(soundfile.read(file, dtype="float32")[0], rate, 22050))


@pytest.mark.parametrize("name", PRESETS)
def test_smoothed_mels_are_told_from_those_of_speech_by_every_preset(name: str) -> None:
    spec = PRESETS[name]
    mels = [log_mel(wave, spec) for wave in speech(spec.sample_rate)]
    assert not found(mels, spec).as_predicted
    by_frames, by_bands = (found([smoothed(mel, *over) for mel in mels], spec) for over in ((3, 1), (1, 3)))
    assert by_frames.in_time < LEAST_IN_TIME < found(mels, spec).in_time
    assert by_bands.in_bands < LEAST_IN_BANDS < found(mels, spec).in_bands
    assert by_frames.as_predicted
    assert by_bands.as_predicted


@pytest.mark.parametrize("hop", [128, 160, 200, 320, 400])
def test_frames_that_overlap_more_or_less_are_compared_with_noise_in_such_frames(hop: int) -> None:
    spec = dataclasses.replace(HIFIGAN, hop_length=hop)
    mels = [log_mel(wave, spec) for wave in speech(22050)]
    assert not found(mels, spec).as_predicted
    assert found([smoothed(mel, 3, 1) for mel in mels], spec).as_predicted


def test_recordings_of_every_kind_are_as_rough_as_clean_ones() -> None:
    rng = np.random.default_rng(0)
    ways = {
        "quiet": lambda wave: 0.01 * wave,
        "noisy": lambda wave: wave + 0.3 * wave.std() * rng.standard_normal(len(wave)).astype(np.float32),
        "mu-law": lambda wave: coded(wave, "WAV", "ULAW", 8000),
    }
    if "OPUS" in soundfile.available_subtypes("OGG"):
        ways["Opus"] = lambda wave: coded(wave, "OGG", "OPUS", 16000)
    for way, change in ways.items():
        mels = [log_mel(change(wave).astype(np.float32), HIFIGAN) for wave in speech(22050)]
        assert not found(mels).as_predicted, way
    halves = [log_mel(wave, HIFIGAN).astype(np.float16).astype(np.float32) for wave in speech(22050)]
    assert not found(halves).as_predicted


def test_the_logarithm_and_the_normalization_of_the_values_change_nothing() -> None:
    mels = [log_mel(wave, HIFIGAN) for wave in speech(22050)]
    plain = found(mels)
    for change in ({"log": "log10"}, {"log": "db"}):
        spec = mel_spec({"preset": "hifigan-22k", **change})
        assert found([convert_mel(mel, HIFIGAN, spec) for mel in mels], spec).in_time == pytest.approx(
            plain.in_time, rel=1e-3
        )


def test_a_third_of_the_utterances_does_not_decide_for_the_others() -> None:
    mels = [log_mel(wave, HIFIGAN) for wave in speech(22050)]
    third = len(mels) // 3
    few = [smoothed(mel, 3, 3) for mel in mels[:third]] + mels[third:]
    most = mels[:third] + [smoothed(mel, 3, 3) for mel in mels[third:]]
    assert not found(few).as_predicted
    assert found(most).as_predicted


def test_too_few_values_say_nothing() -> None:
    mel = log_mel(speech(22050)[0], HIFIGAN)
    assert smoothness(Sample((mel[:, :10],), 1), HIFIGAN) is None
    silence = np.full((80, 500), HIFIGAN.stored_floor(), np.float32)
    assert smoothness(Sample((silence,), 1), HIFIGAN) is None
