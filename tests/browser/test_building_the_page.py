"""The committed page is the one that its sources make."""

import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

PAGE = ROOT / "pipeline/report/page"


@pytest.mark.parametrize("name", ["index.html", "THIRD_PARTY.md"])
def test_the_page_is_what_its_sources_make(name: str, tmp_path: Path) -> None:
    modules = ROOT / "build/page/node_modules"
    subprocess.run(["node", PAGE / "build.mjs", modules, tmp_path], check=True, timeout=60)
    assert (tmp_path / name).read_bytes() == (PAGE / name).read_bytes(), "run make page, and commit what it makes"
