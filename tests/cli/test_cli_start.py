"""What a command imports before it works, and what the lists of commands say."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import _Commands, app
from pipeline.cli.config import _Commands as _ConfigCommands
from pipeline.cli.lazy import LazyCommand
from pipeline.cli.vocoder import _Commands as _VocoderCommands

HEAVY = {"dask", "distributed", "llvmlite", "numpy", "onnx", "onnxruntime", "rich", "zarr"}


def imported_by(*commands: list[object]) -> set[str]:
    """The modules that a fresh process has imported after these commands, which must end with exit code 0."""
    script = (
        "import runpy, sys\n"
        f"for arguments in {[[str(each) for each in command] for command in commands]!r}:\n"
        "    sys.argv = ['melmill', *arguments]\n"
        "    try:\n"
        "        runpy.run_module('pipeline', run_name='__main__')\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, (arguments, end.code)\n"
        "print('imported:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("imported:")[2].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["vocoder", "--help"], ["config", "-h"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[object]) -> None:
    assert imported_by(arguments) & HEAVY == set()


def test_a_run_imports_nothing_that_makes_vocoders(store: Path, vocoder_path: Path, tmp_path: Path) -> None:
    common = ["--store", store, "--out", tmp_path / "audio", "--vocoder", vocoder_path, "--scheduler", "synchronous"]
    found = imported_by(
        ["plan", *common], ["run", *common], ["status", tmp_path / "audio"], ["verify", tmp_path / "audio"]
    )
    assert "pipeline.jobs.run" in found
    makers = {"onnx", "pipeline.workshop", "pipeline.checkpoints.hifigan", "pipeline.checkpoints.known_families"}
    assert found & makers == set()


LISTED = [*_Commands.lazy, *_ConfigCommands.lazy, *_VocoderCommands.lazy]


@pytest.mark.parametrize("command", LISTED, ids=lambda command: command.name)
def test_the_list_of_commands_says_the_first_line_of_each(command: LazyCommand) -> None:
    module, _, function = command.place.partition(":")
    documented = inspect.getdoc(getattr(importlib.import_module(module), function)) or ""
    assert documented.splitlines()[0] == command.short_help


def test_a_command_has_the_flags_of_a_job_that_concern_it_in_their_order() -> None:
    flags = {
        "plan": "--store --out --vocoder --codec --subtype --workers --scheduler --set --adopt --json -h",
        "run": "--store --out --vocoder --codec --subtype --workers --scheduler --set --adopt --part --single-writer "
        "--if-changed --metrics --report --log-json -q -v -h",
        "retry": "--store --workers --scheduler --set --adopt --log-json -q -v -h",
        "publish": "--store --set --adopt --log-json -q -h",
    }
    for command, options in flags.items():
        lines = CliRunner().invoke(app, [command, "--help"]).output.splitlines()
        found = [line.split()[0].rstrip(",") for line in lines if line.startswith("  -")]
        assert found == options.split()


def test_to_import_the_package_imports_nothing_heavy() -> None:
    script = "import sys, pipeline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
