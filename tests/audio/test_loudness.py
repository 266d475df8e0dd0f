"""Loudness against pyloudnorm and physics; the gain, and what holds it back."""

import importlib.util
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from support.paths import PROMPTS

from pipeline.audio import loudness as loudness_module
from pipeline.audio.loudness import LoudnessMeter, LoudnessNormalizer, TruePeakMeter
from pipeline.errors import ConfigError, StorageError

Waveform = NDArray[np.float32]


def speech(sample_rate: int) -> Waveform:
    files = sorted(PROMPTS.glob("*/*.flac"))[:3]
    waveform = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in files])
    resampled: Waveform = soxr.resample(waveform, 16000, sample_rate)
    return resampled


def sine(frequency: float, sample_rate: int, seconds: float, phase: float = 0.0) -> Waveform:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * sample_rate)) / sample_rate + phase).astype(
        np.float32
    )


def measured(waveform: Waveform, sample_rate: int, pieces: int) -> float | None:
    meter = LoudnessMeter(sample_rate)
    for piece in np.array_split(waveform, pieces):
        meter.push(piece)
    return meter.finish()


def true_peak(waveform: Waveform, sample_rate: int, pieces: int = 3) -> float:
    meter = TruePeakMeter(sample_rate)
    for piece in np.array_split(waveform, pieces):
        meter.push(piece)
    return meter.finish()


def normalize(
    waveform: Waveform, target: float, limit: float, folder: Path, pieces: int = 5, sample_rate: int = 22050
) -> tuple[Waveform, LoudnessNormalizer]:
    normalizer = LoudnessNormalizer(target, limit, sample_rate, folder)
    return np.concatenate(list(normalizer.normalized(np.array_split(waveform, pieces)))), normalizer


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.4, 0.44, 0.46, 1.0, 5.03])
def test_it_is_pyloudnorms_figure_whatever_the_pieces(sample_rate: int, seconds: float) -> None:
    waveform = speech(sample_rate)[: math.ceil(seconds * sample_rate)]
    wanted = pyloudnorm.Meter(sample_rate).integrated_loudness(waveform.astype(np.float64))
    whole = measured(waveform, sample_rate, 1)
    assert whole == pytest.approx(wanted, abs=1e-9)
    assert {measured(waveform, sample_rate, pieces) for pieces in (2, 7, 100)} == {whole}


def test_a_full_scale_sine_of_997_hz_has_minus_3_lufs() -> None:
    """ITU-R BS.1770-4, annex 1: -3.01 LKFS. pyloudnorm's filters come within a tenth."""
    assert measured(sine(997, 48000, 2), 48000, 4) == pytest.approx(-3.01, abs=0.1)


def test_silence_between_words_does_not_count() -> None:
    waveform = speech(22050)
    paused = np.concatenate([waveform, np.zeros(22050 * 20, np.float32)])
    assert measured(paused, 22050, 9) == pytest.approx(measured(waveform, 22050, 9), abs=0.5)


@pytest.mark.parametrize(
    "waveform",
    [np.zeros(0, np.float32), sine(997, 22050, 0.399), np.zeros(22050, np.float32), 1e-5 * sine(997, 22050, 2)],
    ids=["empty", "399 ms", "digital silence", "under -70 LUFS"],
)
def test_what_is_too_short_or_too_quiet_has_no_loudness(waveform: Waveform) -> None:
    assert measured(waveform, 22050, 3) is None


def test_a_peak_between_the_samples_is_found() -> None:
    """A sine of a quarter of the rate, sampled at 45 degrees: no sample is over 0.707, the wave reaches 1."""
    waveform = sine(12000, 48000, 0.5, math.pi / 4)
    assert np.abs(waveform).max() == pytest.approx(math.sqrt(0.5), abs=1e-3)
    inner = waveform * np.hanning(len(waveform)).astype(np.float32)  # without the clicks at its ends
    assert true_peak(inner, 48000) == pytest.approx(0, abs=0.1)
    assert true_peak(inner, 48000, 50) == true_peak(inner, 48000, 1)


def test_the_true_peak_of_silence_is_no_number_to_compare_with() -> None:
    assert true_peak(np.zeros(1000, np.float32), 22050) == -math.inf


@pytest.mark.parametrize("target", [-30.0, -16.0])
def test_speech_comes_to_the_target_by_one_gain(target: float, tmp_path: Path) -> None:
    waveform = 0.2 * speech(22050)
    out, normalizer = normalize(waveform, target, 0.0, tmp_path)
    assert pyloudnorm.Meter(22050).integrated_loudness(out.astype(np.float64)) == pytest.approx(target, abs=1e-3)
    assert normalizer.loudness == pytest.approx(target, abs=1e-9)
    np.testing.assert_array_equal(out, waveform * np.float32(10 ** (normalizer.gain_db / 20)))


def test_the_true_peak_holds_the_gain_back(tmp_path: Path) -> None:
    waveform = speech(22050)
    out, normalizer = normalize(waveform, -5.0, -1.0, tmp_path)
    assert true_peak(out, 22050) == pytest.approx(-1, abs=1e-3)
    assert normalizer.loudness is not None
    assert normalizer.loudness < -5
    assert measured(out, 22050, 3) == pytest.approx(normalizer.loudness, abs=1e-3)


def test_what_has_no_loudness_keeps_its_level_unless_its_true_peak_is_over_the_limit(tmp_path: Path) -> None:
    short = sine(440, 22050, 0.2)
    for level, gain in ((0.1, 0.0), (1.0, -6.0)):
        out, normalizer = normalize(np.float32(level) * short, -16.0, -6.0, tmp_path)
        assert normalizer.gain_db == pytest.approx(gain, abs=0.1)
        assert normalizer.loudness is None
        assert true_peak(out, 22050) < -6 + 1e-3
    out, normalizer = normalize(np.zeros(22050, np.float32), -16.0, -1.0, tmp_path)
    assert (normalizer.gain_db, np.abs(out).max()) == (0, 0)


def test_the_samples_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    one, many = (normalize(speech(22050), -20.0, -1.0, tmp_path, pieces)[0] for pieces in (1, 37))
    np.testing.assert_array_equal(one, many)


def test_a_long_waveform_waits_on_disk_and_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loudness_module, "_SPOOL_BYTES", 2**20)
    monkeypatch.setattr(loudness_module, "_SPOOL_SAMPLES", 2**16)
    rng = np.random.default_rng(0)

    def pieces() -> Iterator[Waveform]:
        for _ in range(100):
            yield rng.normal(0, 0.1, 2**16).astype(np.float32)

    normalizer = LoudnessNormalizer(-20.0, -1.0, 8000, tmp_path)
    tracemalloc.start()
    samples = sum(map(len, normalizer.normalized(pieces())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 100 * 2**16
    assert peak < 0.4 * 4 * samples
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loudness_module, "_SPOOL_BYTES", 16)
    with pytest.raises(StorageError, match="gone"):
        normalize(sine(440, 22050, 1), -16.0, -1.0, tmp_path / "gone")


def test_without_pyloudnorm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'melmill\[loudness\]'"):
        LoudnessMeter(22050)
