"""The code that a report shows runs as it stands, in the folder that the output lies in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.corpora import rows
from support.paths import ROOT
from support.reports import page_of

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.report import ReportOptions, write_report


@pytest.mark.parametrize(
    ("container", "codec", "subtype", "titles"),
    [("tar", "flac", "PCM_16", 3), ("tar", "wav", "FLOAT", 3), ("files", "flac", "PCM_24", 2)],
)
def test_every_snippet_loads_the_output(
    packed: Path, vocoder_path: Path, tmp_path: Path, container: str, codec: str, subtype: str, titles: int
) -> None:
    name = 'it\'s "audio"'
    run(
        JobConfig.build(
            {
                "input": {"store": str(packed)},
                "vocoder": {"name": str(vocoder_path)},
                "output": {"url": str(tmp_path / name), "container": container, "codec": codec, "subtype": subtype},
                "cluster": {"kind": "synchronous"},
            }
        )
    )
    first = rows(tmp_path / name)[0]
    report = write_report(str(tmp_path / name), tmp_path / "report", wanted=ReportOptions(clips=0)).folder
    snippets = page_of(report)["snippets"]
    assert len(snippets) == titles
    for snippet in snippets:
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", snippet["code"]],
            cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, f"{snippet['title']}: {done.stderr}"
        assert f"({first['num_samples']},) {first['sample_rate']}" in done.stdout, snippet["title"]
