"""The workers of a Dask cluster as an executor: one node of the graph for each shard, and no node needs another."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Collection, Iterator
from typing import Any

import distributed
from dask.delayed import delayed
from distributed import CancelledError, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from pipeline.cluster.connection import Connection, connect
from pipeline.cluster.executor import Ended, Hear
from pipeline.cluster.job_secrets import entrusted
from pipeline.cluster.liveness import within
from pipeline.cluster.on_worker import event_of, make_on_worker, rehearse_on_worker, topic
from pipeline.config import Job
from pipeline.errors import ClusterError
from pipeline.events import Listener
from pipeline.planning.plan import ShardTask

WINDOW_PER_THREAD = 2
"""Trials in flight for each worker thread: one that runs, and one that waits, so that no thread is idle."""

_TICK_SECONDS = 0.5
_RESULT_SECONDS = 2.0
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
    with connect(job.config.cluster, listener) as connection, entrusted(connection.client, job) as public:
        try:
            yield DaskExecutor(connection, public)
        except (CommClosedError, CancelledError) as error:
            raise ClusterError(
                f"the connection to the scheduler was lost ({type(error).__name__}). What was committed is kept. Make "
                "sure that the scheduler runs; then run again to resume"
            ) from error


class DaskExecutor:
    """Makes shards on the workers of a Dask cluster.

    Each result is released as soon as it is given, so neither the driver nor the scheduler grows with the corpus.

    Args:
        connection: the cluster.
        job: the job without its secrets, as it is put into tasks.
    """

    def __init__(self, connection: Connection, job: Job) -> None:
        self._client = connection.client
        self._alive = connection.alive
        self._job = job
        self._futures: dict[int, Future[Any]] = {}
        self._messages: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        self._client.subscribe_topic(topic(job), self._messages.put)  # called in the client's own thread

    @property
    def window(self) -> int:
        """See Executor."""
        return WINDOW_PER_THREAD * self._alive.threads

    @property
    def working(self) -> bool:
        """See Executor."""
        return self._alive.working

    def make(self, trial: int, task: ShardTask) -> None:
        """See Executor."""
        self._submit(make_on_worker, trial, task)

    def rehearse(self, trial: int, task: ShardTask) -> None:
        """See Executor."""
        self._submit(rehearse_on_worker, trial, task)

    def _submit(self, work: Callable[[ShardTask, Job, int], Any], trial: int, task: ShardTask) -> None:
        node = delayed(work, pure=False, traverse=False)
        key = f"shard-{task.name}-{self._job.run_id}-{trial}"
        self._futures[trial] = self._client.compute(node(task, self._job, trial, dask_key_name=key))

    def finished(self, hear: Hear) -> Iterator[Ended]:
        """See Executor."""
        done: Collection[Future[Any]] = ()
        with contextlib.suppress(TimeoutError):
            futures = list(self._futures.values())
            done = distributed.wait(futures, timeout=_TICK_SECONDS, return_when="FIRST_COMPLETED").done
        while not self._messages.empty():
            _, message = self._messages.get()
            hear(*event_of(message))
        for trial, future in list(self._futures.items()):
            if future in done and (ended := self._ended(trial, future)) is not None:
                self._futures.pop(trial).release()
                yield ended

    def _ended(self, trial: int, future: Future[Any]) -> Ended | None:
        """How a trial ended; None if its result was lost with its worker, since Dask then makes it again.

        Raises:
            ClusterError: if a worker cannot import what it needs.
            MelmillError: the error of the shard.
        """
        error = future.exception() if future.status == "error" else None
        if error is None:
            try:
                # Dask's own time limit would leave a traceback behind.
                return Ended(trial, within(_RESULT_SECONDS, future.result))
            except OSError:  # a TimeoutError: the worker that held the result is gone
                return None
            except KilledWorker as killed:  # it is gone, and so is the one that made it again
                error = killed
        if isinstance(error, KilledWorker):
            return Ended(trial, lost=True)
        if isinstance(error, ImportError):
            raise ClusterError(
                f"a worker cannot import what it needs ({error}). Install the same melmill everywhere; then run again "
                "to resume"
            ) from error
        raise error

    def cancel(self, trials: Collection[int]) -> None:
        """See Executor."""
        futures = [self._futures.pop(trial) for trial in trials if trial in self._futures]
        if not futures:
            return
        with contextlib.suppress(Exception):
            within(_RESULT_SECONDS, lambda: self._client.cancel(futures, force=True))
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
