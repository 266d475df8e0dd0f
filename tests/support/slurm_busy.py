"""Keeps workers busy for a time that is the same on any machine. Workers find this module by PYTHONPATH."""

import time

from pipeline.cluster import on_worker
from pipeline.config import Job
from pipeline.events import ShardCommitted
from pipeline.planning.plan import ShardTask

SECONDS = 4.0
"""How long a worker is busy with each shard, at least."""
_make_on_worker = on_worker.make_on_worker


def make_shard_slowly(task: ShardTask, job: Job, trial: int) -> ShardCommitted:
    """Wait for some seconds, then make the shard."""
    time.sleep(SECONDS)
    return _make_on_worker(task, job, trial)
