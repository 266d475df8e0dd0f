"""manifest.parquet has the rows of manifest.jsonl, and is published, verified and replaced with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from support.corpora import assert_whole, rows

from pipeline.config import JobConfig
from pipeline.errors import ConfigError, InterruptedRunError
from pipeline.jobs.run import plan, run
from pipeline.output import parquet_manifest
from pipeline.output.audit import repair, verify
from pipeline.output.garbage import collect_garbage
from pipeline.output.layout import MANIFEST, PARQUET, PUBLISHED
from pipeline.output.parquet_manifest import ParquetManifest
from pipeline.planning.fields import Fields, unified
from pipeline.planning.prepare import prepare
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]
BOTH = {"output__manifest": ["jsonl", "parquet"]}

METAS: list[dict[str, Any]] = [
    {"text": "one", "speaker": 1, "gain": 0.5, "ok": True, "tags": ["a"], "place": {"x": 1, "y": "b"}, "mixed": 1},
    {"text": "two", "speaker": 2, "gain": 1, "ok": False, "tags": [], "place": {"x": 2, "y": "c"}, "mixed": "a"},
    {"text": "drei äöü", "speaker": 3, "gain": 2.5, "ok": True, "tags": ["b", "c"], "place": {"x": 3, "y": ""}},
]


@pytest.fixture
def told(job: Build, tmp_path: Path) -> Build:
    """A job whose utterances have metadata of all types."""
    keys = [str(key) for key in prepare(job()).catalogue.keys]
    lines = [{"key": key, **METAS[at % len(METAS)]} for at, key in enumerate(keys)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lambda **settings: job(input__meta=str(tmp_path / "texts.jsonl"), **settings)


def columns(out: Path) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(out / PARQUET).to_pylist()  # type: ignore[no-any-return]


def test_its_rows_are_those_of_the_lines_with_the_types_of_the_corpus(
    told: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_manifest, "GROUP_ROWS", 10)
    out = tmp_path / "audio"
    run(told(**BOTH))
    assert columns(out) == rows(out)
    assert list(columns(out)[0]) == list(rows(out)[0])
    found = pyarrow.parquet.ParquetFile(out / PARQUET)
    assert found.metadata.num_row_groups > 1
    meta = {field.name: str(field.type) for field in found.schema_arrow.field("meta").type}
    assert meta == {
        "gain": "double",
        "mixed": "string",
        "ok": "bool",
        "place": "struct<x: int64, y: string>",
        "speaker": "int64",
        "tags": "string",  # one of them is empty
        "text": "string",
    } or meta["tags"].startswith("list")
    assert_whole(out, 24)
    assert run(told(**BOTH)).run_id == ""


def test_a_corpus_without_metadata_has_no_column_meta(job: Build, tmp_path: Path) -> None:
    out = tmp_path / "audio"
    run(job(**BOTH))
    assert columns(out) == [{name: value for name, value in row.items() if name != "meta"} for row in rows(out)]


def test_other_texts_are_published_in_both(told: Build, tmp_path: Path) -> None:
    out = tmp_path / "audio"
    run(told(**BOTH, output__sidecar="none"))
    path = tmp_path / "texts.jsonl"
    path.write_text(path.read_text().replace('"two"', '"zwei"'))
    run(told(**BOTH, output__sidecar="none"))
    assert columns(out) == rows(out)
    assert "zwei" in {row["text"] for row in columns(out)}


def test_values_that_do_not_have_their_type_become_text_or_null(tmp_path: Path) -> None:
    """As of a store that was changed meanwhile, and a text that UTF-8 cannot hold."""
    fields = Fields.of(METAS)
    row = dict.fromkeys(parquet_manifest._FIELDS, 0) | dict.fromkeys(parquet_manifest._TEXTS, "x")
    metas = [{**unified(METAS[0], fields.types), **change} for change in ({"speaker": "two"}, {"text": 7, "gain": "x"})]
    metas.append({**unified(METAS[0], fields.types), "text": "\ud800"})
    lines = [json.dumps({**row, "source": {"store": "s", "row": 1, "digest": "d"}, "meta": meta}) for meta in metas]
    with ParquetManifest(tmp_path / PARQUET, fields.types, rows_are_numbers=True) as written:
        written.add("".join(line + "\n" for line in lines).encode())
    found = [each["meta"] for each in columns(tmp_path)]
    assert [each["speaker"] for each in found] == [None, 1, 1]
    assert [each["text"] for each in found] == ["one", "7", "?"]
    assert [each["gain"] for each in found] == [0.5, None, 0.5]


def test_it_comes_and_goes_with_the_job(job: Build, tmp_path: Path) -> None:
    out = tmp_path / "audio"
    run(job())
    assert not (out / PARQUET).exists()
    assert plan(job(**BOTH)).publication_due == "changed: the forms of the manifest"
    run(job(**BOTH))
    assert len(columns(out)) == 24
    assert collect_garbage(str(out)).others == ()
    run(job())
    assert not (out / PARQUET).exists()
    assert_whole(out, 24)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")])
def test_it_is_verified_and_published_again(job: Build, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    out = tmp_path / "audio"
    run(job(**BOTH))
    damage(out / PARQUET)
    report = verify(str(out))
    assert [finding.name for finding in report.findings] == [PARQUET]
    assert report.others == ()
    repair(str(out), report.findings)
    run(job(**BOTH))
    assert_whole(out, 24)
    assert len(columns(out)) == 24


def test_a_file_of_others_is_not_overwritten_and_not_deleted(job: Build, tmp_path: Path) -> None:
    out = tmp_path / "audio"
    run(job())
    (out / PARQUET).write_text("mine")
    assert verify(str(out)).others == (PARQUET,)
    with pytest.raises(ConfigError, match="no run of melmill has written"):
        run(job(**BOTH))
    run(job(output__subtype="PCM_24"))
    collect_garbage(str(out))
    assert (out / PARQUET).read_text() == "mine"


@pytest.mark.parametrize("forms", [["jsonl"], ["jsonl", "parquet"]])
@pytest.mark.parametrize("stopped_at", [PARQUET, MANIFEST, PUBLISHED])
def test_an_output_is_whole_wherever_its_publication_stops(
    job: Build, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forms: list[str], stopped_at: str
) -> None:
    out = tmp_path / "audio"
    run(job(**BOTH))
    replace = LocalStorage.replace

    def stopping(storage: LocalStorage, name: str, source: Path | bytes) -> None:
        if name == stopped_at:
            raise InterruptedRunError("stopped")
        replace(storage, name, source)

    again = job(vocoder__name=other, output__manifest=forms)
    if stopped_at in (*forms, MANIFEST, PUBLISHED) or "parquet" in forms:
        with monkeypatch.context() as patch:
            patch.setattr(LocalStorage, "replace", stopping)
            with pytest.raises(InterruptedRunError):
                run(again)
        assert verify(str(out)).findings == ()
    run(again)
    assert (out / PARQUET).exists() == ("parquet" in forms)
    assert_whole(out, 24)
