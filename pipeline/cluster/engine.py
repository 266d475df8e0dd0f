"""The Dask graph of a run: one node a shard, none of which needs another.

On a cluster `dispatch` feeds them to the scheduler, a window at a time. The synchronous scheduler computes them in this
process, one after the other, for debugging.
"""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import distributed
from dask.delayed import Delayed, delayed
from distributed import CancelledError
from distributed.comm.core import CommClosedError

from pipeline.cluster import connect, entrusted, refuse_other_versions, with_secrets
from pipeline.cluster.dispatch import Abandoned, Dispatcher
from pipeline.config import Job
from pipeline.errors import ClusterError, HopelessRunError, MelmillError
from pipeline.events import Event, Listener, RunStopping, ShardCommitted, ShardStarted, UtterancesMade
from pipeline.events.stopwatch import Stopwatch
from pipeline.interrupts import stop_within
from pipeline.output.records import ShardRecord
from pipeline.planning.plan import ShardTask
from pipeline.planning.versions import differing, installed, processor
from pipeline.redaction import redacted
from pipeline.worker.convert import convert_shard, summary, try_shard

_REPORT_SECONDS = 0.5

Result = TypeVar("Result")


def execute(tasks: Iterable[ShardTask], job: Job, listener: Listener, give_up_after: int = 0) -> list[Abandoned]:
    """Make all shards.

    Args:
        tasks: the shards to be made.
        job: what is to be done.
        listener: is told what happens.
        give_up_after: so many failures of one kind, with nothing made before, stop the run; 0 for never.

    Returns:
        The shards that had to be given up.

    Raises:
        ClusterError: if the scheduler does not answer, all workers are gone and none comes within the time limit, or
            they are lost before they begin.
        HopelessRunError: if the first utterances all failed in the same way.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once what was in flight is done, or `cluster.grace` is over.
        MelmillError: whatever stops a shard for good, such as a StorageError.
    """
    outcomes = Outcomes(give_up_after, listener)
    if job.config.cluster.kind == "synchronous":
        _execute_here(tasks, job, outcomes)
        return []
    with connect(job.config.cluster, outcomes) as connection, entrusted(connection.client, job) as public:
        try:
            return Dispatcher(connection, tasks, public, shard_node, outcomes).run(outcomes.check)
        except (CommClosedError, CancelledError) as error:
            raise ClusterError(
                f"the connection to the scheduler was lost ({type(error).__name__}). What was committed is kept; see "
                "that the scheduler runs, then run again to resume"
            ) from error


def shard_node(task: ShardTask, job: Job, trial: int, only_try: bool) -> Delayed:
    """The graph's node of one shard, for the given trial of it; or one that makes its utterances and keeps nothing."""
    work = delayed(_try_shard if only_try else _make_shard, pure=False, traverse=False)
    node: Delayed = work(task, job, trial, dask_key_name=f"shard-{task.name}-{job.run_id}-{trial}")
    return node


class Outcomes:
    """Passes events on, and notices that every utterance so far failed for the same reason.

    Args:
        limit: so many failures, with nothing made before, are enough; 0 for never.
        listener: gets all events.
    """

    def __init__(self, limit: int, listener: Listener) -> None:
        self._limit = limit
        self._listener = listener
        self._failed: dict[int, UtterancesMade | ShardCommitted] = {}

    def __call__(self, event: Event) -> None:
        """Take the next event; from any thread."""
        if isinstance(event, UtterancesMade | ShardCommitted) and self._limit:
            self._failed[event.shard] = event
            if event.made:
                self._limit = 0
                self._failed.clear()
        self._listener(event)

    def check(self) -> None:
        """Look whether the run can succeed.

        Raises:
            HopelessRunError: if it cannot.
        """
        seen = list(self._failed.values())
        causes = {cause for event in seen for cause in event.causes}
        failed = sum(event.failed for event in seen)
        if self._limit and failed >= self._limit and len(causes) == 1:
            example = next(event.example for event in seen if event.example)
            raise HopelessRunError(
                f"the first {failed} utterances all failed in the same way ({causes.pop()}), and none was made, so the "
                f"run was stopped. The first one: {example}. Mend that and run again; or say "
                "--set quality.give_up_after=0 to go on with the others"
            )


def _execute_here(tasks: Iterable[ShardTask], job: Job, outcomes: Outcomes) -> None:
    grace = job.config.cluster.grace
    stopping = False
    with stop_within(grace) as stop:

        def tell(event: Event) -> None:
            nonlocal stopping
            if stop.asked and not stopping:
                stopping = True
                outcomes(RunStopping(grace))
            outcomes(event)
            outcomes.check()

        def make(task: ShardTask) -> None:
            tell(ShardStarted(task.number, "this process", processor()))
            watch = Stopwatch()
            threads = job.config.cluster.threads_per_worker
            tell(_committed(convert_shard(task, job, threads, tell, watch), watch))

        node = delayed(make, pure=False, traverse=False)
        for task in tasks:
            if stop.asked:
                break
            node(task, dask_key_name=f"shard-{task.name}-{job.run_id}").compute(scheduler="synchronous")


def _make_shard(task: ShardTask, job: Job, trial: int) -> ShardCommitted:
    """What runs on a worker: convert_shard, with the worker's threads, telling the driver how far it is."""
    watch = Stopwatch()
    return _committed(_confined(lambda: convert_shard(task, *_on_worker(task, job, trial), watch)), watch)


def _try_shard(task: ShardTask, job: Job, trial: int) -> None:
    _confined(lambda: try_shard(task, *_on_worker(task, job, trial)))


def _confined(work: Callable[[], Result]) -> Result:
    """Errors that leave a worker, for its log, Dask's pages and the driver, are without secrets, as our own are anyway.

    What an error came of would go along, too.
    """
    error: Exception
    try:
        return work()
    except MelmillError as known:
        error = known
    except ImportError as missing:
        error = ImportError(redacted(str(missing)))
    except Exception:
        words = (
            f"this is a defect of melmill, on a worker; please report it with these lines:\n{traceback.format_exc()}"
        )
        error = MelmillError(words)
    error.__cause__ = error.__context__ = None
    raise error


def _on_worker(task: ShardTask, job: Job, trial: int) -> tuple[Job, int, Callable[[UtterancesMade], None]]:
    """Says that this worker begins. Returns the job, whole; the worker's threads; and what says how far it is."""
    worker = distributed.get_worker()
    refuse_other_versions(worker.address, differing(job.versions, installed()))
    topic = Dispatcher.topic(job)
    told = time.monotonic()
    started = ShardStarted(task.number, worker.address, processor())
    worker.log_event(topic, {"trial": trial, "started": dataclasses.asdict(started)})

    def report(progress: UtterancesMade) -> None:
        nonlocal told
        if time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            worker.log_event(topic, {"trial": trial, "progress": dataclasses.asdict(progress)})

    threads: Any = worker.state.nthreads
    return with_secrets(job, worker), int(threads), report


def _committed(record: ShardRecord, watch: Stopwatch) -> ShardCommitted:
    causes, example = summary(record.failures)
    return ShardCommitted(
        shard=record.shard,
        name=record.name,
        made=len(record.rows),
        failed=len(record.failures),
        seconds=record.seconds,
        bytes=sum(each.bytes for each in record.objects),
        causes=causes,
        example=example,
        stages=watch.stages(),
    )
