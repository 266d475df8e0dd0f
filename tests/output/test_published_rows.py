"""Rows of the lists: what readers look for first is at the top level, and no path of the maker is in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import SPEC, assert_whole, objects, rows
from support.packs import pack_npy

from pipeline.audio.levels import SILENCE_DBFS
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import plan, run
from pipeline.output.audit import verify
from pipeline.output.common_fields import COMMON_FIELDS, common_fields
from pipeline.output.layout import PUBLISHED
from pipeline.output.not_measured import NO_LOUDNESS
from pipeline.output.published_rows import last_part
from pipeline.output.records import Row
from pipeline.planning.prepare import prepare

Build = Callable[..., JobConfig]


@pytest.fixture
def texts(job: Build, tmp_path: Path) -> str:
    keys = [str(key) for key in prepare(job()).catalogue.keys]
    path = tmp_path / "texts.jsonl"
    told: list[dict[str, Any]] = [{"key": key, "transcription": f"says {key}", "speaker_id": 7} for key in keys]
    path.write_text("".join(json.dumps(each) + "\n" for each in told))
    return str(path)


@pytest.mark.parametrize(
    ("meta", "text", "speaker", "language"),
    [
        ({}, "", "", ""),
        ({"text": "x", "speaker": "anna", "language": "en"}, "x", "anna", "en"),
        ({"sentence": "x", "spk": 3, "lang": "en"}, "x", "3", "en"),
        ({"text": "", "transcript": "x", "speaker": None, "speaker_id": 0}, "x", "0", ""),
        ({"text": "first", "transcript": "second"}, "first", "", ""),
        ({"text": ["a", "b"], "locale": "de"}, '["a", "b"]', "", "de"),
        ({"title": "x"}, "", "", ""),
    ],
)
def test_common_fields_are_found_under_their_usual_names(
    meta: dict[str, Any], text: str, speaker: str, language: str
) -> None:
    assert common_fields(meta) == {"text": text, "speaker": speaker, "language": language}


def kinds(value: Any) -> Any:
    """The types in a value, as a reader infers them."""
    return {name: kinds(each) for name, each in value.items()} if isinstance(value, dict) else type(value)


def test_every_field_has_one_type_in_all_rows_though_some_utterances_were_not_measured(
    job: Build, mels: Path, tmp_path: Path
) -> None:
    """Readers infer the type of a column from the first rows, and refuse or lose what differs later."""
    (tmp_path / "few").mkdir()
    for number, path in enumerate(sorted(mels.rglob("*.npy"))[:4]):
        mel = np.load(path)
        np.save(tmp_path / "few" / f"{number}.npy", mel if number else mel[:, :20])  # under 400 ms: it has no loudness
    pack_npy(str(tmp_path / "few"), str(tmp_path / "few.zarr"), SPEC, workers=1)
    out = Path(job().output.url)
    settings = {"output__loudness": -23.0, "output__shard_seconds": 1, "input__store": str(tmp_path / "few.zarr")}
    run(job(**settings, vocoder__name="griffin-lim", quality__mel_distance=False))
    (out / rows(out)[-1]["shard"]).unlink()
    report = run(job(**settings, vocoder__name="griffin-lim"))
    first, *_, last = found = rows(out)
    assert len({json.dumps(kinds(row), default=str) for row in found}) == 1
    assert type(None) not in kinds(first).values()
    assert [first[name] for name in ("loudness", "mel_distance", "mel_distance_relative")] == [-200.0, -1.0, -1.0]
    assert last["mel_distance"] > 0
    assert last["loudness"] == pytest.approx(-23, abs=6)
    assert report.totals.mel_distance_worst_key == last["key"]
    assert_whole(out, 4)


def test_a_manifest_with_null_is_read_as_one_without(job: Build) -> None:
    """Early versions of melmill wrote null."""
    run(job())
    row = rows(Path(job().output.url))[0]
    assert Row.from_dict(row) == Row.from_dict({**row, "loudness": None})
    assert Row.from_dict(row).loudness is None
    assert NO_LOUDNESS == SILENCE_DBFS


def test_no_alias_stands_for_two_fields() -> None:
    names = [alias for aliases in COMMON_FIELDS.values() for alias in aliases]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/home/me/mels.zarr", "mels.zarr"),
        ("/home/me/mels.zarr/", "mels.zarr"),
        ("s3://bucket/a/mels.zarr", "mels.zarr"),
        ("s3://bucket", "bucket"),
        ("mels.zarr", "mels.zarr"),
        ("/", "/"),
    ],
)
def test_a_stores_name_is_the_last_part_of_its_place(url: str, name: str) -> None:
    assert last_part(url) == name
    assert last_part(name) == name


def test_rows_have_text_speaker_and_language_at_the_top_and_all_of_meta(job: Build, tmp_path: Path, texts: str) -> None:
    run(job(input__meta=texts))
    for row in rows(tmp_path / "audio"):
        assert list(row)[:5] == ["key", "text", "speaker", "language", "shard"]
        told = {"transcription": f"says {row['key']}", "speaker_id": 7}
        assert row["meta"] == told
        assert (row["text"], row["speaker"], row["language"]) == (told["transcription"], "7", "")
    assert_whole(tmp_path / "audio", 24)


def test_no_row_names_the_makers_folders_unless_asked(job: Build, store: Path, tmp_path: Path, texts: str) -> None:
    mel: Any = zarr.open_group(store)["mel"]
    mel[3, 0] = float("nan")
    out = tmp_path / "audio"
    audio = {"quality__max_failure_rate": 1.0, "input__meta": texts}
    run(job(**audio))

    def named() -> set[str]:
        return {row["source"]["store"] for name in ("manifest.jsonl", "failures.jsonl") for row in rows(out, name)}

    made = objects(out)
    assert named() == {"mels.zarr"}
    assert str(tmp_path) not in (out / "manifest.jsonl").read_text()
    assert_whole(out, 24, failed=1)
    for setting, name in (("url", str(store)), ("name", "mels.zarr")):
        config = job(**audio, output__store_in_rows=setting)
        assert plan(config).publication_due == "changed: how rows name the store"
        events: list[Event] = []
        run(config, events.append)
        assert not any(isinstance(event, ShardCommitted) for event in events)
        assert named() == {name}
        assert objects(out) == made
        assert_whole(out, 24, failed=1)
        assert run(config).run_id == ""


def test_an_output_still_knows_the_place_of_its_store_without_job_json(job: Build, tmp_path: Path) -> None:
    run(job())
    (tmp_path / "audio" / "job.json").unlink()
    other = tmp_path / "elsewhere" / "mels.zarr"
    with pytest.raises(ConfigError, match=f"it was made from {tmp_path}/mels.zarr"):
        run(job(input__store=str(other)))


@pytest.mark.parametrize("field", ["text", "speaker"])
def test_a_top_level_field_that_was_edited_is_found(job: Build, tmp_path: Path, texts: str, field: str) -> None:
    out = tmp_path / "audio"
    run(job(input__meta=texts))
    lines = [{**row, field: "edited"} if at == 2 else row for at, row in enumerate(rows(out))]
    (out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / PUBLISHED).unlink()  # without the digest of the whole list
    found = [finding for finding in verify(str(out)).findings if finding.name.startswith("manifest.jsonl")]
    assert any("edited" in finding.what for finding in found)
