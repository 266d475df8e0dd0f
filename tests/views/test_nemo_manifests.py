"""Exports to NeMo without NeMo: what is in the files, and what is refused. tests/readers has NeMo read them."""

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import rows
from support.exports import HOSTILE_KEYS

from pipeline.errors import ConfigError
from pipeline.views.formats.nemo_entries import manifest_line, taken_for_part
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.rows import ExportRow
from pipeline.views.run import export

Output = Callable[..., Path]
Make = Callable[..., ExportRow]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_manifest_leads_to_each_file(exported: Output, tmp_path: Path) -> None:
    out, target = exported("files"), tmp_path / "nemo"
    export(str(out), str(target), ExportOptions("nemo", allow_empty_text=True))
    for line, row in zip(lines(target / "train_manifest.json"), rows(out), strict=True):
        assert (line["key"], line["text"], line["duration"]) == (row["key"], row["text"], row["duration"])
        path = target / line["audio_filepath"]  # which an absolute path replaces
        assert os.path.isabs(line["audio_filepath"]) == (row["key"] == "x" * 230)
        assert path.is_symlink()
        assert path.read_bytes() == (out / row["shard"] / row["member"]).read_bytes()


def test_a_manifest_may_have_urls(exported: Output, tmp_path: Path) -> None:
    options = ExportOptions("nemo", allow_empty_text=True, base="s3://bucket/audio")
    export(str(exported("files")), str(tmp_path / "nemo"), options)
    row = rows(exported("files"))[0]
    assert lines(tmp_path / "nemo" / "train_manifest.json")[0]["audio_filepath"] == (
        f"s3://bucket/audio/{row['shard']}/{row['member']}"
    )


@pytest.mark.parametrize("copied", [True, False])
def test_each_tar_has_its_number_and_its_manifest(exported: Output, tmp_path: Path, copied: bool) -> None:
    out, target = exported(), tmp_path / "nemo"
    options = ExportOptions("nemo-tarred", split=parse_split("a=0.5,b=0.5"), audio=copied, allow_empty_text=True)
    report = export(str(out), str(target), options)
    found = []
    for split in "ab":
        whole = lines(target / split / "tarred_audio_manifest.json")
        count = len(list((target / split).glob("audio_*.tar")))
        parts = [lines(target / split / "sharded_manifests" / f"manifest_{i}.json") for i in range(count)]
        assert [line for part in parts for line in part] == whole
        assert [line["shard_id"] for line in whole] == [i for i, part in enumerate(parts) for _ in part]
        for number, part in enumerate(parts):
            tar = target / split / f"audio_{number}.tar"
            assert tar.is_symlink() != copied
            with tarfile.open(tar) as members:
                names = members.getnames()
            wanted = [line["audio_filepath"] for line in part]
            assert names == wanted if copied else set(wanted) < set(names)
        found += [line["key"] for line in whole]
    assert sorted(found) == sorted(HOSTILE_KEYS)
    notes = " ".join(report.receipt.notes)
    assert ("skip_missing_manifest_entries: true" in notes) != copied
    assert ("a JSON file beside each audio file and utterances that their manifest does not name" in notes) != copied


def test_tars_of_audio_alone_need_no_flag(exported: Output, tmp_path: Path) -> None:
    options = ExportOptions("nemo-tarred", allow_empty_text=True)
    report = export(str(exported("tar", "none")), str(tmp_path / "nemo"), options)
    assert "skip_missing" not in " ".join(report.receipt.notes)


def test_what_is_in_files_or_behind_urls_is_not_for_tars(exported: Output, tmp_path: Path) -> None:
    options = ExportOptions("nemo-tarred", allow_empty_text=True)
    with pytest.raises(ConfigError, match=r"24 utterances.*audio in a file of its own"):
        export(str(exported("files")), str(tmp_path / "nemo"), options)
    with pytest.raises(ConfigError, match="--base means nothing to --to nemo-tarred"):
        export(str(exported()), str(tmp_path / "nemo"), ExportOptions("nemo-tarred", base="s3://bucket/audio"))


@pytest.mark.parametrize("to", ["nemo", "nemo-tarred", "ljspeech"])
def test_missing_text_is_refused_with_the_way_out(exported: Output, tmp_path: Path, to: str) -> None:
    with pytest.raises(ConfigError, match=r"4 utterances, so nothing was exported.*no text.*--allow-empty-text"):
        export(str(exported()), str(tmp_path / "x"), ExportOptions(to, audio=to == "nemo"))
    assert not (tmp_path / "x").exists()


def test_metadata_that_means_something_to_nemo_gets_another_name(made_row: Make) -> None:
    meta = {"text": "hello", "offset": 2.0, "text_filepath": "/etc/passwd", "_skipme": True, "lang": "", "speaker": 3}
    line = manifest_line(made_row(meta), "a.flac", 7)
    assert line == {
        "audio_filepath": "a.flac", "duration": 1.0, "text": "hello", "sampling_rate": 22050, "shard_id": 7, "key": "a",
        "meta_offset": 2.0, "meta_text_filepath": "/etc/passwd", "meta__skipme": True, "lang": "", "speaker": 3,
    }  # fmt: skip
    assert manifest_line(made_row({"spk": "s1", "language": "de"}), "a.flac") == {
        "audio_filepath": "a.flac", "duration": 1.0, "text": "", "sampling_rate": 22050, "speaker": "s1", "lang": "de",
        "key": "a", "spk": "s1", "language": "de",
    }  # fmt: skip


def test_keys_that_nemo_takes_for_parts() -> None:
    keys = "a-sub1", "a-sub12", "a-sub1-sub2", "-sub1", "a-sub", "a-sub1b", "asub1"
    assert [key for key in keys if taken_for_part(key)] == ["a-sub1", "a-sub12", "a-sub1-sub2"]
