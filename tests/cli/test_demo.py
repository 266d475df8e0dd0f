"""The command `melmill demo`. All 24 prompts are made by `make demo`, and by `make dist` from the wheel alone."""

import shutil
from pathlib import Path

import pytest
import soundfile
from support.corpora import rows
from support.pages import called
from support.paths import PROMPTS

from pipeline.cli import demo as command

SHORT = "fr_CA_f_June/all-circuits-busy-now"


@pytest.fixture
def one_prompt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The prompts that come with melmill are one alone."""
    (tmp_path / "speech" / SHORT).parent.mkdir(parents=True)
    shutil.copy(PROMPTS / f"{SHORT}.flac", tmp_path / "speech" / f"{SHORT}.flac")
    monkeypatch.setattr(command, "SPEECH", tmp_path / "speech")
    return tmp_path


def test_the_demo_prints_the_commands_that_it_runs_and_audio_that_is_there(one_prompt: Path) -> None:
    folder = one_prompt / "demo"
    folder.mkdir()
    done = called(f"melmill demo {folder}")
    assert done.code == 0, done.said
    run = [line.removeprefix("$ ") for line in done.said.splitlines() if line.startswith("$ ")]
    assert [line.split()[1] for line in run] == ["pack", "run", "verify"]
    listed = [Path(line.strip()) for line in done.said.splitlines() if line.endswith(".flac")]
    assert [soundfile.info(path).samplerate for path in listed] == [22050]
    assert [row["key"] for row in rows(folder / "audio")] == [SHORT]
    for line in run[1:]:  # each can be run by hand
        assert called(line).code == 0
    again = called(f"melmill demo {folder}")
    assert again.code == 0
    assert "$ melmill pack" not in again.said
    assert "nothing to do" in again.said


def test_recordings_that_are_there_are_used_and_a_command_that_fails_ends_the_demo(one_prompt: Path) -> None:
    (one_prompt / "demo" / "recordings").mkdir(parents=True)
    done = called(f"melmill demo {one_prompt / 'demo'}")
    assert done.code == 2, done.said
    assert "$ melmill run" not in done.said
    assert list((one_prompt / "demo" / "recordings").iterdir()) == []


def test_recordings_have_their_name_when_they_are_whole(one_prompt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = one_prompt / "demo"
    (folder / "recordings.partial").mkdir(parents=True)
    shutil.copy(PROMPTS / f"{SHORT}.flac", folder / "recordings.partial" / "of-another-version.flac")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        assert called(f"melmill demo {folder}").code == 75
    assert not (folder / "recordings").exists()
    assert called(f"melmill demo {folder}").code == 0
    assert [row["key"] for row in rows(folder / "audio")] == [SHORT]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = called(f"melmill demo {tmp_path / 'file'}")
    assert done.code == 6
    assert f"cannot be copied to {tmp_path}/file/recordings" in done.said
