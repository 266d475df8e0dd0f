"""The README and the pages of docs/: their blocks of commands and examples, and how those are run."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT
from typer.testing import CliRunner

from pipeline.cli import app

DOCS = ROOT / "docs"
PAGES = {"README": ROOT / "README.md"} | {
    str(path.relative_to(DOCS).with_suffix("")): path for path in sorted(DOCS.rglob("*.md"))
}
LANES = {"main", "extras", "readers", "slurm", "s3", "none"}
"""Where blocks of commands run that begin with `$`: `make test`, `make test-...`, or nowhere."""

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:% (?P<note>[^\n]*)\n *)?```(?P<language>\S*)(?: (?P<argument>[^\n]*))?\n"
    r"(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        language: after the fence, with the braces of a directive.
        argument: what follows it.
        note: the comment in the line before.
        body: without the indentation.
        follows: only blank lines lie between the block before and this one.
    """

    language: str
    argument: str
    note: str
    body: str
    follows: bool


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = PAGES[page].read_text()
    end = 0
    for found in _BLOCK.finditer(text):
        body = re.sub(rf"^{found['indent']}", "", found["body"], flags=re.MULTILINE)
        follows = not text[end : found.start()].strip()
        yield Block(found["language"], found["argument"] or "", found["note"] or "", body, follows)
        end = found.end()


def needs(page: str) -> str:
    """What the page says that its commands need in their folder: `recordings`, `store` or nothing."""
    found = re.match(r"% needs: (\w+)\n", PAGES[page].read_text())
    return found[1] if found else ""


def lane_of(block: Block) -> str:
    """Where a block of commands that begin with `$` runs."""
    return block.note.removeprefix("lane: ") if block.note.startswith("lane: ") else "none"


def console(page: str, lane: str) -> list[str]:
    """The commands of a page that run in this lane, without `pip` and the like."""
    lines = [
        line.removeprefix("$ ")
        for block in blocks(page)
        if block.language == "console" and lane_of(block) == lane
        for line in block.body.splitlines()
        if line.startswith("$ ")
    ]
    return [line for line in lines if not line.startswith(("pip ", "docker ", "kubectl "))]


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, and all that it said."""

    code: int
    said: str


def shell(line: str, folder: Path, **environment: str) -> Done:
    """A line as a shell runs it, with `melmill` on its path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", line],
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout)


def called(line: str) -> Done:
    """A `melmill ...` line without workers of its own, in this process and its current folder."""
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "pack":
        words += ["--workers", "1"]
    if words[0] in ("run", "retry", "publish") and "--scheduler" not in words:
        words += ["--set", "cluster.kind=synchronous"]
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), f"{line}: {done.exception!r}"
    return Done(done.exit_code, done.output)


def wanted_code(line: str) -> int:
    """The exit code that a line says, `# exit code 4`; else 0."""
    found = re.search(r"# exit code (\d+)$", line)
    return int(found[1]) if found else 0


def masked(line: str) -> str:
    """A line of output without what differs from run to run: numbers, digests, names of recordings and plurals."""
    line = re.sub(r"\b[0-9a-f]{6,}\b", "0", line)
    line = re.sub(r"(for|worst [\d.]+ in) \S+$", r"\1 KEY", line)
    return re.sub(r"[\d.:]*\d", "0", line).strip()
