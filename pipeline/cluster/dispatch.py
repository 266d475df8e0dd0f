"""Keeps a window of shards in flight until each is committed or accounted for. One loop for all executors.

Workers may be lost at any time, through no fault of a shard. Only a shard that loses worker after worker is examined.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.cluster.executor import Ended, Executor
from pipeline.cluster.hopeless import Prospects
from pipeline.cluster.lost_workers import DEATHS, Blame, Suspect, Verdict
from pipeline.config import Job
from pipeline.errors import ClusterError
from pipeline.events import RunStopping, ShardAbandoned, ShardRetried, ShardStarted, UtterancesMade
from pipeline.planning.plan import ShardTask
from pipeline.processes.interrupts import Stop, stop_within

_TIMES_THE_SLOWEST = 10
_LEAST_TIMEOUT = 300.0  # seconds
_STARTS = 10  # of one shard, whose workers were not lost but ended themselves
_LOOK_SECONDS = 0.5  # between two looks for workers that hang, or an eighth of `cluster.shard_timeout` if that is less
_FIRST_SECONDS = 60.0  # for each second of audio: ten times what the slowest vocoder takes on one old core


@dataclass(frozen=True)
class Abandoned:
    """A shard that was given up, because its workers were lost each time.

    Args:
        task: the shard.
        reason: description of why it was given up.
    """

    task: ShardTask
    reason: str


@dataclass
class _Flight:
    """A trial in flight: one submission of a shard, or of a group of a suspect shard.

    Args:
        task: the shard or group that was submitted.
        seconds: duration of its audio [s].
        suspect: the suspect that the group belongs to; None if the shard is to be made.
        heard: time of the last sign of it, by `time.monotonic`.
        began: time at which a worker said that it began, by `time.monotonic`; 0.0 before.
        worker: name of that worker; empty before.
        starts: number of workers that began with it.
    """

    task: ShardTask
    seconds: float
    suspect: Suspect | None
    heard: float
    began: float = 0.0
    worker: str = ""
    starts: int = 0


class Dispatcher:
    """Feeds the shards of one run to an executor.

    Args:
        executor: the place where shards are made.
        tasks: the shards to make; taken one at a time, as they are needed.
        job: the job that they belong to.
        prospects: judge of the run, who is told all events.
    """

    def __init__(self, executor: Executor, tasks: Iterable[ShardTask], job: Job, prospects: Prospects) -> None:
        self._executor = executor
        self._pending = iter(tasks)
        self._job = job
        self._prospects = prospects
        self._again: deque[ShardTask] = deque()
        self._flights: dict[int, _Flight] = {}
        self._numbers = itertools.count()
        self._blame = Blame()
        self._abandoned: list[Abandoned] = []
        self._slowest = 0.0
        self._moved = self._looked = time.monotonic()
        self._gap = min(_LOOK_SECONDS, (job.config.cluster.shard_timeout or _LEAST_TIMEOUT) / 8)
        self._stop = Stop()
        self._stopping = False

    def run(self) -> list[Abandoned]:
        """Keep a window of shards in flight until all are committed or given up.

        Returns:
            The shards that were given up.

        Raises:
            ClusterError: if all workers or the scheduler are gone for too long, nothing moves any more, or workers are
                lost before they come to the first utterance.
            HopelessRunError: if the first utterances all failed in the same way.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, once the shards in flight are made or the time for them is over.
            MelmillError: the error that stops a shard for good.
        """
        try:
            with stop_within(self._job.config.cluster.grace) as self._stop:
                while self._next_flights():
                    for ended in self._executor.finished(self._heard):
                        self._landed(ended)
                    self._look_around()
                    if self._stop.asked:
                        self._drop([trial for trial, flight in self._flights.items() if not flight.worker])
                    self._look_for_hung()
                    self._executor.check()
            return self._abandoned
        finally:
            self._drop(list(self._flights))

    def _next_flights(self) -> bool:
        """Submit as many trials as there is room for. Whether anything is in flight then."""
        if self._stop.asked:
            return bool(self._flights)
        while len(self._flights) < self._executor.window and (task := self._next_task()) is not None:
            self._executor.make(self._take_off(task, None), task)
        if not self._flights and self._blame.suspects:
            suspect = self._blame.suspects[0]
            assert suspect.group is not None
            group = dataclasses.replace(suspect.task, utterances=suspect.group)
            self._executor.rehearse(self._take_off(group, suspect), group)
        return bool(self._flights)

    def _next_task(self) -> ShardTask | None:
        return self._again.popleft() if self._again else next(self._pending, None)

    def _take_off(self, task: ShardTask, suspect: Suspect | None) -> int:
        """Number of a new trial."""
        trial = next(self._numbers)
        seconds = self._job.mel.seconds(task.utterances.frames)
        self._flights[trial] = _Flight(task, seconds, suspect, time.monotonic())
        return trial

    def _look_around(self) -> None:
        """Notice that the run is to stop: because of a signal, or because it cannot succeed.

        Raises:
            HopelessRunError: if the run cannot succeed.
        """
        grace = self._job.config.cluster.grace
        if self._stop.asked and grace and not self._stopping:
            self._stopping = True
            self._prospects(RunStopping(grace))
        self._prospects.check()

    def _heard(self, trial: int, said: ShardStarted | UtterancesMade) -> None:
        """Take what a worker said of a trial. Look around, too: while this process makes a shard, nothing else does."""
        flight = self._flights.get(trial)
        if flight is not None:
            flight.heard = self._moved = time.monotonic()
            if isinstance(said, ShardStarted):
                flight.began, flight.worker, flight.starts = flight.heard, said.worker, flight.starts + 1
                _check_starts(flight)
                self._prospects(said)
            elif flight.suspect is None:
                self._prospects(said)
        self._look_around()

    def _landed(self, ended: Ended) -> None:
        flight = self._flights.pop(ended.trial)
        self._moved = time.monotonic()
        if ended.lost:
            self._worker_lost(flight, "died")
        elif flight.suspect is not None:
            flight.suspect.survived()
            self._advance(flight.suspect)
        elif ended.committed is not None:
            if flight.began and not ended.committed.copied:  # copying says nothing of how long decoding takes
                took = self._moved - flight.began
                self._slowest = max(self._slowest, took / max(flight.seconds, 1.0))
            self._prospects(ended.committed)

    def _worker_lost(self, flight: _Flight, how: str) -> None:
        if flight.suspect is not None:
            flight.suspect.lost(how, max(1, flight.starts))
            if flight.suspect.setup_is_at_fault:
                raise ClusterError(
                    f"{DEATHS} workers {how} before they came to the first utterance: when they opened the store and "
                    f"loaded the vocoder {self._job.config.vocoder.name}. Read the workers' own logs; they may lack "
                    "memory. What was committed is kept; run again to resume"
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
            self._prospects(ShardAbandoned(task.number, len(task.utterances), verdict.words))
        elif verdict.words:
            self._prospects(ShardRetried(task.number, verdict.words))

    def _look_for_hung(self) -> None:
        """Restart workers that take too long, and give up when nothing moves at all. Looks now and then.

        Raises:
            ClusterError: if no trial began, continued or ended for five minutes and for twice as long as a shard may
                take.
        """
        now = time.monotonic()
        if now - self._looked < self._gap:
            return
        self._looked = now
        if not self._executor.working:  # then nothing can hang; the executor decides how long to wait for workers
            self._moved = now
            for flight in self._flights.values():
                flight.heard = now
        for trial, flight in list(self._flights.items()):
            limit = self._limit(flight)
            if flight.worker and now - flight.heard > limit:
                self._drop([trial])
                self._executor.restart(flight.worker)
                self._worker_lost(flight, f"hung for {limit:g} s")
        longest = max([_LEAST_TIMEOUT, *(2 * self._limit(flight) for flight in self._flights.values())])
        if self._flights and now - self._moved > longest:
            raise ClusterError(
                f"no worker has begun, continued or finished a shard for {longest:.0f} s. Look into the workers' own "
                "logs. What was committed is kept; run again to resume"
            )

    def _limit(self, flight: _Flight) -> float:
        """Seconds that a worker may take over a shard without a sign."""
        if self._job.config.cluster.shard_timeout is not None:
            return self._job.config.cluster.shard_timeout
        expected = self._slowest * _TIMES_THE_SLOWEST if self._slowest else _FIRST_SECONDS
        return max(_LEAST_TIMEOUT, expected * flight.seconds)

    def _drop(self, trials: list[int]) -> None:
        """Cancel trials that have not begun, and forget those that have."""
        self._executor.cancel(trials)
        for trial in trials:
            del self._flights[trial]


def _check_starts(flight: _Flight) -> None:
    """Raises ClusterError if a shard takes longer than workers live."""
    if flight.starts > _STARTS:
        raise ClusterError(
            f"{flight.starts} workers began with shard {flight.task.name} and none finished it: each ended "
            "itself first, at the end of its lifetime. Give workers more time (cluster.walltime), or make "
            "shards shorter (output.shard_seconds) in a new output. What was committed is kept"
        )
