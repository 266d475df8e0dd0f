"""The wheel and the sdist that `make dist` builds, and an installation of the wheel."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

DIST = ROOT / "dist"
TOOLS = ROOT / "build" / "dist"
BUILT_FROM_THE_TREE = TOOLS / "from-the-tree"


def the_only(pattern: str, folder: Path = DIST) -> Path:
    """The one file with this name in a folder."""
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder}/{pattern}: {found}; run make dist"
    return found[0]


@dataclass(frozen=True)
class Installed:
    """melmill as pipx has installed it from the wheel, for a person whose home is empty.

    Args:
        home: the home.
        folder: an empty folder, which is the current one of each command.
        python: the interpreter of the environment that pipx made.
        environment: variables of the person's shell; `melmill` is on its path.
    """

    home: Path
    folder: Path
    python: Path
    environment: dict[str, str]

    def run(self, *command: object, code: int = 0) -> str:
        """What a command printed; it must end with this exit code."""
        done = subprocess.run(
            [str(each) for each in command], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout


def install(folder: Path) -> Installed:
    """Install the wheel with pipx. Nothing of this checkout, or of the environment of the tests, is in reach."""
    home, tools, work = folder / "home", folder / "pipx", folder / "work"
    for each in (home, work):
        each.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    kept.setdefault("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    environment = kept | {"HOME": str(home), "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    pipx = environment | {
        "PIPX_HOME": str(tools),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PIPX_MAN_DIR": str(tools / "man"),
    }
    command = [TOOLS / "bin" / "python", "-m", "pipx", "install", "--python", sys.executable, the_only("*.whl")]
    done = subprocess.run(command, env=pipx, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return Installed(home, work, tools / "venvs" / "melmill" / "bin" / "python", environment)
