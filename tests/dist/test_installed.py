"""The wheel alone, installed with pipx by a person whose home is empty: the command, the demo, the package."""

import sys
from pathlib import Path

import pytest
from support.distributions import Installed, install


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


def test_the_command_and_the_module_are_those_of_the_wheel(installed: Installed) -> None:
    version = installed.run("melmill", "--version")
    assert version == installed.run(installed.python, "-m", "pipeline", "--version")
    place = installed.run(installed.python, "-c", "import pipeline; print(pipeline.__file__)")
    assert Path(place.strip()).is_relative_to(installed.python.parents[1])


def test_what_is_installed_fits_together(installed: Installed) -> None:
    said = installed.run(sys.executable, "-m", "pip", "--python", installed.python, "check")
    assert "No broken requirements" in said


def test_the_demo_is_made_from_the_wheel_alone(installed: Installed) -> None:
    said = installed.run("melmill", "demo")
    assert "melmill-demo/audio is whole: 24 utterances, 1.2 min" in said
    assert (installed.folder / said.splitlines()[-1].strip()).is_file()
    assert "nothing to do" in installed.run("melmill", "demo")
    assert [path.name for path in installed.folder.iterdir()] == ["melmill-demo"]
    assert {path.name for path in installed.home.iterdir()} <= {".cache"}


def test_vocoders_that_come_with_melmill_speak(installed: Installed) -> None:
    """Weights and prompts are in the wheel."""
    assert "lift" in installed.run("melmill", "vocoder", "list")
    installed.run("melmill", "vocoder", "check", "lift")


def test_type_checkers_see_the_types_of_the_package(installed: Installed) -> None:
    program = "import pipeline\nreveal_type(pipeline.read('audio'))\n"
    said = installed.run(
        sys.executable, "-m", "mypy", "--python-executable", installed.python, "--cache-dir", "mypy", "-c", program
    )
    assert 'Revealed type is "pipeline.output.dataset.AudioDataset"' in said
