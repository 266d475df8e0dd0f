"""Completion in shells: what Tab offers, in bash itself where it is there, and what its installation writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import all_commands
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config.keys import job_keys
from pipeline.melspec import PRESETS
from pipeline.vocoders.registry import NAMES

COMMAND = Path(sys.executable).with_name("melmill")


ASKED = {"_MELMILL_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def offered(line: str) -> list[str]:
    """What Tab offers at the end of a line in fish: names, without their descriptions; asked in this process."""
    done = CliRunner().invoke(app, prog_name="melmill", env={**ASKED, "_TYPER_COMPLETE_ARGS": line})
    assert done.exit_code == 0, done.output
    return [each.partition("\t")[0] for each in done.output.splitlines()]


def test_commands_vocoders_presets_keys_and_choices_are_offered() -> None:
    commands = [name for name in all_commands() if name and " " not in name]
    environment = {**os.environ, **ASKED, "_TYPER_COMPLETE_ARGS": "melmill "}
    done = subprocess.run([COMMAND], env=environment, capture_output=True, text=True, check=True)
    assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == offered("melmill ") == commands
    assert offered("melmill vocoder ") == ["list", "import", "check", "train"]
    assert offered("melmill run --vocoder ") == list(NAMES)
    assert offered("melmill vocoder check li") == [name for name in NAMES if name.startswith("li")]
    assert offered("melmill pack recordings mels.zarr --mel hifi") == [n for n in PRESETS if n.startswith("hifi")]
    assert offered("melmill run --set output.s") == [
        f"{each.path}=" for each in job_keys() if each.path.startswith("output.s")
    ]
    assert offered("melmill run --set output.codec=") == ["output.codec=flac", "output.codec=wav"]
    assert offered("melmill run --codec ") == ["flac", "wav"]
    assert "--vocoder" in offered("melmill run --v")


def test_a_description_has_one_line() -> None:
    asked = {"_MELMILL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "melmill run --set "}
    done = subprocess.run([COMMAND], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(job_keys())
    assert lines[0].startswith("""_arguments '*: :(("input.store=":"Path or fsspec URL of the Zarr store.\"""")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_what_the_installation_wrote(tmp_path: Path) -> None:
    here = {**os.environ, "HOME": str(tmp_path), "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    script = "melmill --install-completion && true"  # so that bash stays, whose completion it is to be
    done = subprocess.run(["bash", "-c", script], env=here, capture_output=True, text=True, check=True)
    assert "bash completion installed in" in done.stdout
    assert ".bash_completions/melmill.sh" in (tmp_path / ".bashrc").read_text()
    ask = (
        ". ~/.bashrc; COMP_WORDS=(melmill run --vocoder lift-); COMP_CWORD=3; _melmill_completion melmill; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], env=here, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [name for name in NAMES if name.startswith("lift-")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_can_be_shown(shell: str, tmp_path: Path) -> None:
    asked = {**os.environ, "_MELMILL_COMPLETE": f"source_{shell}"}
    done = subprocess.run([COMMAND], env=asked, capture_output=True, text=True, check=True)
    assert f"_MELMILL_COMPLETE=complete_{shell}" in done.stdout
