"""What values say of a contract: mels of real speech under their own contract, and under others."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import soundfile
import soxr
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.evidence import Sample, contradictions, describe_values, explanations, judge_presets
from pipeline.melspec import PRESETS, MelSpec, Normalization, convert_mel

HIFIGAN = PRESETS["hifigan-22k"]
FRAMES = 200


@cache
def waveforms(sample_rate):
    read = [soundfile.read(path, dtype="float32")[0] for path in sorted(PROMPTS.glob("*/*.flac"))]
    return [soxr.resample(waveform, 16000, sample_rate) for waveform in read]


def sample_of(mels):
    middles = [mel[:, max(0, (mel.shape[1] - FRAMES) // 2) :][:, :FRAMES] for mel in mels]
    return Sample(tuple(middles), len(middles))


@cache
def speech(spec: MelSpec):
    return sample_of([log_mel(waveform, spec) for waveform in waveforms(spec.sample_rate)])


@pytest.mark.parametrize("name", PRESETS)
def test_mels_of_speech_do_not_contradict_their_own_preset(name):
    assert contradictions(speech(PRESETS[name]), PRESETS[name]) == ()


CONTRADICTIONS = [
    ("pwg-22k", "hifigan-22k", "flat"),  # log10 said to be ln
    ("hifigan-22k", "pwg-22k", "rough"),  # ln said to be log10
    ("coqui", "hifigan-22k", "floor"),  # normalized decibels said to be ln
    ("hifigan-22k", "coqui", "below"),
    ("pwg-24k", "coqui", "filterbank"),  # their ranges are alike
    ("styletts2-24k", "coqui", "floor"),
    ("styletts2-24k", "hifigan-22k", "loud"),  # powers said to be magnitudes, and normalized
    ("hifigan-22k", "styletts2-24k", "below"),
    ("vocos-24k", "bigvgan-24k", "loud"),  # filters of unit peak said to be of unit area
    ("bigvgan-24k", "f5-vocos-24k", "filterbank"),
    ("hifigan-22k", "speechbrain-16k", "filterbank"),  # the same but for the sample rate
    ("speechbrain-16k", "hifigan-22k", "filterbank"),
    ("nemo-44k", "nemo-22k", "filterbank"),
    ("pwg-22k", "pwg-24k", "filterbank"),
    ("pwg-24k", "pwg-22k", "filterbank"),
    ("espnet", "pwg-24k", "filterbank"),
    ("bigvgan-44k-512", "bigvgan-44k-256", "filterbank"),
]


@pytest.mark.parametrize(("true", "stated", "kind"), CONTRADICTIONS)
def test_a_contradiction_is_seen_and_the_true_preset_is_named_first(true, stated, kind):
    found = contradictions(speech(PRESETS[true]), PRESETS[stated])
    assert kind in {each.kind for each in found}
    first = explanations(speech(PRESETS[true]), PRESETS[stated])[0]
    assert all(each.remedy == "negligible" or each.field == "framing" for each in PRESETS[true].compare(PRESETS[first]))


def noisy(waveform, decibel):
    noise = np.random.default_rng(0).standard_normal(len(waveform))
    return (waveform + noise * waveform.std() * 10 ** (-decibel / 20)).astype(np.float32)


def smoothed(mel):
    padded = np.pad(mel, 1, mode="edge")
    return sum(padded[i : i + mel.shape[0], j : j + mel.shape[1]] for i in range(3) for j in range(3)) / np.float32(9)


HARD = {
    "60 dB quieter": lambda spec, waveform: log_mel(waveform * np.float32(1e-3), spec),
    "clipped": lambda spec, waveform: log_mel(np.clip(8 * waveform, -1, 1), spec),
    "noise at 5 dB": lambda spec, waveform: log_mel(noisy(waveform, 5), spec),
    "white noise": lambda spec, waveform: log_mel(noisy(0 * waveform + np.eye(1, len(waveform))[0], 0), spec),
    "digital silence": lambda spec, waveform: log_mel(np.zeros_like(waveform), spec),
    "float16": lambda spec, waveform: log_mel(waveform, spec).astype(np.float16).astype(np.float32),
    "smoothed": lambda spec, waveform: smoothed(log_mel(waveform, spec)),
    "smoothed and quiet": lambda spec, waveform: smoothed(log_mel(waveform * np.float32(0.01), spec)),
}


@pytest.mark.parametrize("name", ["hifigan-22k", "bigvgan-44k-256", "vocos-24k", "espnet", "coqui", "styletts2-24k"])
@pytest.mark.parametrize("make", HARD.values(), ids=HARD)
def test_a_true_contract_is_not_contradicted_by_hard_speech(name, make):
    spec = PRESETS[name]
    sample = sample_of([make(spec, waveform) for waveform in waveforms(spec.sample_rate)[::3]])
    assert contradictions(sample, spec) == ()


@pytest.mark.parametrize(
    "target",
    [
        {"floor": 1e-3},
        {"log": "db", "normalization": Normalization((-30.0,), (12.5,), (-4.0, 4.0)), "floor": 1e-4},
        {"floor": 1e-2, "log": "log10"},
    ],
)
def test_a_converted_mel_does_not_contradict_what_it_was_converted_to(target):
    spec = dataclasses.replace(HIFIGAN, **target)
    converted = [convert_mel(mel, HIFIGAN, spec) for mel in speech(HIFIGAN).mels]
    assert contradictions(sample_of(converted), spec) == ()


def test_values_normalized_by_band_are_known_and_a_stated_normalization_is_held_against_them():
    raw = speech(PRESETS["pwg-22k"])
    values = raw.joined()
    stats = Normalization(tuple(values.mean(axis=1).tolist()), tuple(values.std(axis=1).tolist()))
    stated = dataclasses.replace(PRESETS["pwg-22k"], normalization=stats)
    normalized = sample_of([convert_mel(mel, PRESETS["pwg-22k"], stated) for mel in raw.mels])
    assert contradictions(normalized, stated) == ()
    assert describe_values(normalized).normalized
    for name, found in judge_presets(normalized).items():
        assert found, name
    assert "normalized" in {each.kind for each in contradictions(normalized, PRESETS["pwg-22k"])}
    (words,) = explanations(normalized, PRESETS["pwg-22k"])
    assert words == "values that were normalized by a mean and scale for each band"
    assert {each.kind for each in contradictions(raw, stated)} >= {"raw"}
    assert "pwg-22k" in explanations(raw, stated)


def test_decibels_said_to_be_natural_logarithms_are_named():
    spec = dataclasses.replace(HIFIGAN, log="db", n_mels=64)
    stated = dataclasses.replace(spec, log="ln")
    assert contradictions(speech(spec), stated)
    assert "the contract with log: db and power: 1" in explanations(speech(spec), stated)


def test_noise_of_independent_values_is_explained_by_no_contract():
    rng = np.random.default_rng(0)
    sample = sample_of([rng.uniform(-8, 1, (80, 200)).astype(np.float32) for _ in range(8)])
    assert explanations(sample, HIFIGAN) == ()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("damage", [1e30, -1e30, 5e3])
def test_a_damaged_value_is_no_contradiction(name, damage):
    sample = speech(PRESETS[name])
    mels = [mel.copy() for mel in sample.mels]
    mels[3][10, 20] = damage
    assert contradictions(Sample(tuple(mels), len(mels)), PRESETS[name]) == ()


def test_damage_everywhere_is_one():
    mels = tuple(mel * 1e5 for mel in speech(HIFIGAN).mels)
    assert contradictions(Sample(mels, len(mels)), HIFIGAN)


def test_values_are_measured_as_stored():
    values = describe_values(Sample((np.array([[-4.0, -4.0, 1.0], [-4.0, 0.0, 3.0]], np.float32),), 1))
    assert (values.lowest, values.highest, values.floor, values.floor_share) == (-4.0, 3.0, -4.0, 0.5)
    assert values.bands == pytest.approx((-2.333, -0.333))
    assert (values.silence, values.speech) == pytest.approx((-3.6, 1.2))
