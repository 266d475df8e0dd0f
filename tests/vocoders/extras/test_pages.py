"""The commands of the pages about training and loading into torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.corpora import assert_whole
from support.pages import blocks, called, console, lane_of
from support.paths import PROMPTS


@pytest.mark.parametrize(("page", "count"), [("howto/train", 2)])
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


def test_a_dataset_is_one_that_torch_loads_with_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the page, as a script of its own, with workers that are forked and with those that are started."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROMPTS / "it_IT_m_Carlo", "recordings")
    made = len(list(Path("recordings").glob("*.flac")))
    assert called("melmill pack recordings mels.zarr --mel hifigan-22k").code == 0
    assert called("melmill run --store mels.zarr --out audio --vocoder griffin-lim").code == 0
    (example,) = [
        block.body for block in blocks("howto/load") if block.language == "python" and lane_of(block) == "extras"
    ]
    for method in ("fork", "spawn"):
        Path("example.py").write_text(
            example.replace("num_workers=2", f"num_workers=2, multiprocessing_context={method!r}")
        )
        done = subprocess.run([sys.executable, "example.py"], capture_output=True, text=True, check=True)
        batches = [line.split(" ", 1) for line in done.stdout.splitlines()]
        assert sum(int(count) for count, _ in batches) == made
        assert all(shape.startswith(f"torch.Size([{count}, ") for count, shape in batches)
