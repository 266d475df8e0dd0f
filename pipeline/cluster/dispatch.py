"""Keeps a window of shards in flight on a cluster until each is committed or accounted for.

Each result is released as soon as it is counted, so neither the driver nor the scheduler grows with the corpus. Workers
may be lost at any time and through nobody's fault; only a shard that loses them again and again is looked into.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import distributed
from dask.delayed import Delayed
from distributed import Future
from distributed.scheduler import KilledWorker

from pipeline.cluster import Connection, within
from pipeline.cluster.lost_workers import DEATHS, Blame, Suspect, Verdict
from pipeline.config import Job
from pipeline.errors import ClusterError
from pipeline.events import Listener, RunStopping, ShardAbandoned, ShardRetried, ShardStarted, UtterancesMade
from pipeline.interrupts import Stop, stop_within
from pipeline.planning.plan import ShardTask

WINDOW_PER_THREAD = 2
"""Shard tasks in flight for each worker thread: one that runs, and one that waits so that no thread does."""

_TICK_SECONDS = 0.5
_RESULT_SECONDS = 2.0
_RESTART_SECONDS = 30.0

_TIMES_THE_SLOWEST = 10
_LEAST_TIMEOUT = 300.0  # seconds
_STARTS = 10  # of one shard, whose workers were not lost but took their leave
_FIRST_SPEED = 1 / 60  # times real time: ten times slower than the slowest vocoder on one old core

Node = Callable[[ShardTask, Job, int, bool], Delayed]


@dataclass(frozen=True)
class Abandoned:
    """A shard that could not be made because its workers were lost each time."""

    task: ShardTask
    reason: str


@dataclass
class _Flight:
    """One submission of a shard, or of a group of a suspect shard.

    Args:
        task: what was submitted.
        suspect: whose group it is, or None if the shard is to be made.
        heard: when there was last a sign of it; of `time.monotonic`.
        began: when a worker said that it began with it.
        worker: which.
        starts: how many workers began with it.
    """

    task: ShardTask
    suspect: Suspect | None
    heard: float
    began: float = 0.0
    worker: str = ""
    starts: int = 0


class Dispatcher:
    """Feeds the shards of one run to a cluster.

    Args:
        connection: to the cluster.
        tasks: the shards to be made, taken as they are needed.
        job: what is to be done.
        node: makes the graph's node for a trial of a shard.
        listener: is told what happens; progress from another thread.
    """

    def __init__(
        self, connection: Connection, tasks: Iterable[ShardTask], job: Job, node: Node, listener: Listener
    ) -> None:
        self._client = connection.client
        self._alive = connection.alive
        self._job = job
        self._node = node
        self._listener = listener
        self._pending = iter(tasks)
        self._again: deque[ShardTask] = deque()
        self._flights: dict[Future[Any], _Flight] = {}
        self._trials: dict[int, _Flight] = {}
        self._numbers = itertools.count()
        self._blame = Blame()
        self._abandoned: list[Abandoned] = []
        self._slowest = 0.0
        self._moved = time.monotonic()

    @staticmethod
    def topic(job: Job) -> str:
        """Where workers say that they began, and how far they are."""
        return f"melmill-{job.run_id}"

    def run(self, check: Callable[[], None] = lambda: None) -> list[Abandoned]:
        """Keep a window of shards in flight until all are committed or given up.

        Args:
            check: is called now and then; what it raises ends the run.

        Returns:
            What was given up.

        Raises:
            ClusterError: if all workers or the scheduler are gone for too long, nothing moves any more, or workers are
                lost before they come to the first utterance.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once what was in flight is done or the time for it is over.
            MelmillError: whatever stops a shard for good.
        """
        self._client.subscribe_topic(self.topic(self._job), self._heard)
        grace = self._job.config.cluster.grace
        stopping = False
        try:
            with stop_within(grace) as stop:
                while self._next_flights(stop):
                    if stop.asked and not stopping:
                        stopping = True
                        self._listener(RunStopping(grace))
                        self._drop([future for future, flight in self._flights.items() if not flight.worker])
                    for future in self._finished():
                        self._landed(future)
                    self._look_for_hung()
                    check()
                    self._alive.check()
            return self._abandoned
        finally:
            self._drop(list(self._flights))

    def _next_flights(self, stop: Stop) -> bool:
        """Submits what there is room for. Whether anything is in flight then."""
        if stop.asked:
            return bool(self._flights)
        while len(self._flights) < WINDOW_PER_THREAD * self._alive.threads and (task := self._next_task()) is not None:
            self._submit(task, None)
        if not self._flights and self._blame.suspects:
            suspect = self._blame.suspects[0]
            group = suspect.group or ()
            self._submit(dataclasses.replace(suspect.task, utterances=group), suspect)
        return bool(self._flights)

    def _next_task(self) -> ShardTask | None:
        return self._again.popleft() if self._again else next(self._pending, None)

    def _submit(self, task: ShardTask, suspect: Suspect | None) -> None:
        trial = next(self._numbers)
        flight = self._trials[trial] = _Flight(task, suspect, time.monotonic())
        self._flights[self._client.compute(self._node(task, self._job, trial, suspect is not None))] = flight

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """What a worker said; called in the client's own thread."""
        said = event[1]
        flight = self._trials.get(said["trial"])
        if flight is None:
            return
        flight.heard = self._moved = time.monotonic()
        if "started" in said:
            started = ShardStarted(**said["started"])
            flight.began, flight.worker, flight.starts = flight.heard, started.worker, flight.starts + 1
            self._listener(started)
        elif flight.suspect is None:
            self._listener(UtterancesMade(**said["progress"]))

    def _finished(self) -> list[Future[Any]]:
        """The futures that are done, after waiting a moment for the first one."""
        try:
            waited = distributed.wait(list(self._flights), timeout=_TICK_SECONDS, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return []
        return list(waited.done)

    def _landed(self, future: Future[Any]) -> None:
        flight = self._flights[future]
        error = future.exception() if future.status == "error" else None
        if error is None:
            try:
                committed = within(_RESULT_SECONDS, future.result)  # Dask's own limit leaves a traceback behind
            except OSError:  # a TimeoutError: the worker that held the result is gone, Dask makes it again
                return
            except KilledWorker as killed:  # it is gone, and so is the one that made it again
                error = killed
        self._forget(future)
        self._moved = time.monotonic()
        if isinstance(error, KilledWorker):
            self._worker_lost(flight, "died")
        elif isinstance(error, ImportError):
            raise ClusterError(
                f"a worker cannot import what it needs ({error}). Install the same melmill everywhere; then run again "
                "to resume"
            ) from error
        elif error is not None:
            raise error
        elif flight.suspect is not None:
            flight.suspect.survived()
            self._advance(flight.suspect)
        else:
            if flight.began:
                took = self._moved - flight.began
                self._slowest = max(self._slowest, took / max(self._seconds(flight.task), 1.0))
            self._listener(committed)

    def _forget(self, future: Future[Any]) -> None:
        gone = self._flights.pop(future)
        self._trials = {trial: flight for trial, flight in self._trials.items() if flight is not gone}
        future.release()

    def _worker_lost(self, flight: _Flight, how: str) -> None:
        if flight.suspect is not None:
            flight.suspect.lost(how, max(1, flight.starts))
            if flight.suspect.setup_is_at_fault:
                raise ClusterError(
                    f"{DEATHS} workers {how} before they came to the first utterance: when they opened the store and "
                    f"loaded the vocoder {self._job.config.vocoder.name}. Look into the workers' own logs (memory?). "
                    "What was committed is kept; run again to resume"
                )
            self._advance(flight.suspect)
            return
        self._carry_out(self._blame.lost(flight.task, flight.starts, how), flight.task)

    def _advance(self, suspect: Suspect) -> None:
        if (verdict := self._blame.tried(suspect)) is not None:
            self._carry_out(verdict, suspect.task)

    def _carry_out(self, verdict: Verdict, task: ShardTask) -> None:
        if verdict.again is not None:
            self._again.append(verdict.again)
        if verdict.abandoned:
            self._abandoned.append(Abandoned(task, verdict.words))
            self._listener(ShardAbandoned(task.number, len(task.utterances), verdict.words))
        elif verdict.words:
            self._listener(ShardRetried(task.number, verdict.words))

    def _look_for_hung(self) -> None:
        """Starts workers anew that take too long, and gives up when nothing moves at all.

        Raises:
            ClusterError: if nothing began, went on or ended for five minutes, and twice as long as a shard may take.
        """
        now = time.monotonic()
        if not self._alive.working:  # nobody can hang then; how long that is borne is not ours to say
            self._moved = now
            for flight in self._flights.values():
                flight.heard = now
        for future, flight in list(self._flights.items()):
            limit = self._limit(flight.task)
            if flight.starts > _STARTS:
                raise ClusterError(
                    f"{flight.starts} workers began with shard {flight.task.name} and none came to its end: each ended "
                    "itself, at the end of its lifetime, before. Give workers more time (cluster.walltime), or make "
                    "shards shorter (output.shard_seconds) in a new output. What was committed is kept"
                )
            if flight.worker and now - flight.heard > limit:
                self._drop([future])
                self._restart(flight.worker)
                self._worker_lost(flight, f"hung for {limit:g} s")
        longest = max([_LEAST_TIMEOUT, *(2 * self._limit(flight.task) for flight in self._flights.values())])
        if self._flights and now - self._moved > longest:
            raise ClusterError(
                f"no worker has begun, gone on with or ended a shard for {longest:.0f} s. Look into the workers' own "
                "logs. What was committed is kept; run again to resume"
            )

    def _restart(self, worker: str) -> None:
        """What fails here fails because the worker is gone already; `Liveness` sees whether others are there."""
        with contextlib.suppress(Exception):
            try:
                within(_RESTART_SECONDS, lambda: self._client.restart_workers([worker], raise_for_error=False))
            except ValueError:  # it has no nanny
                within(_RESTART_SECONDS, lambda: self._client.retire_workers([worker], close_workers=True))

    def _limit(self, task: ShardTask) -> float:
        """Seconds that a worker may take over a shard without a sign."""
        if self._job.config.cluster.shard_timeout is not None:
            return self._job.config.cluster.shard_timeout
        expected = self._slowest * _TIMES_THE_SLOWEST if self._slowest else 1 / _FIRST_SPEED
        return max(_LEAST_TIMEOUT, expected * self._seconds(task))

    def _seconds(self, task: ShardTask) -> float:
        return self._job.mel.seconds(sum(each.frames for each in task.utterances))

    def _drop(self, futures: list[Future[Any]]) -> None:
        """Cancels what has not begun, and forgets what has."""
        if not futures:
            return
        with contextlib.suppress(Exception):
            within(_RESULT_SECONDS, lambda: self._client.cancel(futures, force=True))
        for future in futures:
            self._forget(future)
