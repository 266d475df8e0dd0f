"""Packing the audio that NeMo's and lhotse's manifests list."""

from __future__ import annotations

import gzip
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from support.listing import made
from support.packing import SPEC, write_tone

from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError
from pipeline.pack import kind_of
from pipeline.pack.manifests import lhotse_corpus, manifest_kind, nemo_corpus
from pipeline.stores import text_lists as lines

RATE = SPEC.sample_rate


def write(path: Path, rows: Sequence[Any]) -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


@pytest.fixture
def audio(tmp_path: Path) -> np.ndarray:
    """Half a second of two channels, in wavs/a.wav."""
    write_tone(tmp_path / "wavs/a.wav", 0.5, channels=2)
    return soundfile.read(tmp_path / "wavs/a.wav", dtype="float32")[0]


def test_nemo_rows_are_stretches_with_text_speaker_and_language(
    tmp_path: Path, audio: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tone(tmp_path / "elsewhere/c.wav", 0.3)
    rows = [
        {"audio_filepath": "wavs/a.wav", "duration": 0.5, "text": "hi", "speaker": 7, "lang": "en", "other": [1]},
        {"audio_filepath": "wavs/../wavs/a.wav", "offset": 0.1, "duration": 0.2, "text": "cut"},
        {"audio_filepath": "wavs/a.wav", "offset": 0.25, "duration": None},
        "",
        {"audio_filepath": str(tmp_path / "elsewhere/c.wav"), "duration": 0.35, "text": None},
    ]
    monkeypatch.chdir(tmp_path / "elsewhere")
    corpus = nemo_corpus(write(tmp_path / "manifest.json", rows), SPEC)
    metas = {source.key: json.loads(source.meta or "{}") for source in corpus.sources.items}
    assert metas == {
        "wavs/a": {"text": "hi", "speaker": 7, "language": "en"},
        "wavs/a-100-300": {"text": "cut"},
        "wavs/a-250": {},
        "elsewhere/c": {},
    }
    mels, reasons = made(corpus)
    assert not reasons
    mono = audio.mean(axis=1)
    for key, part in {
        "wavs/a": mono, "wavs/a-100-300": mono[round(0.1 * RATE) : round(0.3 * RATE)], "wavs/a-250": mono[5512:],
    }.items():  # fmt: skip
        np.testing.assert_allclose(mels[key], log_mel(part, SPEC), atol=1e-4)


def cut(name: str, **changes: Any) -> dict[str, Any]:
    source = {"type": "file", "channels": [0, 1], "source": "wavs/a.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": RATE, "num_samples": RATE // 2, "duration": 0.5}
    whole: dict[str, Any] = {
        "id": name, "start": 0.0, "duration": 0.5, "channel": 0, "supervisions": [], "recording": recording,
        "type": "MonoCut",
    }  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = whole
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = value
    return whole


def test_lhotse_cuts_are_stretches_of_a_channel_with_their_supervisions(tmp_path: Path, audio: np.ndarray) -> None:
    said = [
        {"start": 0.2, "duration": 0.1, "text": "world", "speaker": "anna", "language": "en"},
        {"start": 0.0, "duration": 0.1, "text": "hello", "speaker": "berta", "language": "en"},
    ]
    rows = [cut("one", start=0.1, duration=0.2, channel=1, supervisions=said[:1]), cut("both", supervisions=said)]
    corpus = lhotse_corpus(write(tmp_path / "cuts.jsonl.gz", rows), SPEC)
    metas = {source.key: json.loads(source.meta) for source in corpus.sources.items}
    assert metas == {
        "one": {"text": "world", "speaker": "anna", "language": "en"},
        "both": {"text": "hello world", "language": "en"},
    }
    mels, reasons = made(corpus)
    assert not reasons
    np.testing.assert_allclose(mels["one"], log_mel(audio[round(0.1 * RATE) : round(0.3 * RATE), 1], SPEC), atol=1e-4)
    recordings = lhotse_corpus(write(tmp_path / "recordings.jsonl", [cut("x")["recording"]]), SPEC)
    np.testing.assert_allclose(made(recordings)[0]["r"], log_mel(audio.mean(axis=1), SPEC), atol=1e-4)


@pytest.mark.usefixtures("audio")
def test_bad_nemo_rows_are_listed_by_line(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "wavs/a.wav"}, "{", "[1]", '{"audio_filepath": "wavs/a.wav", "offset": "0"}', {"text": "x"},
        {"audio_filepath": "wavs/gone.wav"}, {"audio_filepath": "wavs"}, {"audio_filepath": 3},
        {"audio_filepath": "wavs/a.wav", "offset": -1}, {"audio_filepath": "wavs/a.wav", "offset": True},
        {"audio_filepath": "wavs/a.wav", "offset": 9.5}, {"audio_filepath": "wavs/a.wav", "offset": 0.1, "duration": 2},
        {"audio_filepath": "a\0.wav"}, {"audio_filepath": ".wav", "offset": 1e300}, "[" * 5000,
    ]  # fmt: skip
    mels, reasons = made(nemo_corpus(write(tmp_path / "m.jsonl", rows), SPEC))
    assert list(mels) == ["wavs/a"]
    numbers = {path.rpartition("line ")[2].rstrip(")") for path in reasons}
    assert numbers == {str(number) for number in range(2, 16)}
    assert "there is no file" in reasons["line 6"]
    assert "must be a number of seconds" in reasons["line 9"]
    assert "it starts at 9.5 s and has no samples" in reasons["wavs/a-9500 (line 11)"]
    assert "says that it ends at 2.1 s, but the file ends after 0.5 s" in reasons["wavs/a-100-2100 (line 12)"]


@pytest.mark.usefixtures("audio")
def test_what_lhotse_would_run_fetch_or_change_is_listed_and_not_done(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    rows = [
        cut("good"),
        cut("command", recording__sources=[{"type": "command", "channels": [0], "source": f"touch {touched}"}]),
        cut("url", recording__sources=[{"type": "url", "channels": [0], "source": "http://localhost/a.wav"}]),
        cut("two", recording__sources=[{"type": "file"}, {"type": "file"}]),
        cut("transformed", recording__transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}]),
        cut("mixed", type="MixedCut"),
        cut("none", recording=None),
        cut("channel", channel=[0, 1]),
        cut("absent", channel=5),
        cut("endless", duration=None),
        cut("", start=0.1),
        cut("said", supervisions=[3]),
    ]
    mels, reasons = made(lhotse_corpus(write(tmp_path / "cuts.jsonl", rows), SPEC))
    assert list(mels) == ["good"]
    assert len(reasons) == len(rows) - 1
    assert "of type command; only files are read, and commands are never run" in reasons["line 2"]
    assert "transformed" in reasons["line 5"]
    assert "MixedCut" in reasons["line 6"]
    assert "it has no channel 5; it has 2" in reasons["absent (line 9)"]
    assert not touched.exists()


@pytest.mark.usefixtures("audio")
def test_two_rows_of_one_key_and_lists_without_rows_are_errors(tmp_path: Path) -> None:
    row = {"audio_filepath": "wavs/a.wav"}
    other = {**row, "text": "hi"}
    with pytest.raises(ConfigError, match=r"\(line 1\) and wavs/a \(line 2\) .*'wavs/a'"):
        nemo_corpus(write(tmp_path / "m.jsonl", [row, other]), SPEC)
    with pytest.raises(ConfigError, match="lists no audio"):
        nemo_corpus(write(tmp_path / "m.jsonl", []), SPEC)


@pytest.mark.usefixtures("audio")
def test_stretches_from_a_file_s_start_are_told_apart_by_their_ends(tmp_path: Path) -> None:
    write_tone(tmp_path / "wavs/alone.wav", 0.5)
    rows = [
        {"audio_filepath": "wavs/a.wav", "offset": 0.0, "duration": 0.2, "text": "one"},
        {"audio_filepath": "wavs/a.wav", "duration": 0.4, "text": "one two"},
        {"audio_filepath": "wavs/a.wav", "text": "all of it"},
        {"audio_filepath": "wavs/a.wav", "offset": 0.2, "duration": 0.2, "text": "two"},
        {"audio_filepath": "wavs/alone.wav", "offset": 0.0, "duration": 0.2},
        {"audio_filepath": "wavs/alone.wav", "offset": 0.1, "duration": 0.2},
    ]
    corpus = nemo_corpus(write(tmp_path / "m.jsonl", [*rows, rows[0], rows[3]]), SPEC)
    named = {item.key: (item.path, json.loads(item.meta or "{}").get("text")) for item in corpus.sources.items}
    assert named == {
        "wavs/a-0-200": ("wavs/a-0-200 (line 1)", "one"),
        "wavs/a-0-400": ("wavs/a-0-400 (line 2)", "one two"),
        "wavs/a": ("wavs/a (line 3)", "all of it"),
        "wavs/a-200-400": ("wavs/a-200-400 (line 4)", "two"),
        "wavs/alone": ("wavs/alone (line 5)", None),  # as stores have it that were packed before
        "wavs/alone-100-300": ("wavs/alone-100-300 (line 6)", None),
    }
    mels, reasons = made(corpus)
    assert not reasons
    assert {key: mel.shape[1] for key, mel in mels.items()} == {
        key: round(seconds * RATE) // SPEC.hop_length
        for key, seconds in zip(mels, (0.5, 0.2, 0.4, 0.2, 0.2, 0.2), strict=True)
    }


@pytest.mark.usefixtures("audio")
def test_two_files_of_one_key_are_refused_whatever_their_stretches(tmp_path: Path) -> None:
    write_tone(tmp_path / "wavs/a.flac", 0.5)
    rows = [{"audio_filepath": f"wavs/a.{kind}", "duration": end} for kind, end in (("wav", 0.2), ("flac", 0.4))]
    with pytest.raises(ConfigError, match="would both get the key 'wavs/a'"):
        nemo_corpus(write(tmp_path / "m.jsonl", rows), SPEC)


def test_an_absolute_path_gives_the_key_of_the_relative_one_whatever_the_other_rows_are(tmp_path: Path) -> None:
    for name in ("lists/near/a.wav", "data/b.wav", "b.wav"):
        write_tone(tmp_path / name, 0.3)
    keys = {"near/a.wav": "near/a", "../data/b.wav": "data/b", "../b.wav": "b"}
    for form in ("{}", f"{tmp_path}/lists/{{}}"):
        for count in (3, 1):
            named = dict(list(keys.items())[-count:])
            path = write(tmp_path / "lists/m.jsonl", [{"audio_filepath": form.format(name)} for name in named])
            assert {item.key for item in nemo_corpus(path, SPEC).sources.items} == set(named.values())


@pytest.mark.usefixtures("audio")
def test_two_rows_of_one_key_are_told_to_take_keys_of_their_own_and_do(tmp_path: Path) -> None:
    write_tone(tmp_path / "x/wavs/a.wav", 0.3)
    rows: list[dict[str, Any]] = [{"audio_filepath": "../wavs/a.wav"}, {"audio_filepath": "../../wavs/a.wav"}]
    path = tmp_path / "x/lists/m.jsonl"
    path.parent.mkdir(parents=True)
    with pytest.raises(ConfigError, match="would both get the key 'wavs/a'; give each of these rows a field 'key'"):
        nemo_corpus(write(path, rows), SPEC)
    rows[1]["key"] = "other"
    assert [item.key for item in nemo_corpus(write(path, rows), SPEC).sources.items] == ["other", "wavs/a"]
    rows[1]["key"] = 3
    (failure,) = nemo_corpus(write(path, rows), SPEC).sources.failures
    assert failure.reason == "its key is 3; it must be a text"


@pytest.mark.usefixtures("audio")
@pytest.mark.parametrize("field", ["audio_filepath", "audio", "path"])
def test_the_path_of_the_audio_has_one_of_three_names(tmp_path: Path, field: str) -> None:
    path = write(tmp_path / "m.jsonl", ["", {field: "wavs/a.wav", "text": "hi"}])
    assert kind_of(path) == "nemo"
    assert [item.key for item in nemo_corpus(path, SPEC).sources.items] == ["wavs/a"]


@pytest.mark.usefixtures("audio")
def test_numbers_that_json_does_not_have_are_missing(tmp_path: Path) -> None:
    row = '{"audio_filepath": "wavs/a.wav", "offset": NaN, "duration": Infinity, "text": NaN, "speaker": 1e999}'
    (item,) = nemo_corpus(write(tmp_path / "m.jsonl", [row]), SPEC).sources.items
    assert (item.key, item.meta, item.place.start, item.place.duration) == ("wavs/a", "", 0.0, None)


@pytest.mark.usefixtures("audio")
def test_equal_rows_of_lhotse_count_as_one(tmp_path: Path) -> None:
    corpus = lhotse_corpus(write(tmp_path / "c.jsonl", [cut("one"), cut("two"), cut("one")]), SPEC)
    assert [item.key for item in corpus.sources.items] == ["one", "two"]


def test_lists_that_unpack_to_more_than_a_list_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "MAX_LIST_BYTES", 5000)
    with pytest.raises(ConfigError, match="line 2 has more than 1000 bytes"):
        nemo_corpus(write(tmp_path / "m.jsonl.gz", ["{}", "x" * 10**6]), SPEC)
    with pytest.raises(ConfigError, match="more than 5000 bytes"):
        nemo_corpus(write(tmp_path / "m.jsonl.gz", ["{}" + " " * 900] * 6), SPEC)
    (tmp_path / "m.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1000)[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        nemo_corpus(str(tmp_path / "m.jsonl.gz"), SPEC)


def test_faults_of_texts_are_told_with_their_line_and_decide_for_no_other_row(
    tmp_path: Path, audio: np.ndarray
) -> None:
    for name in ("b", "c", "d"):
        write_tone(tmp_path / f"wavs/{name}.wav", 0.3)
    rows: list[Any] = [
        '{"audio_filepath": "wavs/a.wav", "text": "he said "x""}',
        {"audio_filepath": "wavs/b.wav", "text": "two\nlines"},
        '{"audio_filepath": "wavs/c.wav", "text": "\\ud800"}',
        {"audio_filepath": "wavs/d.wav", "text": "good"},
    ]
    path = write(tmp_path / "m.json", rows)
    assert manifest_kind(path) == "nemo"  # its first row is damaged
    sources = nemo_corpus(path, SPEC).sources
    assert [item.key for item in sources.items] == ["wavs/b", "wavs/d"]
    assert sources.note == "1 text has a line break, first that of wavs/b (line 2)"
    reasons = {failure.path: failure.reason for failure in sources.failures}
    assert reasons["line 1"].startswith("it is not a valid JSON object")
    assert reasons["line 3"].startswith("it holds half of a surrogate pair")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_audio_is_found_under_a_name_of_another_normalization(tmp_path: Path, forms: tuple[Any, Any]) -> None:
    on_disk, listed = (unicodedata.normalize(form, "größe é") for form in forms)
    write_tone(tmp_path / f"{on_disk}.wav", 0.3)
    sources = nemo_corpus(write(tmp_path / "m.json", [{"audio_filepath": f"{listed}.wav"}]), SPEC).sources
    assert [(item.key, item.place.path) for item in sources.items] == [(listed, str(tmp_path / f"{on_disk}.wav"))]


def test_a_manifest_in_utf16_is_read(tmp_path: Path, audio: np.ndarray) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"audio_filepath": "wavs/a.wav", "text": "ü"}\n', encoding="utf-16")
    assert manifest_kind(str(path)) == "nemo"
    assert json.loads(nemo_corpus(str(path), SPEC).sources.items[0].meta) == {"text": "ü"}
