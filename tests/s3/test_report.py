"""The report of an output in a bucket is that of the same output in a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.reports import page_of
from support.s3_server import Server

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.report import ReportOptions, write_comparison, write_report
from pipeline.report.served_output import served_output

Build = Callable[..., JobConfig]


def test_an_output_in_a_bucket_has_a_report(
    small_job: Build, folder: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    url = f"{folder}/audio"
    run(small_job(output__url=url))
    run(small_job(output__url=str(tmp_path / "audio")))
    remote = write_report(url, tmp_path / "remote", wanted=ReportOptions(rows="all")).folder
    local = write_report(str(tmp_path / "audio"), tmp_path / "local", wanted=ReportOptions(rows="all")).folder
    one, other = page_of(remote), page_of(local)
    for part in ("summary", "checks", "groups", "histograms", "rows", "lists", "clips", "metadata"):
        assert one[part] == other[part], part
    assert one["output"]["url"] == url
    assert [snippet["title"].partition(":")[0] for snippet in one["snippets"]] == ["melmill"]
    for clip in remote.glob("clips/*"):
        assert clip.read_bytes() == (local / "clips" / clip.name).read_bytes()
    with served_output(url, wanted=ReportOptions(clips=0)) as served:
        content = served.find("audio/1")
        assert content.read(0, content.size)[:4] == b"fLaC"
    assert write_comparison(url, str(tmp_path / "audio"), tmp_path / "compared").utterances == one["rows"]["total"]
