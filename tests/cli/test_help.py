"""What `--help` says of each command: a summary that fits, the choices of its options, an example that runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from support.commands import all_commands
from support.corpora import write_checkpoint
from support.pages import called, shell
from support.paths import PROMPTS
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Codec, Subtype
from pipeline.vocoders.registry import NAMES
from pipeline.workshop import installation

COMMANDS = all_commands()
TAKES_LONG = {"demo", "serve", "vocoder train"}
"""Commands whose example is not run, but read: whether it has what the command needs, and nothing else."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a folder with what examples use: recordings, a store, an output, a checkpoint."""
    place = tmp_path_factory.mktemp("examples") / "place"
    (place / "recordings").mkdir(parents=True)
    shutil.copy(PROMPTS / "fr_CA_f_June" / "all-circuits-busy-now.flac", place / "recordings" / "vm-sorry.flac")
    assert called(f"melmill pack {place}/recordings {place}/mels.zarr --mel hifigan-22k").code == 0
    assert called(f"melmill run --store {place}/mels.zarr --out {place}/audio --vocoder lift").code == 0
    write_checkpoint(place)
    return Path(shutil.copytree(place, place.with_name("kept")))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_each_help_run_in_order(name: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = kept.with_name("place")  # where it was made: an output knows its store by its path
    shutil.rmtree(place)
    shutil.copytree(kept, place)
    monkeypatch.chdir(place)
    monkeypatch.setattr(installation, "_PATIENCE", 0.0001)  # how exactly a speed is measured makes no difference
    examples = COMMANDS[name].examples
    assert examples
    assert examples[0].startswith(f"melmill {name}")
    for line in examples:
        if name in TAKES_LONG:
            words = line.removeprefix(f"melmill {name}").split()
            COMMANDS[name].make_context(name, words)
            continue
        if re.match(r"melmill pack \S+ mels.zarr", line):
            shutil.rmtree(place / "mels.zarr")  # which pack makes
        done = shell(line, place) if set("|<>") & set(line) else called(line)
        assert done.code == 0, done.said


def help_of(name: str) -> str:
    done = CliRunner().invoke(app, [*name.split(), "--help"])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_ends_with_its_examples_as_they_are_typed(name: str) -> None:
    said = help_of(name)
    heading, _, shown = said.rpartition("Example")
    assert heading
    assert tuple(line.strip() for line in shown.splitlines()[1:]) == COMMANDS[name].examples
    assert said.count("Example") == 1


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", [name for name, each in COMMANDS.items() if hasattr(each, "commands")])
def test_no_summary_in_a_list_of_commands_is_cut(name: str, columns: int) -> None:
    command = [sys.executable, "-m", "pipeline", *name.split(), "--help"]
    environment = {**os.environ, "COLUMNS": str(columns)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    head, _, listed = said.partition("Example")[0].partition("Commands:\n")
    assert "..." not in listed
    assert max(map(len, (head + listed).splitlines())) <= columns
    shown = f" {' '.join(listed.split())} "
    for each, command in COMMANDS[name].commands.items():
        summary = command.short_help or command.description.partition("\n")[0]
        assert f" {each} {summary} " in shown
        assert summary.endswith(".")
    if columns >= 80:  # each has a line of its own
        assert len(listed.strip().splitlines()) == len(COMMANDS[name].commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_h_is_help_everywhere(name: str) -> None:
    assert CliRunner().invoke(app, [*name.split(), "-h"]).output == help_of(name)


def test_the_choices_of_an_option_are_shown() -> None:
    said = "".join(help_of("run").split())
    assert f"--codec<{'|'.join(get_args(Codec))}>" in said
    assert f"--subtype<{'|'.join(get_args(Subtype))}>" in said
    assert f"--vocoderNAMEVocoder(vocoder.name):{','.join(NAMES)},orpathofan.onnxfile" in said
