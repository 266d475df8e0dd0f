"""What keeps workers busy, on any machine; they find this module by PYTHONPATH."""

import time

from pipeline.cluster import on_worker
from pipeline.config import Job
from pipeline.events import ShardCommitted
from pipeline.planning.plan import ShardTask

SECONDS = 4.0
"""For each shard."""
_make_on_worker = on_worker.make_on_worker


def make_shard_slowly(task: ShardTask, job: Job, trial: int) -> ShardCommitted:
    """What a worker runs, to which a worker comes after some seconds."""
    time.sleep(SECONDS)
    return _make_on_worker(task, job, trial)
