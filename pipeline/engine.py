"""The Dask graph of a run, fed to the scheduler in bounded pieces.

The graph is one task a shard and, after all of them, the publication. On a cluster only a window of shard tasks is in
flight, and each result is released as soon as it is counted, so neither the driver nor the scheduler grows with the
corpus. The synchronous scheduler computes the same graph in this process, for debugging.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import distributed
from dask.delayed import Delayed, delayed
from distributed import CancelledError, Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from pipeline.clusters import connect, within
from pipeline.config import Job
from pipeline.convert import convert_shard
from pipeline.errors import ClusterError
from pipeline.events import Listener, ShardAbandoned, ShardCommitted, ShardRetried, UtterancesMade
from pipeline.planner import ShardTask
from pipeline.records import ShardRecord

WINDOW_PER_THREAD = 2
"""Shard tasks in flight for each worker thread: one that runs, and one that waits so that no thread does."""

_TOPIC = "melmill"
_REPORT_SECONDS = 0.5
_TICK_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Abandoned:
    """A shard that could not be made because its workers died each time."""

    task: ShardTask
    reason: str


def execute(
    tasks: Iterable[ShardTask], job: Job, publish: Callable[[list[Abandoned]], None], listener: Listener
) -> None:
    """Make all shards, then publish.

    Args:
        tasks: the shards to be made.
        job: what is to be done.
        publish: the graph's last node; gets the shards that had to be given up.
        listener: is told what happens.

    Raises:
        ClusterError: if the scheduler does not answer, or all workers are gone and none comes within the time limit.
        MelmillError: whatever stops a shard for good, such as a StorageError.
    """
    if job.config.cluster.kind == "synchronous":
        _execute_here(tasks, job, publish, listener)
        return
    with connect(job.config.cluster) as client:
        try:
            client.subscribe_topic(
                f"{_TOPIC}-{job.run_id}", lambda event: listener(UtterancesMade(**event[1]["progress"]))
            )
            abandoned = _feed(client, graph(tasks, job, _make_shard), job, listener)
        except (CommClosedError, CancelledError) as error:
            raise ClusterError(
                f"the connection to the scheduler was lost: {error}. What was committed is kept; run again to resume"
            ) from error
        publish(abandoned)


def graph(
    tasks: Iterable[ShardTask], job: Job, make: Callable[[ShardTask, Job], ShardCommitted]
) -> Iterator[tuple[ShardTask, Delayed]]:
    """The shard nodes of the run's graph, made as they are asked for. The publication depends on all of them."""
    node = delayed(make, pure=False, traverse=False)
    return ((task, node(task, job, dask_key_name=f"shard-{task.name}-{job.run_id}")) for task in tasks)


def _execute_here(
    tasks: Iterable[ShardTask], job: Job, publish: Callable[[list[Abandoned]], None], listener: Listener
) -> None:
    def make(task: ShardTask, job: Job) -> ShardCommitted:
        committed = _committed(convert_shard(task, job, job.config.cluster.threads_per_worker, listener))
        listener(committed)
        return committed

    nodes = [node for _, node in graph(tasks, job, make)]
    delayed(lambda _: publish([]), pure=False)(nodes).compute(scheduler="synchronous")


def _make_shard(task: ShardTask, job: Job) -> ShardCommitted:
    """What runs on a worker: convert_shard, with the worker's threads, telling the driver how far it is."""
    worker = distributed.get_worker()
    told = time.monotonic()

    def report(progress: UtterancesMade) -> None:
        nonlocal told
        if time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            worker.log_event(f"{_TOPIC}-{job.run_id}", {"progress": dataclasses.asdict(progress)})

    return _committed(convert_shard(task, job, worker.state.nthreads, report))


def _committed(record: ShardRecord) -> ShardCommitted:
    return ShardCommitted(
        shard=record.shard,
        name=record.name,
        made=len(record.rows),
        failed=len(record.failures),
        seconds=record.seconds,
        bytes=sum(each.bytes for each in record.objects),
    )


def _feed(client: Client, nodes: Iterator[tuple[ShardTask, Delayed]], job: Job, listener: Listener) -> list[Abandoned]:
    """Keep a window of shards in flight until all are committed or given up.

    Dask blames a lost worker on every task that was queued there. So a shard that it gives up is only suspect: it is
    tried once more when nothing else is in flight, and the innocent are made then.
    """
    in_flight: dict[Future[Any], tuple[ShardTask, Delayed]] = {}
    suspects: list[tuple[ShardTask, Delayed]] = []
    tried_alone: set[int] = set()
    abandoned: list[Abandoned] = []
    alive = Liveness(client, job.config.cluster.timeout)
    try:
        while True:
            while len(in_flight) < WINDOW_PER_THREAD * alive.threads and (node := next(nodes, None)) is not None:
                in_flight[client.compute(node[1])] = node
            if not in_flight and suspects:
                node = suspects.pop()
                tried_alone.add(node[0].number)
                in_flight[client.compute(node[1])] = node
            if not in_flight:
                return abandoned
            for future in _finished(in_flight):
                task, _ = node = in_flight.pop(future)
                error = future.exception() if future.status == "error" else None
                if error is None:
                    try:
                        committed = future.result(timeout=_TICK_SECONDS)
                    except OSError:  # a TimeoutError: the worker that held the result is gone, Dask makes it again
                        in_flight[future] = node
                        continue
                    listener(committed)
                elif not isinstance(error, KilledWorker):
                    raise error
                elif task.number not in tried_alone:
                    suspects.append(node)
                    listener(ShardRetried(task.number, "workers died while they had it; it is tried alone, at the end"))
                else:
                    reason = f"every worker that tried shard {task.name} died, also when it was tried alone"
                    abandoned.append(Abandoned(task, reason))
                    listener(ShardAbandoned(task.number, len(task.utterances), reason))
                future.release()
            alive.check()
    finally:
        with contextlib.suppress(Exception):
            within(_TICK_SECONDS, lambda: client.cancel(list(in_flight), force=True))


def _finished(in_flight: Iterable[Future[Any]]) -> list[Future[Any]]:
    """The futures that are done, after waiting a moment for the first one."""
    try:
        return list(distributed.wait(list(in_flight), timeout=_TICK_SECONDS, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


class Liveness:
    """Knows how many worker threads there are, and gives up when there have been none for too long.

    Args:
        client: of the cluster.
        timeout: seconds without a worker, or without the scheduler, that are borne.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._seen = time.monotonic()
        self.threads = 1
        self.check()

    def check(self) -> None:
        """Look once.

        Raises:
            ClusterError: if there has been no worker, or no scheduler, for longer than the time limit.
        """
        threads: dict[str, Any] = {}
        answers = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):  # TimeoutError is one
                threads = within(min(self._timeout, _ANSWER_SECONDS), self._client.nthreads)
                answers = True
        if threads:
            self.threads = sum(threads.values())
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._timeout:
            what = "there has been no worker" if answers else "the scheduler has been gone"
            raise ClusterError(
                f"{what} for more than {self._timeout:g} s (cluster.timeout). What was committed is kept; run again to "
                "resume"
            )
