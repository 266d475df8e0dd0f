"""Keeps workers busy for a time that is the same on any machine. Workers find this module by PYTHONPATH."""

import time

from pipeline.cluster import on_worker

SECONDS = 4.0
"""How long a worker is busy with each shard, at least."""
_make_on_worker = on_worker.make_on_worker


def make_shard_slowly(sealed: bytes, run_id: str) -> None:
    """Wait for some seconds, then make the shard."""
    time.sleep(SECONDS)
    _make_on_worker(sealed, run_id)
