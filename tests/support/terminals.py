"""Commands on a real terminal: a pseudo-terminal of some width, whose bytes are kept."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

DECIDES = ("CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Environment variables that decide how a terminal is written to; tests inherit none of them."""
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    """What a command wrote to its terminal.

    Args:
        code: its exit code.
        raw: the bytes, with all controls.
    """

    code: int
    raw: bytes

    @property
    def coloured(self) -> bool:
        """Whether it has colours."""
        return _COLOUR.search(self.raw) is not None

    @property
    def redrawn(self) -> bool:
        """Whether a line was drawn again in its place, or the cursor moved otherwise."""
        without_colours = _COLOUR.sub(b"", self.raw)
        return b"\x1b" in without_colours or b"\r" in without_colours.replace(b"\r\n", b"")

    @property
    def drawn(self) -> list[str]:
        """Every line that was ever drawn, in order, also those that others replaced."""
        text = _CONTROL.sub(b"", self.raw).decode()
        return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def on_terminal(
    *words: object, columns: int = 80, folder: str | os.PathLike[str] | None = None, **variables: str
) -> Shown:
    """Run `melmill` with its standard streams on a terminal.

    Args:
        words: the arguments.
        columns: width of the terminal.
        folder: current folder of the command.
        variables: environment variables of the command, beside those of the tests.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **variables}
    arguments = [sys.executable, "-m", "pipeline", *map(str, words)]
    with subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, close_fds=True
    ) as process:
        os.close(theirs)
        raw = b""
        try:
            while piece := os.read(ours, 65536):
                raw += piece
        except OSError:  # the terminal's other end is closed
            pass
        code = process.wait(120)
    os.close(ours)
    return Shown(code, raw)
