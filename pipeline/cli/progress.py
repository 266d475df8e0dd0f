"""Progress of any work on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from pipeline.cli.printing import write_line

LINE_SECONDS = 10.0
"""Time between two lines of progress in a log."""
_LEAST_BAR = 8
"""Width of the bar on a terminal that has no room for more, in characters."""


def progress_shown(wanted: bool = True) -> Progress:
    """The progress of this command: a bar if standard error is a terminal, else lines; notices alone if not wanted."""
    if wanted and can_redraw(sys.stderr):
        return ProgressBar()
    return Progress(sys.stderr, LINE_SECONDS if wanted else None)


def can_redraw(stream: TextIO) -> bool:
    """Whether a stream is a terminal where lines can be drawn again, and a person may look: not that of a CI's log."""
    a_log = os.environ.get("CI", "") not in ("", "0", "false") or os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return stream.isatty() and not a_log


def fitting(parts: Sequence[str], room: int) -> str:
    """The first parts of a text, with commas between them, as many as there is room for.

    >>> fitting(["12 of 24", "9.0 x real time", "0:00:12 left"], 30)
    '12 of 24, 9.0 x real time'
    """
    shown = parts[0][: max(room, 0)]
    for part in parts[1:]:
        if len(shown) + len(", ") + len(part) > room:
            break
        shown = f"{shown}, {part}"
    return shown


class Progress:
    """Prints how far work is, and notices in between. Not thread-safe.

    Args:
        stream: stream that the lines are written to.
        seconds: time between two lines of progress; None for no progress, only notices.
    """

    def __init__(self, stream: TextIO, seconds: float | None = LINE_SECONDS) -> None:
        self._stream = stream
        self._seconds = seconds
        self._printed = time.monotonic()

    def update(self, line: str, done: float, total: float | None, *parts: str) -> None:
        """Show how far the work is.

        Args:
            line: text that says how far the work is.
            done: amount of work that is done.
            total: amount of all work; None if it is not known.
            parts: the same in few words, for a bar that has little room, the most important first; by default the parts
                of `line` that commas separate.
        """
        if self._seconds is not None and time.monotonic() - self._printed >= self._seconds:
            self.notice(line)

    def notice(self, line: str) -> None:
        """Print a line at once."""
        self._printed = time.monotonic()
        write_line(self._stream, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class ProgressBar(Progress):
    """A bar on a terminal, with the notices above it."""

    def __init__(self) -> None:
        from rich.console import Console  # takes a tenth of a second, and a log does without
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(sys.stderr)
        columns = (BarColumn(bar_width=None), TextColumn("{task.description}", markup=False))
        self._bar = RichProgress(*columns, console=Console(stderr=True), expand=True)
        self._task = self._bar.add_task("starting", total=None)

    def update(self, line: str, done: float, total: float | None, *parts: str) -> None:
        """See Progress."""
        room = self._bar.console.width - _LEAST_BAR - 1
        words = fitting(parts or line.split(", "), room)
        self._bar.update(self._task, completed=done, total=total, description=words)

    def notice(self, line: str) -> None:
        """See Progress. A long line is not broken: the terminal does that, and it can be copied whole."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
