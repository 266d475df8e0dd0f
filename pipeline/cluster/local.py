"""Worker processes on this machine. What is configured here for Dask does not concern them."""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Iterator

from distributed import Client, LocalCluster, Nanny, Status

from pipeline.cluster.liveness import Liveness
from pipeline.cluster.settings import configured_alone
from pipeline.config import LocalConfig
from pipeline.errors import ClusterError
from pipeline.events import Listener
from pipeline.processes.interrupts import interrupts_held
from pipeline.wording import counted

_STARTS = 10
"""Number of attempts to start a local worker that dies while it starts."""


@contextlib.contextmanager
def local_client(config: LocalConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of a cluster that lives as long as the context.

    Raises:
        ClusterError: if the workers die while they start.
    """
    settings = {
        "distributed.comm.timeouts.connect": f"{config.timeout}s",
        # After 15 s, Dask would give up a worker that is being restarted; on a busy machine that may take longer.
        "distributed.deploy.lost-worker-timeout": "1 day",
    }
    with (
        tempfile.TemporaryDirectory(prefix="melmill-", ignore_cleanup_errors=True) as folder,
        configured_alone(settings),
    ):
        with interrupts_held() as held:
            cluster = _started(config, folder)
        with cluster:
            if held:
                signal.raise_signal(held[0])
            with Client(cluster, timeout=config.timeout) as client:
                yield client, Liveness(client, config.waits, listener=listener)


def _started(config: LocalConfig, folder: str) -> LocalCluster:
    try:
        return LocalCluster(
            n_workers=config.worker_count(),
            threads_per_worker=config.threads_per_worker,
            worker_class=_PatientNanny,
            dashboard_address="127.0.0.1:0",
            local_directory=folder,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise ClusterError(
            f"a local worker died {_STARTS} times while it started ({error}). Check that there is enough memory "
            f"for {counted(config.worker_count(), 'worker')} (cluster.workers). "
            "What was committed is kept; run again to resume"
        ) from error


class _PatientNanny(Nanny):
    """Starts a worker again if it dies in its first start, where Dask would give up the whole cluster."""

    async def instantiate(self) -> Status:
        """See Nanny."""
        for _ in range(_STARTS):
            status = await super().instantiate()
            if status != Status.stopped or self.status not in (Status.init, Status.starting):
                break
        return status
