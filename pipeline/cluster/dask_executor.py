"""The workers of a Dask cluster as an executor: one node of the graph for each shard, and no node needs another."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from distributed import CancelledError, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from pipeline.cluster.connection import Connection, connect
from pipeline.cluster.executor import Ended, Hear
from pipeline.cluster.job_on_workers import entrusted
from pipeline.cluster.liveness import within
from pipeline.cluster.on_worker import Said, Trial, make_on_worker, rehearse_on_worker, said, topic
from pipeline.config import Job
from pipeline.errors import ClusterError
from pipeline.events import Listener
from pipeline.planning.plan import ShardTask
from pipeline.wording import counted

Work = Callable[[bytes, str], None]

WINDOW_PER_THREAD = 2
"""Trials in flight for each worker thread: one that runs, and one that waits, so that no thread is idle."""

_TICK_SECONDS = 0.5
_GAP_SECONDS = 0.5
_WORDS_PER_SECOND = 200
"""Number of words about the progress of shards that all workers together may say in a second."""
_IN_ONE_GRAPH = 50
"""Number of trials in one graph: each takes a tenth of a megabyte, and the scheduler reads a graph in one piece."""
_CANCEL_SECONDS = 2.0
_RESTART_SECONDS = 30.0


@contextlib.contextmanager
def dask_executor(job: Job, listener: Listener) -> Iterator[DaskExecutor]:
    """The workers of the job's cluster, for as long as the context lasts.

    Args:
        job: the job that the shards belong to.
        listener: callable that is told, once a minute, that there is no worker.

    Raises:
        ClusterError: as `connect`, or if the connection to the scheduler is lost.
        ConfigError: as `connect`, or if the job's secrets would go over an open network.
    """
    with connect(job.config.cluster, listener) as connection, entrusted(connection.client, job):
        try:
            yield DaskExecutor(connection, job)
        except (CommClosedError, CancelledError) as error:
            raise ClusterError(
                f"the connection to the scheduler was lost ({type(error).__name__}). What was committed is kept. Make "
                "sure that the scheduler runs; then run again to resume"
            ) from error


class DaskExecutor:
    """Makes shards on the workers of a Dask cluster.

    New trials are sent in one graph at each step, and what workers say comes in one queue. All futures are looked at
    only twice in a second, for trials whose worker cannot say any more how they ended. Each future is released as soon
    as its trial has ended, so neither the driver nor the scheduler grows with the corpus.

    Args:
        connection: the cluster; its workers have the job.
        job: the job.
    """

    def __init__(self, connection: Connection, job: Job) -> None:
        self._client = connection.client
        self._alive = connection.alive
        self._job = job
        timeout = job.config.cluster.shard_timeout
        self._longest_gap = float("inf") if timeout is None else timeout / 4
        self._new: dict[Work, list[Trial]] = {}
        self._futures: dict[int, Future[Any]] = {}
        self._silent: set[int] = set()
        self._look_at = 0.0
        self._messages: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        self._client.subscribe_topic(topic(self._job.run_id), self._messages.put)  # called in the client's own thread

    @property
    def window(self) -> int:
        """See Executor."""
        return WINDOW_PER_THREAD * self._alive.threads

    @property
    def working(self) -> bool:
        """See Executor."""
        return self._alive.working

    def make(self, trial: int, task: ShardTask) -> None:
        """See Executor. It is sent when `finished` is called next."""
        self._add(make_on_worker, trial, task)

    def rehearse(self, trial: int, task: ShardTask) -> None:
        """See Executor. It is sent when `finished` is called next."""
        self._add(rehearse_on_worker, trial, task)

    def _add(self, work: Work, number: int, task: ShardTask) -> None:
        gap = min(self._longest_gap, max(_GAP_SECONDS, self._alive.threads / _WORDS_PER_SECOND))
        self._new.setdefault(work, []).append(Trial(number, task, gap))

    def _send(self) -> None:
        for work, new in self._new.items():
            for start in range(0, len(new), _IN_ONE_GRAPH):
                self._send_graph(work, new[start : start + _IN_ONE_GRAPH])
        self._new.clear()

    def _send_graph(self, work: Work, trials: list[Trial]) -> None:
        # Dask forms groups by the first part of a key; what differs is in the others.
        keys = [(f"shard-{self._job.run_id}", each.task.name, each.number) for each in trials]
        sealed = [each.sealed() for each in trials]
        futures = self._client.map(work, sealed, [self._job.run_id] * len(sealed), key=keys, pure=False)
        self._futures.update(zip((each.number for each in trials), futures, strict=True))

    def finished(self, hear: Hear) -> Iterator[Ended]:
        """See Executor."""
        self._send()
        for trial, words in self._heard():
            if not isinstance(words, Ended):
                hear(trial, words)
            elif trial in self._futures:
                self._release(trial)
                yield words
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _TICK_SECONDS
            yield from self._lost()

    def _heard(self) -> Iterator[tuple[int, Said]]:
        """Wait for what a worker says until it is time to look again. Then gives all that was said by then."""
        with contextlib.suppress(queue.Empty):
            yield said(self._messages.get(timeout=max(0.0, self._look_at - time.monotonic()))[1])
            for _ in range(self._messages.qsize()):
                yield said(self._messages.get_nowait()[1])

    def _lost(self) -> Iterator[Ended]:
        """The trials whose workers were lost, as this look and the last one show: in between, all words were heard.

        Raises:
            CancelledError: if the connection to the scheduler is lost.
            ClusterError: if a worker cannot import what it needs, or the scheduler does not pass on what workers say.
            MelmillError: the error of a shard.
        """
        finished, killed = set[int](), set[int]()
        for trial, future in self._futures.items():
            match future.status:
                case "finished":
                    finished.add(trial)
                case "cancelled":
                    raise CancelledError(future.key)
                case "error":
                    error = future.exception()
                    if not isinstance(error, KilledWorker):
                        _refuse(error)
                    killed.add(trial)
        if unheard := finished & self._silent & self._futures.keys():
            raise ClusterError(
                f"{counted(len(unheard), 'shard was', 'shards were')} made, but the scheduler did not pass on what "
                "workers said. See "
                "whether its configuration has distributed.scheduler.blocked-handlers. What was committed is kept; run "
                "again to resume"
            )
        lost, self._silent = killed & self._silent, finished | killed
        for trial in lost:
            self._release(trial)
            yield Ended(trial, lost=True)

    def _release(self, trial: int) -> None:
        self._futures.pop(trial).release()

    def cancel(self, trials: Collection[int]) -> None:
        """See Executor."""
        for new in self._new.values():
            new[:] = [each for each in new if each.number not in trials]
        futures = [self._futures.pop(trial) for trial in trials if trial in self._futures]
        if not futures:
            return
        with contextlib.suppress(Exception):
            within(_CANCEL_SECONDS, lambda: self._client.cancel(futures, force=True))
        for future in futures:
            future.release()

    def restart(self, worker: str) -> None:
        """See Executor. If it fails, the worker is gone already; `Liveness` sees whether there are others."""
        with contextlib.suppress(Exception):
            try:
                within(_RESTART_SECONDS, lambda: self._client.restart_workers([worker], raise_for_error=False))
            except ValueError:  # it has no nanny
                within(_RESTART_SECONDS, lambda: self._client.retire_workers([worker], close_workers=True))

    def check(self) -> None:
        """See Executor."""
        self._alive.check()


def _refuse(error: BaseException) -> None:
    """Raise the error of a shard.

    Raises:
        ClusterError: if a worker cannot import what it needs.
        MelmillError: the error of the shard.
    """
    if isinstance(error, ImportError):
        raise ClusterError(
            f"a worker cannot import what it needs ({error}). Install the same melmill everywhere; then run again "
            "to resume"
        ) from error
    raise error
