"""A waveform is projected onto a mel as by plain numpy, and by the same bits for every target."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import numpy_refinement
from support.kernels import TARGETS
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel, mel_silence
from pipeline.dsp.phase import why_not_invertible
from pipeline.dsp.refinement import refined, refinement_halo
from pipeline.melspec import PRESETS, MelSpec

Wave = NDArray[np.float32]
HIFIGAN = PRESETS["hifigan-22k"]


def speech(spec: MelSpec) -> Wave:
    """Two seconds."""
    recording = soundfile.read(PROMPTS / "it_IT_m_Carlo" / "vm-nobodyavail.flac", dtype="float32")[0]
    return soxr.resample(recording, 16000, spec.sample_rate)[: 2 * spec.sample_rate]


def spoiled(wave: Wave, seed: int = 0) -> Wave:
    """A waveform with another level every now and then, and noise."""
    level = 1 + 0.5 * np.sin(np.arange(len(wave)) / 900)
    return (wave * level + 1e-3 * np.random.default_rng(seed).standard_normal(len(wave))).astype(np.float32)


def apart(wave: Wave, mel: Wave, spec: MelSpec) -> float:
    """Mean difference of the waveform's mel from a mel."""
    again = log_mel(wave, spec)
    frames = min(again.shape[1], mel.shape[1])
    return float(np.abs(again[:, :frames] - mel[:, :frames]).mean())


def noise_db(got: Wave, wanted: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.square(got - wanted).mean() / np.square(wanted).mean() + 1e-30))


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_the_projection_of_plain_numpy_and_each_one_is_nearer_to_the_mel(name: str) -> None:
    spec = PRESETS[name]
    mel = log_mel(speech(spec), spec)
    wave = spoiled(speech(spec)[: spec.samples(mel.shape[1])])
    distances = [apart(wave, mel, spec)]
    for times in (1, 3):
        got = refined(wave, mel, spec, times)
        assert (got.dtype, got.shape) == (np.float32, wave.shape)
        assert noise_db(got, numpy_refinement.refined(wave, mel, spec, times)) < -80
        distances.append(apart(got, mel, spec))
    assert all(later < 0.6 * earlier for earlier, later in itertools.pairwise(distances))


@settings(max_examples=25, deadline=None)
@given(
    half=st.integers(8, 40),
    hops=st.floats(2, 5),
    shorter=st.integers(0, 7),
    power=st.sampled_from([1, 2]),
    framing=st.sampled_from(["same", "center"]),
    frames=st.integers(1, 40),
    extra=st.integers(-5, 9),
    times=st.sampled_from([0.5, 1.25, 2]),
    seed=st.integers(0, 99),
)
def test_it_is_that_of_plain_numpy_for_every_shape(
    half: int, hops: float, shorter: int, power: int, framing: str, frames: int, extra: int, times: float, seed: int
) -> None:
    win = 2 * half - 2 * (shorter % half)
    hop = max(1, int(win / hops))
    hop -= (2 * half - hop) % 2 if framing == "same" else 0
    hop = max(hop, 1 if framing == "center" else 2)
    spec = dataclasses.replace(
        HIFIGAN, n_fft=2 * half, win_length=win, hop_length=hop, n_mels=6, fmin=300.0, fmax=9000.0, power=power,
        framing=framing,
    )  # fmt: skip
    assume(why_not_invertible(spec) is None)
    rng = np.random.default_rng(seed)
    wave = rng.uniform(-1, 1, max(1, frames * hop + extra)).astype(np.float32)
    mel = rng.uniform(-9, 1, (6, frames)).astype(np.float32)
    got = refined(wave, mel, spec, times)
    assert noise_db(got, numpy_refinement.refined(wave, mel, spec, times)) < -70


def test_what_has_the_mel_already_stays_as_it_is() -> None:
    """Also where the mel cannot tell how quiet a band is: below the floor, and below where a normalization clips."""
    for name in ("hifigan-22k", "coqui", "styletts2-24k", "espnet"):
        spec = PRESETS[name]
        wave = speech(spec)
        mel = log_mel(wave, spec)
        faint = 1e-5 * np.random.default_rng(0).standard_normal(spec.sample_rate // 2).astype(np.float32)
        for each in (wave[: spec.samples(mel.shape[1])], faint[: len(faint) // spec.hop_length * spec.hop_length]):
            got = refined(each, log_mel(each, spec), spec, 3)
            assert np.abs(got - each).max() < 1e-5 * np.abs(each).max(initial=1e-2), name


def test_bins_that_no_band_covers_and_frames_beyond_the_mel_stay_as_they_are() -> None:
    """The bands end at 8 kHz: a mel of silence takes a tone at 500 Hz, and leaves one at 10 kHz."""
    seconds = np.arange(22016) / 22050
    tone = (0.1 * np.sin(2 * np.pi * 10000 * seconds)).astype(np.float32)
    low = (0.1 * np.sin(2 * np.pi * 500 * seconds)).astype(np.float32)
    silence = np.broadcast_to(mel_silence(HIFIGAN)[:, None], (80, 86))
    np.testing.assert_allclose(refined(tone + low, silence, HIFIGAN, 2)[2048:-2048], tone[2048:-2048], atol=1e-3)
    mel = np.full((80, 86), -3, np.float32)
    wave = np.random.default_rng(0).uniform(-1, 1, 22016).astype(np.float32)
    got = refined(wave, mel[:, :40], HIFIGAN, 1)
    np.testing.assert_allclose(got[40 * 256 + 1024 :], wave[40 * 256 + 1024 :], atol=1e-5)
    assert np.abs(got[: 40 * 256] - wave[: 40 * 256]).max() > 0.1


@pytest.mark.parametrize("name", ["hifigan-22k", "nemo-44k", "styletts2-24k"])
def test_the_samples_are_the_same_bits_for_every_target(name: str) -> None:
    spec = PRESETS[name]
    mel = log_mel(speech(spec), spec)
    wave = spoiled(speech(spec))
    assert len({refined(wave, mel, spec, 3, target).tobytes() for target in TARGETS}) == 1 < len(TARGETS)


@pytest.mark.parametrize("times", [0.5, 1, 2, 4.5])
@pytest.mark.parametrize("name", ["hifigan-22k", "tacotron2-22k", "pwg-24k"])
def test_a_stretch_with_the_halo_gives_the_bits_of_the_whole(name: str, times: float) -> None:
    spec = PRESETS[name]
    mel, hop, around = log_mel(speech(spec), spec), spec.hop_length, refinement_halo(spec, times)
    frames = mel.shape[1]
    wave = spoiled(speech(spec))[: frames * hop]
    whole = refined(wave, mel, spec, times)

    def stretch(first: int, last: int, halo: int) -> tuple[Wave, Wave]:
        start, stop = max(0, first - halo), min(frames, last + halo)
        got = refined(wave[start * hop : stop * hop], mel[:, start:stop], spec, times)
        return got[(first - start) * hop : (last - start) * hop], whole[first * hop : last * hop]

    for first, last in ((0, 20), (20, 21), (50, 83), (frames - 9, frames)):
        np.testing.assert_array_equal(*stretch(first, last, around))
    got, wanted = stretch(60, 100, around // 2)
    assert (got != wanted).any()


@pytest.mark.parametrize("level", [0.0, 1e-44, 1e-38, 1e-20, 1e-8])
@pytest.mark.parametrize("value", [-100.0, -11.5, -4.0, 100.0])
def test_silence_the_faintest_numbers_and_impossible_mels_stay_finite(level: float, value: float) -> None:
    wave = (level * np.random.default_rng(0).uniform(-1, 1, 40 * 256)).astype(np.float32)
    got = refined(wave, np.full((80, 40), value, np.float32), HIFIGAN, 8)
    assert np.isfinite(got).all()
    if not level:
        assert not got.any()
    if value < -11:
        assert np.abs(got).max() <= max(2 * level, 1e-43)


def test_a_nan_stays_one_so_that_the_utterance_is_refused() -> None:
    wave = np.zeros(40 * 256, np.float32)
    wave[5000] = np.nan
    assert np.isnan(refined(wave, np.full((80, 40), -4, np.float32), HIFIGAN, 1)).any()


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (1, 1), (2, 1), (255, 1), (300, 2), (4000, 1), (100, 30)])
def test_the_shortest_waveforms_and_mels_of_other_lengths(samples: int, frames: int) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    mel = np.broadcast_to(mel_silence(HIFIGAN)[:, None] + 3, (80, frames)).astype(np.float32)
    got = refined(wave, mel, HIFIGAN, 2)
    assert got.shape == wave.shape
    if samples > 1:
        assert noise_db(got, numpy_refinement.refined(wave, mel, HIFIGAN, 2)) < -60
