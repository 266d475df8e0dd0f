"""Exports with tables: parquet, the list of audiofolder, and croissant. `make test-readers` reads them, too."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from support.corpora import rows
from support.exports import HOSTILE_KEYS, job_of, meta_of, write_metas

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.views.formats import parquet
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.run import export

Output = Callable[..., Path]


def table(target: Path, split: str = "train") -> list[dict[str, Any]]:
    names = sorted((target / "data").glob(f"{split}-*.parquet"))
    schemas = {str(pyarrow.parquet.read_schema(name)) for name in names}
    assert len(schemas) == 1
    return [row for name in names for row in pyarrow.parquet.read_table(name).to_pylist()]


def content(out: Path, row: dict[str, Any]) -> bytes:
    name = row["shard"] if row["shard"].endswith(".tar") else f"{row['shard']}/{row['member']}"
    return (out / name).read_bytes()[row["offset"] :][: row["bytes"]]


def test_tables_of_refined_audio_have_the_distance_before(job: Callable[..., JobConfig], tmp_path: Path) -> None:
    config = job(vocoder__refine=1, quality__mel_distance=False)
    run(config)
    out = Path(config.output.url)
    export(str(out), str(tmp_path / "tables"), ExportOptions("parquet"))
    assert [each["mel_distance_unrefined"] for each in table(tmp_path / "tables")] == [-1.0] * len(rows(out))
    export(str(out), str(tmp_path / "described"), ExportOptions("croissant"))
    (described,) = json.loads((tmp_path / "described" / "croissant.json").read_text())["recordSet"]
    assert "mel_distance_unrefined" in [each["name"] for each in described["field"]]


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize("audio", [True, False])
def test_parquet_has_every_utterance_in_order_with_typed_fields(
    exported: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, audio: bool
) -> None:
    monkeypatch.setattr(parquet, "_MOST_ROWS", 7)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 40_000)
    out, target = exported(container), tmp_path / "tables"
    export(str(out), str(target), ExportOptions("parquet", audio=audio))
    found = table(target)
    assert len(list((target / "data").iterdir())) > 1
    assert [each["key"] for each in found] == [row["key"] for row in rows(out)]
    for each, row in zip(found, rows(out), strict=True):
        meta = meta_of(HOSTILE_KEYS.index(row["key"]))
        assert {name: each[name] for name in ("text", "speaker", "language", "pcm_sha256", "mel_distance")} == {
            name: row[name] for name in ("text", "speaker", "language", "pcm_sha256", "mel_distance")
        }
        assert (each["age"], each["recorded"], each["place"], each["tags"], each["late"], each["meta_duration"]) == (
            meta["age"], meta["recorded"], meta["place"], meta["tags"], meta.get("late", ""), "long",
        )  # fmt: skip
        if audio:
            assert each["audio"] == {"bytes": content(out, row), "path": row["member"].rpartition("/")[2]}
        else:
            place = (target / each["file"]).read_bytes()[each["offset"] :][: each["bytes"]]
            assert place == content(out, row)


def test_only_the_tables_that_changed_are_written_again(
    own_output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_MOST_ROWS", 1)
    target, options = tmp_path / "tables", ExportOptions("parquet", audio=True)
    export(str(own_output), str(target), options)
    count = len(list((target / "data").iterdir()))
    metas = [meta_of(number) for number in range(len(HOSTILE_KEYS))]
    metas[3]["text"] = "corrected"
    write_metas(tmp_path, metas)
    run(job_of(tmp_path))
    assert export(str(own_output), str(target), options).reused == count - 1
    assert [each["text"] for each in table(target)] == [row["text"] for row in rows(own_output)]


def test_where_split_and_map_together(exported: Output, tmp_path: Path) -> None:
    options = ExportOptions(
        "parquet", where="age > 25 and key <> '__init__'", split=parse_split("train=0.5,dev=0.5"), by="spk",
        renamed=(("spk", "speaker"),),
    )  # fmt: skip
    report = export(str(exported()), str(tmp_path / "tables"), options)
    splits = [name for name, each in report.receipt.counts["splits"].items() if each["utterances"]]
    found = [row for split in splits for row in table(tmp_path / "tables", split)]
    wanted = {key for key in HOSTILE_KEYS[6:] if key != "__init__"}
    assert {row["key"] for row in found} == wanted
    assert all(row["speaker"] == f"s{HOSTILE_KEYS.index(row['key']) % 3}" for row in found)
    assert "spk" not in found[0]


def test_a_list_whose_texts_look_like_times_is_a_table_of_text(exported: Output, tmp_path: Path) -> None:
    export(str(exported()), str(tmp_path / "folder"), ExportOptions("audiofolder", audio=True))
    assert not (tmp_path / "folder" / "train" / "metadata.jsonl").exists()
    found = pyarrow.parquet.read_table(tmp_path / "folder" / "train" / "metadata.parquet").to_pylist()
    assert [each["key"] for each in found] == [row["key"] for row in rows(exported())]
    assert {each["recorded"] for each in found} == {"2026-01-01 00:00:00"}
    assert all((tmp_path / "folder" / "train" / each["file_name"]).is_file() for each in found)


def test_croissant_describes_every_file_with_its_digest(exported: Output, tmp_path: Path) -> None:
    for name, options in (
        ("linked", ExportOptions("croissant")),
        ("new", ExportOptions("croissant", audio=True, renamed=(("spk", "speaker"),))),
    ):
        target = tmp_path / name
        export(str(exported()), str(target), options)
        plain = json.loads((target / "croissant.json").read_text())
        for each in plain["distribution"][:-1]:
            digest = hashlib.sha256((target / each["contentUrl"]).read_bytes()).hexdigest()
            assert each["sha256"] == digest
        told = pyarrow.parquet.read_table(target / "rows.parquet")
        fields = [each["name"] for each in plain["recordSet"][0]["field"]]
        assert fields == [*told.column_names, "audio"]
        assert [each.as_py() for each in told["key"]] == [row["key"] for row in rows(exported())]
