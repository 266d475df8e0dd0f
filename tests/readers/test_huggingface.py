"""datasets reads exports to huggingface, audiofolder and parquet, and an output with its card, as the Hub would."""

import io
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Audio, load_dataset
from support.corpora import rows
from support.reader_outputs import encoded_sha256

from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.run import export


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def made(out: Path, target: Path, to: str, **options: Any) -> Path:
    export(str(out), str(target), ExportOptions(to, **options))
    return target


def encoded(audio: dict[str, Any]) -> bytes:
    return bytes(audio["bytes"]) if audio["bytes"] is not None else Path(audio["path"]).read_bytes()


def assert_same(found: Any, out: Path, column: str, nested: str = "") -> None:
    """Every utterance, in order, the same PCM, the same metadata."""
    found = found.cast_column(column, Audio(decode=False))
    told = [each[nested] for each in found] if nested else list(found)
    assert [each["key"] for each in told] == [row["key"] for row in rows(out)]
    for each, says, row in zip(found, told, rows(out), strict=True):
        assert encoded_sha256(encoded(each[column]), row["subtype"]) == row["pcm_sha256"]
        assert (says["text"], says["speaker"], says["language"]) == (row["text"], row["speaker"], row["language"])
        if nested:
            assert says["meta"] == row["meta"]
        else:
            assert {name: says.get(f"meta_{name}", says.get(name)) for name in row["meta"]} == row["meta"]


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize("name", ["tars", "hostile"])
def test_tars_with_a_card(name: str, audio: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(name)
    found = load_dataset(str(made(out, tmp_path / "hf", "huggingface", audio=audio)))
    if audio:
        assert_same(found["train"], out, "flac", "json")
    else:
        assert [each["json"]["meta"] for each in found["train"].select_columns("json")] == [
            r["meta"] for r in rows(out)
        ]


def test_an_output_with_its_card(tars: Path) -> None:
    made(tars, tars, "huggingface")
    found = load_dataset(str(tars))["train"].cast_column("flac", Audio(decode=False))
    assert [each["json"]["key"] for each in found] == [row["key"] for row in rows(tars)]
    for each, row in zip(found, rows(tars), strict=True):
        assert encoded_sha256(each["flac"]["bytes"]) == row["pcm_sha256"]
        assert each["json"]["meta"] == row["meta"]


@pytest.mark.parametrize(("name", "audio"), [("files", False), ("files", True), ("tars", True), ("hostile", True)])
def test_a_folder_of_audio(name: str, audio: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(name)
    target = made(out, tmp_path / "folder", "audiofolder", audio=audio)
    by_key = {row["key"]: row for row in rows(out)}
    for found in (load_dataset(str(target)), load_dataset("audiofolder", data_dir=str(target))):
        read = found["train"].cast_column("audio", Audio(decode=False))
        told = sorted(read, key=lambda each: list(by_key).index(each["key"]))
        assert [each["key"] for each in told] == list(by_key)
        for each in told:
            row = by_key[each["key"]]
            assert encoded_sha256(encoded(each["audio"]), row["subtype"]) == row["pcm_sha256"]
            assert {name: each.get(f"meta_{name}", each.get(name)) for name in row["meta"]} == row["meta"]


@pytest.mark.parametrize("name", ["tars", "files", "hostile"])
def test_tables_with_audio_and_splits(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(name)
    assert_same(load_dataset(str(made(out, tmp_path / "all", "parquet", audio=True)))["train"], out, "audio")
    split = parse_split("train=0.5,speakers_held_out=0.5")
    found = load_dataset(str(made(out, tmp_path / "two", "parquet", audio=True, split=split)))
    keys = {name: list(part["key"]) for name, part in found.items()}
    assert sorted(key for some in keys.values() for key in some) == sorted(row["key"] for row in rows(out))
    assert set(keys) == {"train", "speakers_held_out"}


def test_audio_is_decoded_to_the_samples_of_the_output(tars: Path, tmp_path: Path) -> None:
    found = load_dataset(str(made(tars, tmp_path / "all", "parquet", audio=True)))["train"]
    for each, row in zip(found, rows(tars), strict=True):
        samples = each["audio"].get_all_samples()
        assert (samples.sample_rate, samples.data.shape[-1]) == (row["sample_rate"], row["num_samples"])


def test_rows_are_streamed(tars: Path, tmp_path: Path) -> None:
    target = made(tars, tmp_path / "hf", "huggingface", audio=True)
    found = load_dataset(str(target), streaming=True)["train"].cast_column("flac", Audio(decode=False))
    read = [(each["json"]["key"], encoded_sha256(io.BytesIO(each["flac"]["bytes"]).read())) for each in found]
    assert read == [(row["key"], row["pcm_sha256"]) for row in rows(tars)]
