"""Mel to magnitude against the dense textbook update."""

import dataclasses

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frame_by_frame import mel_to_magnitude, reconstruct
from support.paths import PROMPTS

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel, mel_to_linear
from pipeline.melspec import PRESETS, Normalization

PROMPT = PROMPTS / "it_IT_m_Carlo" / "vm-nobodyavail.flac"
HIFIGAN = PRESETS["hifigan-22k"]
POWER = dataclasses.replace(
    HIFIGAN, power=2, floor=1e-10, log="log10", mel_scale="htk", mel_norm="none", framing="center", magnitude_eps=0.0,
    n_mels=60, normalization=Normalization((-2.0,) * 60, (1.5,) * 60),
)  # fmt: skip
SPEECH = soxr.resample(soundfile.read(PROMPT, dtype="float32")[0], 16000, 22050)
MEL = log_mel(SPEECH, HIFIGAN)


def textbook(wanted, bank, updates):
    """Lee and Seung's update with dense products in double precision."""
    bank = bank.astype(np.float64)
    found = np.ones((bank.shape[1], wanted.shape[1]))
    for _ in range(updates):
        found *= (bank.T @ wanted) / (bank.T @ (bank @ found) + 1e-30)
    return found


@pytest.mark.parametrize(("spec", "power"), [(HIFIGAN, 1), (POWER, 2)], ids=["magnitude", "power"])
def test_magnitudes_are_those_of_the_textbook_update(spec, power):
    mel = log_mel(SPEECH, spec)[:, 30:180]
    wanted = textbook(mel_to_linear(mel, spec), mel_filterbank(spec), 30) ** (1 / power)
    got = mel_to_magnitude(mel, spec, updates=30)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-12)


@pytest.mark.parametrize("spec", [HIFIGAN, POWER], ids=["magnitude", "power"])
def test_magnitudes_have_the_mel_that_they_were_made_from(spec):
    mel = log_mel(SPEECH, spec)
    linear = mel_filterbank(spec) @ mel_to_magnitude(mel, spec) ** spec.power
    assert np.mean(np.abs(np.log(linear) - np.log(mel_to_linear(mel, spec)))) < 0.02 * spec.power


def test_every_ten_updates_bring_the_magnitudes_nearer_to_the_mel():
    linear = mel_to_linear(MEL, HIFIGAN)
    errors = [
        np.linalg.norm(mel_filterbank(HIFIGAN) @ mel_to_magnitude(MEL, HIFIGAN, updates) - linear)
        for updates in (10, 20, 30, 40)
    ]
    assert errors == sorted(errors, reverse=True)


def test_bins_that_no_filter_covers_are_zero():
    uncovered = ~mel_filterbank(HIFIGAN).any(axis=0)
    found = mel_to_magnitude(MEL, HIFIGAN)
    assert uncovered.sum() > 100
    assert not found[uncovered].any()
    assert found[~uncovered].any(axis=1).all()


@pytest.mark.parametrize("value", [-1e6, -100.0, 0.0, 100.0, 1e6])
@pytest.mark.parametrize("spec", [HIFIGAN, POWER], ids=["magnitude", "power"])
def test_mel_values_that_no_waveform_has_still_give_finite_audio(spec, value):
    found = mel_to_magnitude(np.full((spec.n_mels, 5), value, np.float32), spec)
    assert np.isfinite(found).all()
    assert np.isfinite(reconstruct(found, spec, iterations=2)).all()


@settings(max_examples=20)
@given(bounds=st.lists(st.integers(0, 300), min_size=2, max_size=2, unique=True))
def test_a_frame_has_the_same_magnitudes_in_every_window(bounds):
    start, stop = sorted(bounds)
    whole = mel_to_magnitude(MEL, HIFIGAN, updates=20)
    window = mel_to_magnitude(MEL[:, start:stop], HIFIGAN, updates=20)
    np.testing.assert_array_equal(window, whole[:, start:stop])
