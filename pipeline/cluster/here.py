"""This process as an executor: one shard after the other, without threads and without Dask."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterator

from pipeline.cluster.executor import Ended, Hear
from pipeline.config import Job
from pipeline.events import ShardCommitted, ShardStarted, UtterancesMade
from pipeline.planning.plan import ShardTask
from pipeline.worker.task import Tell, make_shard, rehearse_shard

_NAME = "this process"
_GAP_SECONDS = 0.1
"""Shortest time between two words about how far a shard is: told of each, a short utterance takes a tenth longer."""


class Here:
    """Makes a shard while the dispatcher waits for it.

    Errors are raised as they are, with their traceback. A worker is never lost, since the worker is this process.

    Args:
        job: the job that the shards belong to.
    """

    window = 1
    working = True

    def __init__(self, job: Job) -> None:
        self._job = job
        self._waiting: dict[int, Callable[[Tell], ShardCommitted | None]] = {}

    def make(self, trial: int, task: ShardTask) -> None:
        """See Executor."""
        self._waiting[trial] = functools.partial(make_shard, task, self._job, self._threads, _NAME)

    def rehearse(self, trial: int, task: ShardTask) -> None:
        """See Executor."""
        self._waiting[trial] = functools.partial(rehearse_shard, task, self._job, self._threads, _NAME)

    def finished(self, hear: Hear) -> Iterator[Ended]:
        """See Executor. Makes the oldest shard that waits."""
        trial = next(iter(self._waiting))
        work = self._waiting.pop(trial)
        yield Ended(trial, work(_seldom(functools.partial(hear, trial))))

    def cancel(self, trials: Collection[int]) -> None:
        """See Executor."""
        for trial in trials:
            self._waiting.pop(trial, None)

    def restart(self, worker: str) -> None:
        """See Executor. Never needed: while this process hangs, nothing in it can notice that."""

    def check(self) -> None:
        """See Executor. This process is always there."""

    @property
    def _threads(self) -> int:
        return self._job.config.cluster.threads_per_worker


def _seldom(tell: Tell) -> Tell:
    """Tells what failed, and what began, at once, and now and then what was made."""
    told, failed = 0.0, 0

    def seldom(event: ShardStarted | UtterancesMade) -> None:
        nonlocal told, failed
        now = time.monotonic()
        if isinstance(event, UtterancesMade):
            if event.failed == failed and now - told < _GAP_SECONDS:
                return
            told, failed = now, event.failed
        tell(event)

    return seldom
