"""The commands of the pages about training and OpenVINO."""

import shutil
from pathlib import Path

import pytest
from support.corpora import assert_whole
from support.pages import called, console
from support.paths import PROMPTS


@pytest.mark.parametrize(("page", "count"), [("howto/train", 2), ("howto/cards", 1)])
def test_the_commands_of_a_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, count: int) -> None:
    """A few steps of training instead of ten minutes, and a store of one utterance of the contract of the page."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROMPTS / "it_IT_m_Carlo", "recordings/carlo")
    Path("recordings/anna").mkdir()
    shutil.copy(PROMPTS / "fr_CA_f_June" / "vm-sorry.flac", "recordings/anna")
    pack = f"melmill pack recordings/anna mels.zarr --mel {'tacotron2-22k' if page == 'howto/train' else 'hifigan-22k'}"
    assert called(pack).code == 0
    lines = console(page, "extras")
    assert len(lines) == count
    for line in lines:
        done = called(line.replace("--minutes 10", "--steps 3"))
        assert done.code == 0, f"{line}: {done.said}"
    assert_whole(tmp_path / "audio", 1)
