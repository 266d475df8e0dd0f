"""Writes down how a run goes, for `melmill status`. Nothing that decides anything reads it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.errors import InterruptedRunError, OwnedError, StorageError
from pipeline.events import Event, Listener, RunStarted
from pipeline.events.tally import Amount, Tally
from pipeline.output.layout import PARTS, STATUS, part_path
from pipeline.output.status import WRITE_SECONDS, RunStatus, Told
from pipeline.planning.parts import WHOLE, Part
from pipeline.redaction import redacted
from pipeline.storage import Storage


@contextlib.contextmanager
def reporting(storage: Storage, run_id: str, listener: Listener, part: Part = WHOLE) -> Iterator[Listener]:
    """Write down how a run goes, from its start to its end. Use it while the output is locked.

    Args:
        storage: storage of the output.
        run_id: name of the run.
        listener: callable that is told everything that the yielded listener is told.
        part: the part of the job that this run makes. A run of the whole job deletes what parts wrote down.

    Yields:
        The listener to tell what happens.
    """
    reporter = _Reporter(storage, run_id, listener, part)
    thread = threading.Thread(target=reporter.keep_writing, name="melmill-status", daemon=True)
    state: Told = "failed"
    what = ""
    try:
        thread.start()
        yield reporter
        state = "finished"
    except (KeyboardInterrupt, InterruptedRunError):
        state = "interrupted"
        raise
    except BaseException as error:
        what = redacted(f"{type(error).__name__}: {error}")
        raise
    finally:
        reporter.stop.set()
        if thread.ident is not None:
            thread.join()
        reporter.write(state, what)


class _Reporter:
    """Tallies events and writes the status."""

    def __init__(self, storage: Storage, run_id: str, listener: Listener, part: Part) -> None:
        self.stop = threading.Event()
        self._storage = storage
        self._run_id = run_id
        self._listener = listener
        self._part = "" if part == WHOLE else str(part)
        self._name = part_path(part.index) if self._part else STATUS
        self._tally = Tally()
        self._started = self._progressed = _now()
        self._lock = threading.Lock()  # a thread of its own writes
        self._writing = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            before = self._tally.made
            self._tally.add(event)
            if self._tally.made > before:
                self._progressed = _now()
        if isinstance(event, RunStarted):
            self.write("running")
        self._listener(event)

    def keep_writing(self) -> None:
        """Write every few seconds, until `stop` is set."""
        while not self.stop.wait(WRITE_SECONDS):
            self.write("running")

    def write(self, state: Told, error: str = "") -> None:
        """Replace the status. If it cannot be written, the run continues: it finds out itself if the output fails."""
        with self._writing, contextlib.suppress(StorageError, OwnedError):
            self._storage.replace(self._name, self._status(state, error).to_json())
            if not self._part and state != "running":
                for name in list(self._storage.list(PARTS)):
                    self._storage.delete(name)

    def _status(self, state: Told, error: str) -> RunStatus:
        with self._lock:
            tally = self._tally
            return RunStatus(
                state=state,
                run_id=self._run_id,
                host=socket.gethostname(),
                process=os.getpid(),
                started=self._started,
                written=_now(),
                progressed=self._progressed,
                planned=tally.planned,
                done=tally.done,
                in_flight=tally.in_flight if state == "running" else Amount(),
                failed=tally.failed,
                speed=tally.speed,
                left=tally.left if state == "running" else None,
                error=error,
                part=self._part,
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
