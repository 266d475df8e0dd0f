"""The examples of the page about loading run, on an output whose utterances have texts in part."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.pages import blocks, called, lane_of

PAGE = "howto/load"


def test_the_examples_for_toolkits_run_in_order(tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio").symlink_to(tars)
    ran = 0
    for block in blocks(PAGE):
        if block.language == "sh":
            for line in block.body.splitlines():
                if line.startswith("melmill export "):
                    assert called(line).code == 0, line
        if block.language == "python" and lane_of(block) == "readers":
            assert len([line for line in block.body.splitlines() if line]) <= 6
            (tmp_path / "example.py").write_text(block.body)
            subprocess.run([sys.executable, "example.py"], check=True, capture_output=True)
            ran += 1
    assert ran >= 4
