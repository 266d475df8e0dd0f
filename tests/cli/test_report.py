"""`melmill report`, and `--report` at the end of a run, as a shell sees them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.in_process import melmill as called
from support.reports import page_of

from pipeline.cli.report import report_folder

Called = Callable[..., str]


@pytest.fixture
def arguments(store: Path, vocoder_path: Path, tmp_path: Path) -> list[object]:
    return [
        "--store", store, "--out", tmp_path / "audio", "--vocoder", vocoder_path, "--scheduler", "synchronous",
        "--set", "output.shard_seconds=10",
    ]  # fmt: skip


def test_a_report_lies_beside_its_output_and_says_where(arguments: list[object], tmp_path: Path) -> None:
    called("run", *arguments)
    said = called("report", f"{tmp_path}/audio/")
    place = tmp_path / "audio-report" / "index.html"
    assert f"open {place}" in said
    assert "24 of 24 utterances were made" in said
    assert page_of(place.parent)["rows"]["total"] == 24
    plain = json.loads(called("report", tmp_path / "audio", tmp_path / "mine", "--rows", "5", "--clips", "1", "--json"))
    assert (plain["folder"], plain["level"], plain["utterances"]) == (str(tmp_path / "mine"), "bad", 24)
    page = page_of(tmp_path / "mine")
    assert (page["rows"]["included"], page["rows"]["chunks"]) == (5, None)
    assert "melmill report audio --rows all" in page["rows"]["note"]
    called("report", tmp_path / "audio", tmp_path / "mine", "--rows", "all", "--without-store", "--seed", "3")
    assert [chunk["rows"] for chunk in page_of(tmp_path / "mine")["rows"]["chunks"]] == [24]


def test_two_outputs_are_compared(arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    called("run", *arguments)
    called("run", *arguments, "--out", tmp_path / "other", "--subtype", "PCM_24")
    said = called("report", "--compare", "audio", "other")
    assert "24 utterances are in both outputs" in said
    assert page_of(tmp_path / "audio-and-other-report")["kind"] == "compare"
    called("report", "--compare", "audio", "audio", "same")
    assert page_of(tmp_path / "same")["same"] == 24


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["report", "nothing"], 2, "holds no melmill output"),
        (["report", "audio", "a", "b"], 2, "pass --compare"),
        (["report", "--compare", "audio"], 2, "takes two outputs"),
        (["report", "audio", "--rows", "some"], 2, "give a number of rows, or 'all'"),
        (["report", "audio", "mels.zarr"], 2, "is not a report of melmill"),
        (["report", "audio", "file"], 6, "is a file"),
        (["report", "audio", "--set", "output.codec=wav"], 2, "takes output.options"),
        (["report", "s3://nowhere"], 2, "an output is s3://bucket/folder"),
    ],
)
def test_what_cannot_be_reported_is_said_with_an_exit_code(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    called("run", *arguments)
    (tmp_path / "file").write_text("x")
    assert words in called(*line, code=code)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(arguments: list[object], tmp_path: Path) -> None:
    called("run", *arguments)
    (tmp_path / "locked").mkdir(0o500)
    assert "check the permissions" in called("report", tmp_path / "audio", tmp_path / "locked" / "report", code=6)


def test_a_run_writes_the_report_of_what_it_published(arguments: list[object], tmp_path: Path) -> None:
    said = called("run", *arguments, "--report")
    place = tmp_path / "audio-report" / "index.html"
    assert said.rstrip().endswith(f"to look at it: open {place}")
    assert said.count("to look at it") == 1
    before = place.stat().st_mtime_ns
    assert f"the report is up to date: {place}" in called("run", *arguments, "--report")
    assert called("run", *arguments, "--report", "--if-changed") == ""
    assert place.stat().st_mtime_ns == before
    called("run", *arguments, "--subtype", "PCM_24", "--report")
    assert page_of(place.parent)["output"]["subtype"] == "PCM_24"


def test_a_run_that_ends_with_failures_has_a_report_too(arguments: list[object], tmp_path: Path) -> None:
    import numpy as np
    import zarr

    zarr.open_group(tmp_path / "mels.zarr")["mel"][3, 5] = np.nan  # type: ignore[index]
    said = called("run", *arguments, "--report", code=7)
    assert f"open {tmp_path / 'audio-report' / 'index.html'}" in said
    assert page_of(tmp_path / "audio-report")["summary"]["failed"] == 1
    called("run", *arguments, "--report", "--set", "quality.max_failure_rate=1", code=3)


def test_a_report_that_fails_never_fails_the_run(arguments: list[object], tmp_path: Path) -> None:
    (tmp_path / "audio-report").write_text("a file in the way")
    said = called("run", *arguments, "--report")
    assert "there is no report: " in said
    assert "is a file" in said
    assert said.rstrip().endswith(f"Once that is mended: melmill report {tmp_path / 'audio'}")
    assert "lists 24 utterances" in said


def test_a_part_that_does_not_publish_writes_no_report(arguments: list[object], tmp_path: Path) -> None:
    from pipeline.storage import LocalStorage

    with LocalStorage(tmp_path / "audio").share("part 2/2 of run x"):
        said = called("run", *arguments, "--part", "1/2", "--report")
    assert "other parts are still at work" in said
    assert "report" not in said.partition("publishes")[2]
    assert not (tmp_path / "audio-report").exists()


def test_the_report_of_an_object_store_lies_in_the_current_folder() -> None:
    assert report_folder("s3://bucket/corpus/audio/") == Path("audio-report")
    assert report_folder("file:///data/audio") == Path("/data/audio-report")
