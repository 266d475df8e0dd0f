"""How long the shards of an output are, where the job leaves that open. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_SECONDS = 600.0
"""A tar of FLAC at 22050 Hz is then some 15 MB, and a worker that is lost takes ten minutes of audio along."""
_SHORTEST_SECONDS = 40.0
"""A second of work with `lift`, and six with HiFi-GAN. More workers than shards of this length have nothing to do."""
_SHARDS_PER_WORKER = 10
"""If the last shard of each worker begins at any time, workers are idle for half a shard at the end: 5 % of the run."""


def shard_seconds(seconds: float, workers: int) -> float:
    """Length of the shards [s] of a new output: ten minutes, or less so that all workers have work to the end.

    Args:
        seconds: duration of all audio [s].
        workers: number of workers.

    >>> shard_seconds(3600 * 24, 2), shard_seconds(3600 * 24, 100), shard_seconds(600, 2), shard_seconds(70, 4)
    (600.0, 86.4, 42.857142857142854, 70.0)
    """
    shards = min(int(seconds / _SHORTEST_SECONDS), _SHARDS_PER_WORKER * workers)
    if shards > workers:
        shards -= shards % workers  # equally many for each
    return min(LONGEST_SECONDS, seconds / max(1, shards))


def begun_with(described: Mapping[str, Any] | None) -> float | None:
    """Length of the shards [s] with which an output was begun, from its job.json; None if that does not say it."""
    found = (described or {}).get("job", {}).get("output", {}).get("shard_seconds")
    return float(found) if isinstance(found, int | float) and found > 0 else None
