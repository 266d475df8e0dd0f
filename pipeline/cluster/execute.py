"""Makes the shards of a run, on whatever kind of cluster its job names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from pipeline.cluster.dispatch import Abandoned, Dispatcher
from pipeline.cluster.executor import Executor
from pipeline.cluster.here import Here
from pipeline.cluster.hopeless import Prospects
from pipeline.config import Job, importing_dask
from pipeline.events import Listener
from pipeline.planning.plan import ShardTask
from pipeline.processes.collector import uncollected
from pipeline.processes.interrupts import interrupts_after_import


def execute(tasks: Iterable[ShardTask], job: Job, listener: Listener, give_up_after: int = 0) -> list[Abandoned]:
    """Make all shards.

    Args:
        tasks: the shards to make; taken one at a time, as they are needed.
        job: the job that they belong to.
        listener: callable that is told what happens.
        give_up_after: number of failures of one kind that stop the run if nothing was made before; 0 for no limit.

    Returns:
        The shards that had to be given up.

    Raises:
        ClusterError: if the scheduler does not answer, there is no worker for longer than the time limit, or workers
            die before they begin.
        ConfigError: if Dask refuses what this machine configures for it.
        HopelessRunError: if the first utterances all failed in the same way.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the shards in flight are made, or `cluster.grace` is over.
        MelmillError: the error that stops a shard for good, such as a StorageError.
    """
    prospects = Prospects(give_up_after, listener)
    with _executor(job, listener) as executor:
        return Dispatcher(executor, tasks, job, prospects).run()


def _executor(job: Job, listener: Listener) -> contextlib.AbstractContextManager[Executor]:
    if job.config.cluster.kind == "synchronous":
        return contextlib.nullcontext(Here(job))
    # Dask takes a second, which only runs that need it should pay.
    with interrupts_after_import(), uncollected(), importing_dask():
        from pipeline.cluster.dask_executor import dask_executor
    return dask_executor(job, listener)
