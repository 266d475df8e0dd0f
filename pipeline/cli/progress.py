"""What a person or a log sees of a run while it goes on. All of it listens to events."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.events import (
    ContractDoubted,
    Event,
    Logged,
    MetadataListed,
    OtherProcessor,
    PublicationDue,
    Reason,
    RunStarted,
    RunStopping,
    ShardAbandoned,
    ShardRetried,
    WorkersAwaited,
)
from pipeline.events.tally import Tally
from pipeline.redaction import redacted

PLAIN_LINE_SECONDS = 10.0
LINES_SHOWN = 20


class RunView(ABC):
    """Shows a run while it is open."""

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Take the next event; from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027  (most have nothing to end)
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def run_view(log_json: bool, progress: bool = True) -> RunView:
    """JSON lines if asked for, else a bar on a terminal, else plain lines, with progress or not; on standard error."""
    if log_json:
        return JsonLog(sys.stderr)
    return Bar(Console(stderr=True)) if progress and sys.stderr.isatty() else PlainLines(sys.stderr, progress)


def progress_line(tally: Tally) -> str:
    """How far a run is, for people."""
    return (
        f"{tally.made} of {tally.planned.utterances} utterances, {hours(tally.made_seconds)} of "
        f"{hours(tally.planned.seconds)}, {tally.speed:.1f} x real time, {tally.failed} failed, "
        f"{'unknown time' if tally.left is None else duration(tally.left)} left"
    )


def reason_line(reason: Reason) -> str:
    """Why shards are to be made, for people."""
    names = ", ".join(reason.first) + (", ..." if reason.shards > len(reason.first) else "")
    return f"{reason.shards} shards: {reason.words} ({names})"


def noticed(event: Event) -> str | None:
    """What is to be said of an event at once; None if it only counts."""
    if isinstance(event, RunStarted):
        lines = [reason_line(reason) for reason in event.reasons[:LINES_SHOWN]]
        if len(event.reasons) > LINES_SHOWN:
            lines.append(f"... and {len(event.reasons) - LINES_SHOWN} more reasons")
        return "\n".join(f"  {line}" for line in lines or ["no shard is to be made; the manifest is published anew"])
    if isinstance(event, ShardRetried | ShardAbandoned):
        return f"shard {event.shard}: {event.reason}"
    if isinstance(event, ContractDoubted):
        return f"note: {event.words}"
    if isinstance(event, MetadataListed):
        return f"metadata: {event.words}"
    if isinstance(event, PublicationDue):
        return f"publishing anew: {event.reason}"
    if isinstance(event, OtherProcessor):
        return (
            f"note: this run works on another kind of processor ({event.processor}) than the one that made the "
            f"earlier shards ({'; '.join(event.earlier)}). The same mel may give samples that differ in their last bits"
        )
    if isinstance(event, WorkersAwaited):
        waited, limit = duration(event.seconds), duration(event.limit)
        return f"no worker for {waited}, of {limit} that the run waits: {event.reason}"
    if isinstance(event, Logged):
        return f"{event.logger}: {event.words}"
    if isinstance(event, RunStopping):
        return f"stopping: what is in flight may finish within {event.grace:g} s; Ctrl-C again to drop it"
    return None


class Bar(RunView):
    """A bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._tally = Tally()
        self._lock = threading.Lock()
        self._progress = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console)
        self._task = self._progress.add_task("starting", total=None)

    def __call__(self, event: Event) -> None:
        """See RunView."""
        with self._lock:
            self._tally.add(event)
            done = self._tally.made_seconds
            total, line = self._tally.planned.seconds or None, progress_line(self._tally)
            self._progress.update(self._task, completed=done, total=total, description=line)
            if (notice := noticed(event)) is not None:
                self._progress.console.print(notice, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class PlainLines(RunView):
    """A line now and then, for logs and pipes; without progress, for what is read when all is over."""

    def __init__(self, stream: TextIO, progress: bool = True) -> None:
        self._stream = stream
        self._progress = progress
        self._tally = Tally()
        self._lock = threading.Lock()
        self._told = time.monotonic()

    def __call__(self, event: Event) -> None:
        """See RunView."""
        with self._lock:
            self._tally.add(event)
            if isinstance(event, RunStarted):
                self._say(
                    f"run {event.run_id}: {event.utterances} utterances, {hours(event.seconds)}, in {event.shards} "
                    f"shards to {event.output}"
                )
            if (notice := noticed(event)) is not None:
                self._say(notice)
            elif self._progress and time.monotonic() - self._told >= PLAIN_LINE_SECONDS:
                self._say(progress_line(self._tally))

    def _say(self, line: str) -> None:
        self._told = time.monotonic()
        write_line(self._stream, line)


class JsonLog(RunView):
    """Every event as a line of JSON with the time (UTC), the run and the shard.

    The run is empty before there is one, the shard null in what is said of no shard.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._run_id = ""
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """See RunView."""
        with self._lock:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"time": now, "run_id": self._run_id, "shard": None, **event.to_dict()}
            self._run_id = line["run_id"]
            write_line(self._stream, json.dumps(line))


@contextlib.contextmanager
def logged_to(view: RunView) -> Iterator[None]:
    """A time in which what this process logs, and Python's warnings, are events like others.

    They go through a queue: what the garbage collector finds is logged in the middle of anything, also of what the view
    does under its lock.
    """
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(records)
    handler.setLevel(logging.WARNING)
    listener = QueueListener(records, _Events(view))
    listener.start()
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        listener.stop()


class _Events(logging.Handler):
    def __init__(self, view: RunView) -> None:
        super().__init__()
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        self._view(Logged(record.levelname, record.name, redacted(self.format(record))))


def write_line(stream: TextIO, line: str) -> None:
    """Print one line. That nobody can read how it goes, since the log's disk is full, is no reason to stop the work."""
    with contextlib.suppress(OSError):
        print(line, file=stream, flush=True)


def print_some(lines: Sequence[str], stream: TextIO | None = None) -> None:
    """Print the first lines of what may be a million, and how many more there are."""
    for line in lines[:LINES_SHOWN]:
        print(line, file=stream or sys.stdout)
    if len(lines) > LINES_SHOWN:
        print(f"... and {len(lines) - LINES_SHOWN} more", file=stream or sys.stdout)


def hours(seconds: float) -> str:
    """An amount of audio for people.

    >>> hours(90), hours(5400)
    ('1.5 min', '1.50 h')
    """
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def duration(seconds: float) -> str:
    """A stretch of time for people.

    >>> duration(4000)
    '1:06:40'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def size(count: float) -> str:
    """A number of bytes for people.

    >>> size(3_500_000)
    '3.3 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
