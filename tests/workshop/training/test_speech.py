"""Reading speech: folders, files, manifests, what is held out and what is left out."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import ConfigError
from pipeline.workshop.training.speech import PEAK, read_speech

RNG = np.random.default_rng(0)


def noise(path: Path, seconds: float = 1.0, rate: int = 16000, level: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * RNG.uniform(-1, 1, int(seconds * rate)), rate)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for voice in ("anna", "ben"):
        for number in range(3):
            noise(tmp_path / "speech" / voice / f"{number}.wav", level=0.1 * (number + 1))
    return tmp_path / "speech"


def test_a_folder_is_read_at_one_rate_and_one_peak(folder: Path) -> None:
    speech = read_speech([folder], 22050)
    assert len(speech.train) + len(speech.held_out) == 6
    for utterance in (*speech.train, *speech.held_out):
        assert utterance.waveform.dtype == np.float32
        assert abs(len(utterance.waveform) - 22050) <= 1
        assert np.abs(utterance.waveform).max() == pytest.approx(PEAK)
        assert utterance.bandwidth == 8000


def test_what_matches_the_pattern_is_held_out(folder: Path) -> None:
    speech = read_speech([folder], 16000, hold_out="ben")
    assert [utterance.key for utterance in speech.held_out] == [f"speech/ben/{number}" for number in range(3)]
    assert all("anna" in utterance.key for utterance in speech.train)


@pytest.mark.parametrize("pattern", ["nobody", "*"])
def test_nothing_on_one_side_of_the_hold_out_is_an_error(folder: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="both must be more than 0"):
        read_speech([folder], 16000, hold_out=pattern)


def test_files_and_manifests_name_audio_too(folder: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": "speech/anna/0.wav"}, {"audio": "speech/anna/1.wav"}, {"path": "speech/ben/0.wav"}]
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text("\n\n".join(map(json.dumps, rows)) + "\n\n")
    speech = read_speech([manifest, folder / "ben" / "2.wav"], 16000)
    assert sorted(u.key for u in (*speech.train, *speech.held_out)) == [
        "2",
        "speech/anna/0",
        "speech/anna/1",
        "speech/ben/0",
    ]


@pytest.mark.parametrize("row", ["{", "[]", '{"text": "a"}', '{"audio": 3}'])
def test_a_row_without_audio_is_an_error_that_names_the_line(tmp_path: Path, row: str) -> None:
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text('{"audio": "a.wav"}\n' + row)
    with pytest.raises(ConfigError, match=r"rows.jsonl, line 2"):
        read_speech([manifest], 16000)


def test_what_teaches_nothing_is_left_out_with_its_reason(folder: Path) -> None:
    noise(folder / "short.wav", seconds=0.1)
    noise(folder / "silent.wav", level=0.0)
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    speech = read_speech([folder], 16000)
    assert len(speech.train) + len(speech.held_out) == 6
    assert [Path(reason.split(":")[0]).name for reason in speech.left_out] == ["broken.wav", "short.wav", "silent.wav"]


def test_the_digest_follows_the_samples(folder: Path) -> None:
    before = read_speech([folder], 16000).digest
    assert read_speech([folder], 16000).digest == before
    noise(folder / "anna" / "0.wav")
    assert read_speech([folder], 16000).digest != before


def test_no_audio_and_no_such_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no audio files"):
        read_speech([tmp_path], 16000)
    with pytest.raises(ConfigError, match="no such folder"):
        read_speech([tmp_path / "none"], 16000)
