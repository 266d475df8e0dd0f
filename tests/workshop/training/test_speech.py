"""Reading speech: folders, files, manifests, what is held out and what is left out."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline import open_store
from pipeline.errors import ConfigError
from pipeline.melspec import preset
from pipeline.pack import pack_source
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


def test_a_manifest_is_read_as_pack_reads_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches, blank lines, paths below the list's folder or the current one, .gz, bad rows: all that pack reads."""
    long = noise(tmp_path / "long.wav", seconds=6.0)
    whole, _ = soundfile.read(long, dtype="float32")
    monkeypatch.chdir(folder)
    rows = [
        '{"audio_filepath": "../long.wav", "offset": 1.0, "duration": 2.0}',
        "",
        '{"audio_filepath": "../long.wav", "offset": 4.0, "duration": 1.5, "text": "b"}',
        '{"audio_filepath": "anna/1.wav", "duration": 1.0}',
        f'{{"audio_filepath": "{tmp_path}/lists/../speech/ben/2.wav"}}',
        '{"audio_filepath": "../gone.wav"}',
        '{"audio_filepath": "../long.wav", "offset": 5.0, "duration": 2.0}',
        '{"text": "a"}',
        "{",
    ]
    (tmp_path / "lists").mkdir()
    manifest = tmp_path / "lists/rows.json.gz"
    manifest.write_bytes(gzip.compress("\n".join(rows).encode()))
    speech = read_speech([manifest], 16000)
    found = {each.key: each for each in (*speech.train, *speech.held_out)}
    packed = pack_source(str(manifest), str(tmp_path / "packed.zarr"), preset("hifigan-22k"), workers=1)
    keys = [str(key) for key in open_store(str(tmp_path / "packed.zarr")).catalogue().keys]
    assert sorted(found) == keys == ["anna/1", "long-1000-3000", "long-4000-5500", "speech/ben/2"]
    stretch = whole[16000:48000]
    np.testing.assert_allclose(found["long-1000-3000"].waveform, stretch * PEAK / np.abs(stretch).max(), atol=1e-5)
    reasons = [reason.removeprefix(f"{manifest}, ") for reason in speech.left_out]
    assert reasons == [f"{each.path}: {each.reason}" for each in packed.failures]
    assert len(reasons) == 4


def test_cuts_of_lhotse_are_read(folder: Path, tmp_path: Path) -> None:
    recording = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "speech/anna/0.wav"}]}
    cuts = [
        {"id": name, "start": start, "duration": 0.8, "channel": 0, "recording": recording, "type": "MonoCut"}
        for name, start in (("one", 0.0), ("two", 0.2))
    ]
    (tmp_path / "cuts.jsonl").write_text("\n".join(map(json.dumps, cuts)))
    speech = read_speech([tmp_path / "cuts.jsonl"], 16000, hold_out="two")
    assert {each.key: len(each.waveform) for each in (*speech.train, *speech.held_out)} == {"one": 12800, "two": 12800}


def test_what_is_no_manifest_is_an_error_and_a_list_of_bad_rows_says_why(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ConfigError, match=r"rows.jsonl is not a manifest: its first row must be"):
        read_speech([tmp_path / "rows.jsonl"], 16000)
    (tmp_path / "rows.jsonl").write_text('{"audio": "a.wav"}\n{"audio": "b.wav"}\n')
    with pytest.raises(ConfigError, match=r"2 were left out, first .*rows.jsonl, line 1: there is no file"):
        read_speech([tmp_path / "rows.jsonl"], 16000)


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
