"""What a person or a log sees of a run while it is at work. All of it listens to events."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from types import TracebackType
from typing import Self, TextIO

from pipeline.cli.options import Detail
from pipeline.cli.printing import (
    LINES_SHOWN,
    duration,
    hours,
    needed_again_line,
    reason_line,
    size,
    texts_line,
    write_line,
)
from pipeline.cli.progress import Progress, progress_shown
from pipeline.events import (
    ContractDoubted,
    Event,
    Logged,
    MetadataConverted,
    MetadataListed,
    NativeKernelsUnused,
    OtherProcessor,
    PublicationDue,
    RunStarted,
    RunStopping,
    ShardAbandoned,
    ShardCommitted,
    ShardRetried,
    SupersededNeeded,
    WorkersAwaited,
    WorkersCounted,
)
from pipeline.events.tally import Tally
from pipeline.redaction import redacted
from pipeline.wording import counted


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


def run_view(log_json: bool, progress: bool = True, detail: Detail = "usual") -> RunView:
    """The view of a run on standard error: JSON lines if asked for, else notices, with progress or without."""
    if log_json:
        return JsonLog(sys.stderr)
    return ProgressView(progress_shown(progress and detail != "quiet"), detail)


def progress_line(tally: Tally) -> str:
    """How far a run is, for people."""
    if not tally.planned.seconds:  # audio is copied, at most
        return f"{tally.made} of {counted(tally.planned.utterances, 'utterance')}, {tally.failed} failed"
    return (
        f"{tally.made} of {counted(tally.planned.utterances, 'utterance')}, {hours(tally.made_seconds)} of "
        f"{hours(tally.planned.seconds)}, {tally.speed:.1f} x real time, {tally.failed} failed, "
        f"{'unknown time' if tally.left is None else duration(tally.left)} left"
    )


def progress_parts(tally: Tally, workers: int) -> list[str]:
    """How far a run is, in few words, the most important first."""
    parts = [f"{tally.made} of {tally.planned.utterances}"]
    if tally.made_seconds:
        parts.append(f"{tally.speed:.1f} x real time")
    if tally.left is not None:
        parts.append(f"{duration(tally.left)} left")
    if workers:
        parts.append(counted(workers, "worker"))
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if tally.planned.seconds:
        parts.append(f"{hours(tally.made_seconds)} of {hours(tally.planned.seconds)}")
    return parts


def committed_line(event: Event) -> str | None:
    """A line about a shard that was committed; None for other events."""
    if not isinstance(event, ShardCommitted):
        return None
    failed = f", {event.failed} failed: {event.example}" if event.failed else ""
    made = f"{counted(event.made, 'utterance')}, {hours(event.seconds)}, {size(event.bytes)}"
    return f"shard {event.name}: {made}{failed}"


_ROUTINE = (RunStarted, MetadataListed, PublicationDue, SupersededNeeded, WorkersCounted)
"""Events that are noticed although nothing is wrong."""


def _started(event: RunStarted) -> str:
    lines = [reason_line(reason) for reason in event.reasons[:LINES_SHOWN]]
    if len(event.reasons) > LINES_SHOWN:
        lines.append(f"... and {counted(len(event.reasons) - LINES_SHOWN, 'more reason')}")
    made = f"{counted(event.utterances, 'utterance')}, {hours(event.seconds)}, in {counted(event.shards, 'shard')}"
    first = f"run {event.run_id}: {made} to {event.output}"
    if (texts := texts_line(event.texts_changed, event.repacked, event.shards - event.repacked)) is not None:
        lines.insert(0, texts)
    return "\n  ".join([first, *(lines or ["there is no shard to make; only the manifest is published"])])


def noticed(event: Event) -> str | None:
    """The notice that an event deserves at once; None if the event only counts."""
    if isinstance(event, RunStarted):
        return _started(event)
    if isinstance(event, ShardRetried | ShardAbandoned):
        return f"shard {event.shard}: {event.reason}"
    if isinstance(event, ContractDoubted | MetadataConverted):
        return f"note: {event.words}"
    if isinstance(event, NativeKernelsUnused):
        return f"note: vocoding with onnxruntime: {event.words}"
    if isinstance(event, MetadataListed):
        return f"metadata: {event.words}"
    if isinstance(event, PublicationDue):
        return f"publishing the manifest: {event.reason}"
    if isinstance(event, SupersededNeeded):
        return needed_again_line(event.shards, size(event.bytes))
    if isinstance(event, OtherProcessor):
        return (
            f"note: this run uses another kind of processor ({event.processor}) than the one that made the earlier "
            f"shards ({'; '.join(event.earlier)}). The same mel may give samples that differ in their last bits"
        )
    if isinstance(event, WorkersAwaited):
        waited, limit = duration(event.seconds), duration(event.limit)
        return f"no worker for {waited}; the run waits up to {limit}: {event.reason}"
    if isinstance(event, Logged):
        return f"{event.logger}: {event.words}"
    if isinstance(event, RunStopping):
        return f"stopping: shards in flight have {event.grace:g} s to finish; a second Ctrl-C or SIGTERM drops them"
    return None


class ProgressView(RunView):
    """Progress and notices for people.

    Args:
        progress: progress display that shows both.
        detail: which notices are shown.
    """

    def __init__(self, progress: Progress, detail: Detail = "usual") -> None:
        self._progress = progress
        self._detail = detail
        self._tally = Tally()
        self._workers = 0
        self._dashboard = ""
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """See RunView."""
        with self._lock:
            self._tally.add(event)
            if (notice := self._notice(event)) is not None:
                self._progress.notice(notice)
            line, parts = progress_line(self._tally), progress_parts(self._tally, self._workers)
            done, planned = self._tally.made_seconds, self._tally.planned.seconds
            if not planned:  # audio is copied, at most
                done, planned = float(self._tally.made), float(self._tally.planned.utterances)
            self._progress.update(line, done, planned or None, *parts)

    def _notice(self, event: Event) -> str | None:
        if isinstance(event, WorkersCounted):
            notice = self._counted(event)
        else:
            notice = noticed(event) or (committed_line(event) if self._detail == "verbose" else None)
        return None if self._detail == "quiet" and isinstance(event, _ROUTINE) else notice

    def _counted(self, event: WorkersCounted) -> str | None:
        """Take the number of workers. Gives the address of Dask's page, once."""
        self._workers = event.workers
        told, self._dashboard = self._dashboard, event.dashboard or self._dashboard
        return f"Dask shows its workers at {self._dashboard}" if self._dashboard != told else None

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)


class JsonLog(RunView):
    """Every event as a line of JSON with the time (UTC), the run and the shard.

    The run is empty before one has started; the shard is null if the event concerns none.

    Args:
        stream: stream that the lines are written to.
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
    """A time in which log records of this process, and Python's warnings, are events like others.

    They go through a queue: the garbage collector may cause a log record at any moment, even while the view holds its
    lock.
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
