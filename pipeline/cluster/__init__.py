"""Where the work is done: local workers, jobs of SLURM's, pods, or a scheduler that is already running."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from distributed import Client

from pipeline.cluster.job_secrets import entrusted, with_secrets
from pipeline.cluster.kubernetes import kubernetes_client
from pipeline.cluster.liveness import Liveness, within
from pipeline.cluster.local import local_client
from pipeline.cluster.remote import remote_client
from pipeline.cluster.slurm import slurm_client
from pipeline.cluster.worker_versions import compare_versions, refuse_other_versions
from pipeline.config import ClusterConfig, DaskConfig, KubernetesConfig, LocalConfig, SlurmConfig
from pipeline.events import Listener

__all__ = ["Connection", "Liveness", "connect", "entrusted", "refuse_other_versions", "with_secrets", "within"]


@dataclass(frozen=True)
class Connection:
    """A cluster at work.

    Args:
        client: of its scheduler.
        alive: knows its workers, and keeps them coming where that is ours to do.
    """

    client: Client
    alive: Liveness


@contextlib.contextmanager
def connect(config: ClusterConfig, listener: Listener = lambda event: None) -> Iterator[Connection]:
    """A cluster whose scheduler has answered and has at least one worker.

    Args:
        config: of it.
        listener: is told every minute that there is no worker.

    Raises:
        ClusterError: if the scheduler does not answer, no worker comes within the time that is borne, or one has
            other versions of something that matters.
        ConfigError: if what the kind needs is not installed or not allowed, or the files for TLS are none.
    """
    for name in ("distributed", "distributed.client"):  # Dask gives the client a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        client, alive = stack.enter_context(_client(config, listener))
        alive.await_first()
        compare_versions(client, config.timeout)
        yield Connection(client, alive)


def _client(config: ClusterConfig, listener: Listener) -> AbstractContextManager[tuple[Client, Liveness]]:
    match config:
        case LocalConfig():
            return local_client(config, listener)
        case DaskConfig():
            return remote_client(config, listener)
        case SlurmConfig():
            return slurm_client(config, listener)
        case KubernetesConfig():
            return kubernetes_client(config, listener)
        case _:
            raise TypeError(f"kind: {config.kind} has no scheduler")
