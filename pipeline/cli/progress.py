"""Progress of any work on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from pipeline.cli.printing import write_line

LINE_SECONDS = 10.0
"""Time between two lines of progress in a log."""


def progress_shown(wanted: bool = True) -> Progress:
    """The progress of this command: a bar if standard error is a terminal, else lines; notices alone if not wanted."""
    return ProgressBar() if wanted and sys.stderr.isatty() else Progress(sys.stderr, LINE_SECONDS if wanted else None)


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

    def update(self, line: str, done: float, total: float | None) -> None:
        """Show how far the work is.

        Args:
            line: text that says how far the work is.
            done: amount of work that is done.
            total: amount of all work; None if it is not known.
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
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        super().__init__(sys.stderr)
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = RichProgress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("starting", total=None)

    def update(self, line: str, done: float, total: float | None) -> None:
        """See Progress."""
        self._bar.update(self._task, completed=done, total=total, description=line)

    def notice(self, line: str) -> None:
        """See Progress."""
        self._bar.console.print(line, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
