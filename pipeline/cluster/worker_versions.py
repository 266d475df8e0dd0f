"""What is installed on the workers, held against what is installed here, before any work."""

from __future__ import annotations

from distributed import Client

from pipeline.cluster.liveness import within
from pipeline.errors import ClusterError
from pipeline.planning.versions import differing, installed


def compare_versions(client: Client, timeout: float) -> None:
    """Ask all workers that there are. Those that come later are asked with their first shard: see `convert`.

    Args:
        client: of the cluster.
        timeout: seconds that they may take to answer.

    Raises:
        ClusterError: if a worker has another version of something that matters, or no melmill.
    """
    try:
        answers = within(timeout, lambda: client.run(installed, on_error="return"))
    except OSError:  # a TimeoutError: a worker that is just lost, or new
        return
    for worker, theirs in answers.items():
        if isinstance(theirs, ImportError):
            raise ClusterError(
                f"the worker {worker} cannot import what it needs ({theirs}). Install the same melmill everywhere"
            ) from theirs
        if isinstance(theirs, dict):
            refuse_other_versions(worker, differing(installed(), theirs))


def refuse_other_versions(worker: str, differences: list[str]) -> None:
    """Raises ClusterError if there are any."""
    if differences:
        raise ClusterError(
            f"the worker {worker} has other versions: {'; '.join(differences)}. They may not understand each other, or "
            "make other audio. Install the same everywhere; then run again to resume"
        )
