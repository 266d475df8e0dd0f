"""Compares what is installed on the workers with what is installed here, before any work."""

from __future__ import annotations

from distributed import Client

from pipeline.cluster.liveness import within
from pipeline.errors import ClusterError
from pipeline.planning.versions import differing, installed


def compare_versions(client: Client, timeout: float) -> None:
    """Ask all workers that are there now. Workers that come later compare for themselves, at each shard: `on_worker`.

    Args:
        client: Dask's client of the scheduler.
        timeout: number of seconds that the workers may take to answer.

    Raises:
        ClusterError: if a worker has another version of something that matters, or does not have melmill.
    """
    try:
        answers = within(timeout, lambda: client.run(installed, on_error="return"))
    except OSError:  # a TimeoutError: a worker was just lost, or is just starting
        return
    for worker, theirs in answers.items():
        if isinstance(theirs, ImportError):
            raise ClusterError(
                f"the worker {worker} cannot import what it needs ({theirs}). Install the same melmill everywhere"
            ) from theirs
        if isinstance(theirs, dict):
            refuse_other_versions(worker, differing(installed(), theirs))


def refuse_other_versions(worker: str, differences: list[str]) -> None:
    """Refuse a worker that has other versions.

    Args:
        worker: address of the worker.
        differences: descriptions of the versions that differ; see `differing`.

    Raises:
        ClusterError: if there are differences.
    """
    if differences:
        raise ClusterError(
            f"the worker {worker} has other versions: {'; '.join(differences)}. They may fail to talk "
            "to each other, or make different audio. Install the same versions everywhere; then run again to resume"
        )
