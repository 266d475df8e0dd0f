import math

import numpy as np
import pytest
import soundfile
from support.paths import PROMPTS

from pipeline.audio.levels import SILENCE_DBFS, Levels, examined
from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import UtteranceError
from pipeline.melspec import PRESETS

SPEC = PRESETS["hifigan-22k"]
PROMPT = min(PROMPTS.glob("*/*.flac"))


def speech() -> np.ndarray:
    return soundfile.read(PROMPT, dtype="float32")[0]


def distance(mel: np.ndarray, audio: np.ndarray, mel_pieces: int = 1, audio_pieces: int = 1) -> float:
    meter = MelDistance(SPEC)
    for piece in np.array_split(mel, mel_pieces, axis=1):
        meter.push_mel(piece)
    for piece in np.array_split(audio, audio_pieces):
        meter.push_audio(piece)
    return meter.finish()[0]


def test_audio_is_at_no_distance_from_its_own_mel() -> None:
    audio = speech()
    assert distance(log_mel(audio, SPEC), audio) == 0


def test_the_distance_is_the_mean_absolute_difference() -> None:
    audio = speech()
    mel = log_mel(audio, SPEC)
    offset = np.random.default_rng(0).normal(size=mel.shape).astype(np.float32)
    assert distance(mel + offset, audio) == pytest.approx(float(np.abs(offset).mean()), rel=1e-4)


@pytest.mark.parametrize(("mel_pieces", "audio_pieces"), [(1, 9), (7, 1), (5, 13), (40, 3)])
def test_the_pieces_do_not_matter(mel_pieces: int, audio_pieces: int) -> None:
    audio, other = speech(), speech()[::-1].copy()
    mel = log_mel(other, SPEC)
    assert distance(mel, audio, mel_pieces, audio_pieces) == pytest.approx(distance(mel, audio), rel=1e-6)


def test_the_relative_distance_is_in_standard_deviations_of_the_mel() -> None:
    audio = speech()
    mel = log_mel(audio, SPEC) * np.float32(0.5)
    meter = MelDistance(SPEC)
    meter.push_mel(mel)
    meter.push_audio(audio)
    plain, relative = meter.finish()
    assert relative == pytest.approx(plain / mel.std(dtype=np.float64), rel=1e-6)


def test_frames_that_only_one_side_has_do_not_count() -> None:
    audio = speech()
    assert distance(log_mel(audio, SPEC)[:, :-5], audio) == 0


def test_levels_of_a_sine_is_what_physics_says() -> None:
    levels = Levels()
    for piece in np.array_split(0.5 * np.sin(2 * math.pi * np.arange(22000) / 40).astype(np.float32), 7):
        levels.push(piece)
    assert levels.peak == pytest.approx(0.5, abs=1e-4)
    assert levels.rms_dbfs == pytest.approx(20 * math.log10(0.5) - 3.0103, abs=1e-3)


def test_digital_silence_has_a_level_that_json_can_hold() -> None:
    levels = Levels()
    levels.push(np.zeros(100, np.float32))
    assert (levels.peak, levels.rms_dbfs, levels.samples) == (0, SILENCE_DBFS, 100)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_named(value: float) -> None:
    pieces = [np.zeros(10, np.float32), np.array([0, 0, 0, value, 0], np.float32)]
    with pytest.raises(UtteranceError, match=f"the vocoder gave {value} at sample 13"):
        list(examined(pieces))
    levels = Levels()
    levels.push(pieces[0])
    with pytest.raises(UtteranceError, match=f"to be encoded has {value} at sample 13"):
        levels.push(pieces[1])


def test_samples_over_full_scale_are_counted_and_full_scale_itself_is_not() -> None:
    levels = Levels()
    for piece in ([0.5, 1.0, -1.0 - 2**-23], [1.25, -1.001, 0.0], []):
        levels.push(np.array(piece, np.float32))
    assert (levels.over_full_scale, levels.peak, levels.samples) == (2, 1.25, 6)
