"""What keeps workers busy, on any machine; they find this module by PYTHONPATH."""

import time

from pipeline.cluster import engine
from pipeline.config import Job
from pipeline.events import ShardCommitted
from pipeline.planning.plan import ShardTask

SECONDS = 4.0
"""For each shard."""
_make_shard = engine._make_shard


def make_shard_slowly(task: ShardTask, job: Job, trial: int) -> ShardCommitted:
    """The engine's own function, to which a worker comes after some seconds."""
    time.sleep(SECONDS)
    return _make_shard(task, job, trial)
