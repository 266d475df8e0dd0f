"""The verdict on real vocoders, by their own contract and by others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.corpora import SPEC

from pipeline.melspec import PRESETS, MelSpec, Normalization
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.workshop.check.speech import PromptTrial, SpeechVerdict, judge, try_prompt
from pipeline.workshop.prompts import prompts

# The contract that mels are made by, what is wrong with it for lift and HiFi-GAN, and the mean distance [Np] of French.
WRONG: dict[str, MelSpec] = {
    "band": dataclasses.replace(SPEC, fmin=80.0, fmax=7600.0),
    "scale": dataclasses.replace(SPEC, mel_scale="htk"),
    "rate": dataclasses.replace(SPEC, sample_rate=24000),
    "power": dataclasses.replace(SPEC, power=2),
    "base": dataclasses.replace(SPEC, log="log10"),
    "norm": dataclasses.replace(SPEC, mel_norm="none"),
    "normalization": dataclasses.replace(SPEC, normalization=Normalization((-5.0,), (2.0,))),
}


@pytest.fixture(scope="module")
def lift() -> Vocoder:
    return load_vocoder("lift")


def verdict(vocoder: Vocoder, spec: MelSpec = SPEC, name: str = "french") -> SpeechVerdict:
    return judge([try_prompt(vocoder, spec, name, prompts(spec.sample_rate)[name])])


@pytest.mark.parametrize("name", ["english", "french", "italian"])
def test_a_vocoder_fits_by_its_own_contract(lift: Vocoder, name: str) -> None:
    found = verdict(lift, name=name)
    assert found.fits, found
    assert found.apart < 0.08
    assert found.words == f"fits: {found.apart:.2f} Np from the prompts, where up to 0.27 fit"


@pytest.mark.parametrize("wrong", WRONG)
def test_another_contract_does_not_sound_like_speech(lift: Vocoder, wrong: str) -> None:
    found = verdict(lift, WRONG[wrong])
    assert not found.fits
    assert found.apart > 0.35
    assert "does not sound like speech of this contract" in found.words


def test_frames_half_a_hop_elsewhere_are_told_and_in_which_direction(lift: Vocoder) -> None:
    late = verdict(lift, PRESETS["tacotron2-22k"])
    assert not late.fits
    assert "its audio is half a hop too late" in late.words
    assert "its own framing is the other one" in late.words
    trial = try_prompt(lift, SPEC, "french", prompts(22050)["french"])
    early = judge([dataclasses.replace(trial, apart=(0.3, 0.4, 0.1))])
    assert "too early (0.10 Np when shifted, 0.30 as it comes)" in early.words


def test_hifigan_fits_and_knows_a_near_contract_from_its_own() -> None:
    vocoder, second = load_vocoder("hifigan-universal"), prompts(22050)["french"][11_025:33_075]
    own, near = (judge([try_prompt(vocoder, spec, "french", second)]) for spec in (SPEC, WRONG["band"]))
    assert own.fits
    assert own.apart < 0.2
    assert not near.fits


@pytest.mark.parametrize("preset", ["bigvgan-44k-512", "vocos-24k", "pwg-24k", "coqui", "speecht5-16k"])
def test_griffin_lim_fits_whatever_the_contract(preset: str) -> None:
    spec = PRESETS[preset]
    assert verdict(load_vocoder("griffin-lim", spec), spec).apart < 0.1


def test_the_distances_are_those_of_a_manifest(lift: Vocoder) -> None:
    trial = try_prompt(lift, SPEC, "french", prompts(22050)["french"])
    assert 0.05 < trial.mel_distance < 0.15
    assert 0.02 < trial.mel_distance_relative < 0.08
    assert 0.1 < trial.peak < 1
    assert trial.seconds == pytest.approx(2.15, abs=0.05)


def test_samples_that_are_no_numbers_are_said() -> None:
    trial = PromptTrial("x", 1.0, 1.0, np.nan, np.nan, (np.nan, np.nan, np.nan), np.nan, 7)
    assert judge([trial]).words == "does not give audio: 7 samples are NaN or infinite"
    assert not judge([trial]).fits
