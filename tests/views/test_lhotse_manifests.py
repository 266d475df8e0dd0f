"""Exports to lhotse without lhotse: what is in the files, what is refused, what is taken over."""

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import rows

from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs.run import run
from pipeline.views.formats.lhotse_entries import not_in_shar, supervision
from pipeline.views.options import ExportOptions
from pipeline.views.rows import ExportRow
from pipeline.views.run import export

Output = Callable[..., Path]
Build = Callable[..., JobConfig]


def run_of(config: JobConfig) -> str:
    """Runs a job, and says where its output is."""
    run(config)
    return config.output.url


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("container", ["tar", "files"])
def test_cuts_recordings_and_supervisions_say_the_same(exported: Output, tmp_path: Path, container: str) -> None:
    out = exported(container)
    report = export(str(out), str(tmp_path / "lhotse"), ExportOptions("lhotse"))
    assert ("from the beginning of its tar" in " ".join(report.receipt.notes)) == (container == "tar")
    recordings, supervisions, cuts = (
        lines(tmp_path / "lhotse" / f"{name}_train.jsonl.gz") for name in ("recordings", "supervisions", "cuts")
    )
    assert [cut["recording"] for cut in cuts] == recordings
    assert [cut["supervisions"] for cut in cuts] == [[each] for each in supervisions]
    for cut, row in zip(cuts, rows(out), strict=True):
        (source,) = cut["recording"]["sources"]
        in_tar = container == "tar"
        assert source["source"] == str(out / row["shard"] / row["member"])
        assert source["type"] == ("url" if in_tar else "file")
        assert (cut["id"], cut["recording"]["num_samples"]) == (row["key"], row["num_samples"])
        told = cut["supervisions"][0]
        assert [told.get(name, "") for name in ("text", "speaker", "language")] == [
            row[name] for name in ("text", "speaker", "language")
        ]
        assert told["custom"] == row["meta"]


def test_of_a_tar_behind_a_url_nothing_is_exported_until_the_audio_is_copied(exported: Output, tmp_path: Path) -> None:
    base = "https://example.org/audio"
    with pytest.raises(ConfigError, match=r"24 utterances.*a tar behind a URL, of which lhotse reads no members"):
        export(str(exported()), str(tmp_path / "lhotse"), ExportOptions("lhotse", base=base))
    export(str(exported("files")), str(tmp_path / "lhotse"), ExportOptions("lhotse", base=base))
    (source,) = lines(tmp_path / "lhotse" / "recordings_train.jsonl.gz")[0]["sources"]
    row = rows(exported("files"))[0]
    assert source["type"] == "url"
    assert source["source"].startswith(f"{base}/{row['shard']}/")


def test_an_export_with_absolute_paths_is_made_again_where_it_was_moved(exported: Output, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported(), tmp_path / "here" / "audio"))
    export(str(out), str(tmp_path / "here" / "lhotse"), ExportOptions("lhotse"))
    (tmp_path / "here").rename(tmp_path / "there")
    out = tmp_path / "there" / "audio"
    assert export(str(out), str(tmp_path / "there" / "lhotse"), ExportOptions("lhotse")).made
    (source,) = lines(tmp_path / "there" / "lhotse" / "recordings_train.jsonl.gz")[0]["sources"]
    assert source["source"].startswith(str(out))


def test_a_shar_has_audio_and_recordings_in_turn(job: Build, tmp_path: Path) -> None:
    out = Path(run_of(job()))
    export(str(out), str(tmp_path / "shar"), ExportOptions("lhotse-shar"))
    folder, found = tmp_path / "shar" / "train", []
    for number in range(len({row["shard"] for row in rows(out)})):
        with tarfile.open(folder / f"recording.{number:06d}.tar") as tar:
            for cut in lines(folder / f"cuts.{number:06d}.jsonl.gz"):
                audio, recording = tar.next(), tar.next()
                assert audio is not None
                assert recording is not None
                assert (audio.name, recording.name) == (f"{cut['id']}.flac", f"{cut['id']}.json")
                assert json.load(tar.extractfile(recording)) == cut["recording"]  # type: ignore[arg-type]
                found.append((cut["id"], tar.extractfile(audio).read()))  # type: ignore[union-attr]
            assert tar.next() is None
    wanted = [(r["key"], (out / r["shard"]).read_bytes()[r["offset"] :][: r["bytes"]]) for r in rows(out)]
    assert found == wanted
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {"cuts", "recording"}  # all that lhotse may find


def test_shards_of_which_nothing_changed_are_taken_over(job: Build, tmp_path: Path) -> None:
    def of_texts(*texts: str) -> JobConfig:
        keys = [f"en_US_f_Allison/{name}" for name in ("demo-echodone", "privacy-prompt")]
        told = zip(keys, texts, strict=True)
        (tmp_path / "m.jsonl").write_text("".join(json.dumps({"key": k, "text": t}) + "\n" for k, t in told))
        return job(input__meta=str(tmp_path / "m.jsonl"))

    target = tmp_path / "shar"
    out = run_of(of_texts("one", "two"))
    export(out, str(target), ExportOptions("lhotse-shar"))
    before = {path.name: path.stat().st_ino for path in (target / "train").iterdir()}
    run_of(of_texts("one", "changed"))
    report = export(out, str(target), ExportOptions("lhotse-shar"))
    after = {path.name: path.stat().st_ino for path in (target / "train").iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert len(changed) == 2  # cuts and recordings of one shard
    assert report.reused == len(after) - 2 > 0
    told = [cut["supervisions"][0] for path in sorted((target / "train").glob("cuts*")) for cut in lines(path)]
    assert [each["text"] for each in told if "text" in each] == ["one", "changed"]


def test_a_key_that_no_shar_can_have_is_refused(exported: Output, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"1 utterance,.*'\.\./\.\./up': a key that is no plain relative path"):
        export(str(exported()), str(tmp_path / "shar"), ExportOptions("lhotse-shar"))


@pytest.mark.parametrize("key", ["/a", "a//b", "./a", "a/../b", "../a", "a/", "a\0b"])
def test_keys_that_pathlib_would_change_are_not_for_a_shar(key: str) -> None:
    assert not_in_shar(key)


@pytest.mark.parametrize("key", ["a", "a/b.c", "a b", ".a", "..", "...", "-", "~a"])
def test_other_keys_are_for_a_shar(key: str) -> None:
    assert not_in_shar(key) is None


def test_metadata_that_lhotse_would_take_for_its_own_is_text(made_row: Callable[..., ExportRow]) -> None:
    lhotses = {"width": 3}, {"shape": [1]}, {"array": 1}, {"id": "", "sources": [], "sampling_rate": 1}
    for value in lhotses:
        assert supervision(made_row(meta={"x": value}))["custom"] == {"x": json.dumps(value)}
    assert supervision(made_row(meta={"x": {"y": [1]}}))["custom"] == {"x": {"y": [1]}}
