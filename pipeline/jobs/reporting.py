"""Writes down how a run goes, for `melmill status`, and how it went, for reports. Nothing that decides reads either."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.errors import InterruptedRunError, OwnedError, StorageError
from pipeline.events import Event, Listener, RunStarted, ShardAbandoned, ShardRetried
from pipeline.events.tally import Amount, Tally
from pipeline.output.layout import PARTS, STATUS, part_path, run_path
from pipeline.output.ledger import Ledger
from pipeline.output.run_records import MOST_REASONS, MOST_RETRIES, Outcome, Retry, RunRecord
from pipeline.output.status import WRITE_SECONDS, RunStatus, Told
from pipeline.output.totals import Totals
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
    state: Outcome = "failed"
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
        reporter.write_record(state)


class _Reporter:
    """Tallies events, and writes the status and, at the end, the record of the run."""

    def __init__(self, storage: Storage, run_id: str, listener: Listener, part: Part) -> None:
        self.stop = threading.Event()
        self._storage = storage
        self._run_id = run_id
        self._listener = listener
        self._part = "" if part == WHOLE else str(part)
        self._name = part_path(part.index) if self._part else STATUS
        self._tally = Tally()
        self._started = self._progressed = _now()
        self._begun = time.monotonic()
        self._planned: RunStarted | None = None
        self._before: Totals | None = None
        self._retries: list[Retry] = []
        self._retries_total = 0
        self._lock = threading.Lock()  # a thread of its own writes
        self._writing = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            before = self._tally.made
            self._tally.add(event)
            if self._tally.made > before:
                self._progressed = _now()
        if isinstance(event, RunStarted):
            self._planned = event
            with contextlib.suppress(StorageError, OwnedError):
                publication = Ledger(self._storage).publication()
                self._before = publication.totals if publication is not None else None
            self.write("running")
        elif isinstance(event, ShardRetried | ShardAbandoned):
            self._retried(event)
        self._listener(event)

    def _retried(self, event: ShardRetried | ShardAbandoned) -> None:
        self._retries_total += 1
        if len(self._retries) < MOST_RETRIES:
            seconds = round(time.monotonic() - self._begun, 3)
            abandoned = isinstance(event, ShardAbandoned)
            self._retries.append(Retry(seconds, event.shard, redacted(event.reason), abandoned))

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

    def write_record(self, outcome: Outcome) -> None:
        """Write down how the run went, if it had begun. If that cannot be written, the run has ended all the same."""
        if self._planned is None:
            return
        record = RunRecord(
            run_id=self._run_id,
            outcome=outcome,
            started=self._started,
            elapsed=round(time.monotonic() - self._begun, 3),
            planned=self._tally.planned,
            done=self._tally.done,
            failed=self._tally.failed,
            texts_changed=self._planned.texts_changed,
            repacked=self._planned.repacked,
            reasons=self._planned.reasons[:MOST_REASONS],
            retries=tuple(self._retries),
            retries_total=self._retries_total,
            before=self._before,
            part=self._part,
        )
        with contextlib.suppress(StorageError, OwnedError):
            self._storage.replace(run_path(self._run_id), record.to_json())

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
