"""Log-mels against librosa, against themselves however the waveform is cut, and against their bounds."""

import dataclasses
import tracemalloc

import librosa
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from support.paths import PROMPTS

from pipeline.dsp import mel as mel_module
from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import LogMelStream, log_mel, log_mel_blocks, mel_ceiling, mel_silence
from pipeline.dsp.mel_in_numpy import MelInNumpy
from pipeline.melspec import PRESETS, Normalization

HIFIGAN = PRESETS["hifigan-22k"]
HTK_16K = dataclasses.replace(
    HIFIGAN, sample_rate=16000, hop_length=200, win_length=800, n_mels=64, fmin=50.0, fmax=7600.0,
    mel_scale="htk", mel_norm="none", power=2, log="log10", floor=1e-10, framing="center", magnitude_eps=0.0,
    normalization=Normalization(tuple(np.linspace(-3.0, 0.0, 64)), tuple(np.linspace(0.5, 2.0, 64))),
)  # fmt: skip
VARIANTS = {
    **PRESETS,
    "htk": dataclasses.replace(HIFIGAN, mel_scale="htk"),
    "no norm": dataclasses.replace(HIFIGAN, mel_norm="none"),
    "power": dataclasses.replace(HIFIGAN, power=2, floor=1e-9),
    "log10": dataclasses.replace(HIFIGAN, log="log10"),
    "db": dataclasses.replace(HIFIGAN, log="db"),
    "db of power": dataclasses.replace(HIFIGAN, log="db", power=2, floor=1e-9),
    "short window": dataclasses.replace(HIFIGAN, win_length=700),
    "hop 300": dataclasses.replace(HIFIGAN, n_fft=2048, hop_length=300, win_length=1200),
    "16 kHz, all of it": HTK_16K,
}
# 512 frames, the block of the stream, are 8192 samples of this one.
SMALL = dataclasses.replace(HIFIGAN, n_fft=64, hop_length=16, win_length=48, n_mels=8)
# Its frames do not overlap, so that little of the waveform waits in the stream when the waveform ends.
APART = dataclasses.replace(SMALL, hop_length=64, win_length=64, framing="center")


def speech(sample_rate):
    paths = sorted(PROMPTS.glob("*/*.flac"))[::8]
    return soxr.resample(
        np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths]), 16000, sample_rate
    )


def librosa_bank(spec):
    return librosa.filters.mel(
        sr=spec.filter_rate or spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.fmin, fmax=spec.fmax,
        htk=spec.mel_scale == "htk", norm="slaney" if spec.mel_norm == "slaney" else None,
    )  # fmt: skip


def librosa_mel(waveform, spec):
    padded = np.pad(waveform.astype(np.float64), spec.padding, mode="reflect")
    hann = librosa.filters.get_window("hann", spec.win_length, fftbins=spec.window == "periodic")
    spectrum = librosa.stft(
        padded, n_fft=spec.n_fft, hop_length=spec.hop_length, win_length=spec.win_length, window=hann, center=False
    )
    magnitude = np.sqrt(np.maximum(np.abs(spectrum) ** 2 + spec.magnitude_eps, spec.power_floor))
    linear = librosa_bank(spec) @ magnitude**spec.power
    linear = np.maximum(linear, spec.floor) if spec.flooring == "max" else linear + spec.floor
    decibel = 20 if spec.power == 1 else 10
    mel = {"ln": np.log(linear), "log10": np.log10(linear), "db": decibel * np.log10(linear)}[spec.log]
    if spec.normalization is None:
        return mel
    mel = (mel - np.array(spec.normalization.mean)[:, None]) / np.array(spec.normalization.scale)[:, None]
    return mel if spec.normalization.clip is None else np.clip(mel, *spec.normalization.clip)


def in_pieces(waveform, cuts, spec):
    stream = LogMelStream(spec)
    blocks = [stream.push(piece) for piece in np.split(waveform, cuts)]
    return np.concatenate([*blocks, stream.finish()], axis=1)


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_filterbank_is_that_of_librosa(spec):
    got, wanted = mel_filterbank(spec), librosa_bank(spec)
    assert got.dtype == np.float32
    np.testing.assert_allclose(
        got, wanted, rtol=1e-6, atol=1e-13
    )  # librosa has 1e-14 where an edge is exactly at a bin


# pytorch/audio src/torchaudio/functional/functional.py, melscale_fbanks with mel_scale="htk", norm=None.
@pytest.mark.parametrize("name", ["vocos-24k", "f5-vocos-24k", "styletts2-24k"])
def test_filterbank_of_htk_presets_is_that_of_torchaudio(name):
    spec = PRESETS[name]
    rate = 16000 if name == "styletts2-24k" else spec.sample_rate  # StyleTTS 2 left torchaudio's default where it was
    all_freqs = np.linspace(0, rate // 2, spec.n_fft // 2 + 1)
    m_min, m_max = (2595.0 * np.log10(1.0 + f / 700.0) for f in (0.0, rate / 2))
    f_pts = 700.0 * (10.0 ** (np.linspace(m_min, m_max, spec.n_mels + 2) / 2595.0) - 1.0)
    f_diff = f_pts[1:] - f_pts[:-1]
    slopes = f_pts[None] - all_freqs[:, None]
    wanted = np.maximum(0, np.minimum(-slopes[:, :-2] / f_diff[:-1], slopes[:, 2:] / f_diff[1:])).T
    np.testing.assert_allclose(mel_filterbank(spec), wanted, atol=1e-6)


def test_filterbank_is_shared_and_cannot_be_written():
    assert mel_filterbank(HIFIGAN) is mel_filterbank(HIFIGAN)
    with pytest.raises(ValueError, match="read-only"):
        mel_filterbank(HIFIGAN)[0, 0] = 1


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_log_mel_of_speech_is_that_of_librosa(spec):
    waveform = speech(spec.sample_rate)
    got, wanted = log_mel(waveform, spec), librosa_mel(waveform, spec)
    assert got.dtype == np.float32
    assert got.shape == wanted.shape == (spec.n_mels, spec.frames(len(waveform)))
    # 1e-5 in natural logarithms; values in dB go to 100, where single precision has steps of 8e-6.
    assert np.abs(got - wanted).max() < 1e-5 * max(1.0, spec.log_scale)


@pytest.mark.parametrize("name", ["hifigan-22k", "pwg-24k", "styletts2-24k"])
def test_log_mel_without_kernels_is_that_of_librosa_however_it_is_cut(name, monkeypatch):
    monkeypatch.setattr(mel_module, "mel_analysis", MelInNumpy)
    spec = PRESETS[name]
    waveform = speech(spec.sample_rate)[: 1100 * spec.hop_length]
    got, wanted = log_mel(waveform, spec), librosa_mel(waveform, spec)
    assert np.abs(got - wanted).max() < 1e-5 * max(1.0, spec.log_scale)
    np.testing.assert_array_equal(in_pieces(waveform, [1, 5000, 170001], spec), got)


@given(
    samples=st.integers(0, 70000),
    cuts=st.lists(st.integers(0, 70000), max_size=8),
    spec=st.sampled_from([SMALL, APART]),
)
def test_log_mel_does_not_depend_on_how_the_waveform_was_cut(samples, cuts, spec):
    waveform = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    np.testing.assert_array_equal(in_pieces(waveform, sorted(cuts), spec), log_mel(waveform, spec))


@pytest.mark.parametrize("spec", [SMALL, APART], ids=["overlapping", "apart"])
@pytest.mark.parametrize("size", [1, 511, 8192, 8193])
def test_log_mel_of_equal_pieces_is_that_of_librosa(spec, size):
    waveform = np.random.default_rng(0).uniform(-1, 1, 4 * 8192 + 65).astype(np.float32)
    mel = np.concatenate(list(log_mel_blocks(np.split(waveform, range(size, len(waveform), size)), spec)), axis=1)
    assert np.abs(mel - librosa_mel(waveform, spec)).max() < 1e-4


@pytest.mark.parametrize("more", [0, 1, 31, 32, 33, 64, 65])
def test_the_end_is_reflected_where_it_falls_next_to_a_block(more):
    waveform = np.random.default_rng(more).uniform(-1, 1, 512 * 64 - 32 + more).astype(np.float32)
    assert np.abs(log_mel(waveform, APART) - librosa_mel(waveform, APART)).max() < 1e-4


@pytest.mark.parametrize("framing", ["same", "center"])
@pytest.mark.parametrize("samples", [1, 2, 3, 15, 16, 17, 24, 25, 31, 32, 33, 34, 50, 64, 65])
def test_waveforms_shorter_than_the_padding_are_reflected_as_often_as_it_takes(framing, samples):
    spec = dataclasses.replace(SMALL, framing=framing)
    waveform = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    mel = log_mel(waveform, spec)
    assert mel.shape == (8, spec.frames(samples))
    if mel.shape[1]:
        assert np.abs(mel - librosa_mel(waveform, spec)).max() < 1e-4


@pytest.mark.parametrize("spec", PRESETS.values(), ids=PRESETS)
def test_an_empty_waveform_gives_no_frames(spec):
    assert log_mel(np.empty(0, np.float32), spec).shape == (spec.n_mels, 0)


def test_a_pushed_array_may_be_overwritten_afterwards():
    waveform = speech(22050)[:30000]
    stream, buffer, blocks = LogMelStream(HIFIGAN), np.empty(1000, np.float32), []
    for start in range(0, len(waveform), 1000):
        buffer[:] = waveform[start : start + 1000]
        blocks.append(stream.push(buffer))
    np.testing.assert_array_equal(np.concatenate([*blocks, stream.finish()], axis=1), log_mel(waveform, HIFIGAN))


def test_ten_minutes_of_audio_take_their_mel_and_20_megabytes():
    waveform = np.random.default_rng(0).standard_normal(600 * 22050, np.float32)
    tracemalloc.start()
    mel = log_mel(waveform, HIFIGAN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mel.nbytes == 80 * (600 * 22050 // 256) * 4
    assert peak - mel.nbytes < 20e6


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_digital_silence_gives_the_silence_of_the_spec(spec):
    mel = log_mel(np.zeros(4000, np.float32), spec)
    np.testing.assert_allclose(mel, np.broadcast_to(mel_silence(spec)[:, None], mel.shape), rtol=1e-5)
    if spec.normalization is None and not spec.magnitude_eps and not spec.power_floor:
        np.testing.assert_allclose(mel_silence(spec), spec.silence, rtol=1e-6)


def test_silence_of_held_up_magnitudes_lies_above_the_floor():
    spec = PRESETS["espnet"]  # each bin has at least 1e-5, and the filters' sums are 1024 / 16000 or about that
    np.testing.assert_allclose(mel_silence(spec), np.log10(1e-5 * 0.064), atol=0.05)


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_no_waveform_within_full_scale_exceeds_the_ceiling(spec):
    n = np.arange(8000)
    loud = {"noise": np.random.default_rng(0).choice([-1.0, 1.0], 8000), "steady": np.ones(8000), "click": n == 4000}
    loud |= {f"{hz} Hz": np.sign(np.sin(2 * np.pi * hz / spec.sample_rate * n + 0.1)) for hz in range(50, 7000, 450)}
    for name, waveform in loud.items():
        assert (log_mel(waveform.astype(np.float32), spec) <= mel_ceiling(spec)[:, None]).all(), name


def test_a_full_scale_sine_comes_within_a_factor_of_8_of_the_ceiling_of_its_band():
    for band in (5, 20, 40):
        centre = mel_filterbank(HIFIGAN)[band].argmax() * 22050 / 1024
        sine = np.sin(2 * np.pi * centre / 22050 * np.arange(8000)).astype(np.float32)
        assert mel_ceiling(HIFIGAN)[band] - log_mel(sine, HIFIGAN)[band].max() < np.log(8)
