"""What runs on a Dask worker, and how it tells the driver how far it is."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import distributed

from pipeline.cluster.job_secrets import with_secrets
from pipeline.cluster.worker_versions import refuse_other_versions
from pipeline.config import Job
from pipeline.events import ShardCommitted, ShardStarted, UtterancesMade
from pipeline.planning.plan import ShardTask
from pipeline.planning.versions import differing, installed
from pipeline.worker.task import Tell, confined, make_shard, rehearse_shard

_REPORT_SECONDS = 0.5


def make_on_worker(task: ShardTask, job: Job, trial: int) -> ShardCommitted:
    """Make a shard with this worker's threads; see `make_shard`. Its errors are without secrets."""
    return confined(lambda: make_shard(task, *_at_work(job, trial)))


def rehearse_on_worker(task: ShardTask, job: Job, trial: int) -> None:
    """Rehearse a shard with this worker's threads; see `rehearse_shard`. Its errors are without secrets."""
    confined(lambda: rehearse_shard(task, *_at_work(job, trial)))


def topic(job: Job) -> str:
    """Name of the Dask topic under which a run's workers say how far they are."""
    return f"melmill-{job.run_id}"


def event_of(message: dict[str, Any]) -> tuple[int, ShardStarted | UtterancesMade]:
    """The number of the trial, and the event, of a worker's message."""
    if "started" in message:
        return message["trial"], ShardStarted(**message["started"])
    return message["trial"], UtterancesMade(**message["progress"])


def _at_work(job: Job, trial: int) -> tuple[Job, int, str, Tell]:
    """What a shard needs of this worker: the job with its secrets, the number of threads, the address, and `tell`.

    Raises:
        ClusterError: if another version of something that matters is installed here.
    """
    worker = distributed.get_worker()
    refuse_other_versions(worker.address, differing(job.versions, installed()))
    told = 0.0

    def tell(event: ShardStarted | UtterancesMade) -> None:
        nonlocal told
        if isinstance(event, ShardStarted):
            told = time.monotonic()
            worker.log_event(topic(job), {"trial": trial, "started": dataclasses.asdict(event)})
        elif time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            worker.log_event(topic(job), {"trial": trial, "progress": dataclasses.asdict(event)})

    threads: Any = worker.state.nthreads
    return with_secrets(job, worker), int(threads), worker.address, tell
