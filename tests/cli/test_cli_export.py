"""The command export, in this process: what it prints, and its exit codes."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.in_process import melmill

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.storage.whole_folder import WholeFolder

Build = Callable[..., JobConfig]


@pytest.fixture
def out(job: Build) -> Path:
    run(job())
    return Path(job().output.url)


def test_it_says_what_it_did_and_that_nothing_is_to_be_done(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "tars"
    split = ("--split", "train=0.5,dev=0.5", "--by", "shard", "--shuffle", 1)
    said = melmill("export", out, "--to", "webdataset", target, *split)
    assert f"{target}: webdataset, 24 of 24 utterances, 0.8 min\n  train: " in said
    assert melmill("export", out, "--to", "webdataset", target, *split) == (
        f"{target} is up to date: webdataset, 24 of 24 utterances, 0.8 min\n"
    )
    plain = json.loads(melmill("export", out, "--to", "wids", target, "--json"))
    assert (plain["made"], plain["format"], plain["counts"]["utterances"]) == (True, "wids", 24)
    assert f"export     wids {target}: up to date\n" in melmill("status", out)
    (target / "melmill-export.json").unlink()
    assert f"export     wids {target}: gone, or moved\n" in melmill("status", out)
    exports = json.loads(melmill("status", out, "--json"))["exports"]
    assert [(each["age"], each["note"]["format"]) for each in exports] == [("gone", "wids")]


def test_what_does_not_fit_ends_with_2_and_a_remedy(out: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ("--to webdatset", "there is no such format (did you mean webdataset?). Formats: webdataset, wids"),
        ("--to wids --by speaker", "it needs --split"),
        ("--to wids --split train", "is not NAME=VALUE"),
        ("--to wids --map a", "is not NAME=VALUE"),
        ("--to wids --base audio", "must be the URL of the output"),
        ("--to wids --base s3://b/a --audio", "Leave one of the two out"),
        ("--to wids --allow-empty-text", "--allow-empty-text means nothing to --to wids"),
        ("--to audiofolder --shuffle 1", "--shuffle means nothing to --to audiofolder; it is for webdataset"),
        ("--to audiofolder", "Pass --audio to copy them out of the tars"),
    ):
        assert said in melmill("export", out, tmp_path / "to", *arguments.split(), code=2)
        assert not (tmp_path / "to").exists()


def test_places_that_do_not_fit_have_their_exit_codes(out: Path, tmp_path: Path) -> None:
    wids = ("--to", "wids")
    (tmp_path / "empty").mkdir()
    assert "holds no melmill output" in melmill("export", tmp_path / "empty", *wids, tmp_path / "to", code=2)
    assert "is a file" in melmill("export", out, *wids, out.parent / "mels.zarr" / "zarr.json", code=6)
    assert "check the p" in melmill("export", out, *wids, "/proc/to", code=6)
    with WholeFolder(tmp_path / "to", "an export"):
        assert "another process is making an export" in melmill("export", out, *wids, tmp_path / "to", code=5)
    melmill("export", out, *wids, "--base", "https://example.org/audio", tmp_path / "to")
    assert "job.json; it is an export. Give" in melmill("export", tmp_path / "to", *wids, tmp_path / "again", code=2)
    os.rename(out / "manifest.jsonl", out / "moved")
    assert "no run has published there yet" in melmill("export", out, *wids, tmp_path / "to", code=2)


def test_help_names_the_formats() -> None:
    assert "webdataset, wids, parquet, huggingface" in " ".join(melmill("export", "--help").split())
