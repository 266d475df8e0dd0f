"""Connects to a Dask cluster of any kind: local workers, SLURM jobs, pods, or a scheduler that is already running."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from distributed import Client

from pipeline.cluster.kubernetes import kubernetes_client
from pipeline.cluster.liveness import Liveness
from pipeline.cluster.local import local_client
from pipeline.cluster.remote import remote_client
from pipeline.cluster.security import check_open_is_allowed
from pipeline.cluster.slurm import slurm_client
from pipeline.cluster.worker_versions import compare_versions
from pipeline.config import ClusterConfig, DaskConfig, KubernetesConfig, LocalConfig, SlurmConfig
from pipeline.events import Listener


@dataclass(frozen=True)
class Connection:
    """A cluster that has at least one worker.

    Args:
        client: Dask's client of the scheduler.
        alive: the watch over the workers; where workers are ours to start, it also replaces lost ones.
    """

    client: Client
    alive: Liveness


@contextlib.contextmanager
def connect(config: ClusterConfig, listener: Listener = lambda event: None) -> Iterator[Connection]:
    """Connect, and wait until the scheduler has answered and has at least one worker.

    Args:
        config: the section `cluster` of the job.
        listener: callable that is told, once a minute, that there is no worker.

    Raises:
        ClusterError: if the scheduler does not answer, no worker comes within the time limit, or a worker has another
            version of something that matters.
        ConfigError: if something that this kind of cluster needs is not installed or not allowed, the TLS files are
            not valid, or this machine's configuration of Dask forbids a scheduler without TLS.
    """
    for name in ("distributed", "distributed.client"):  # Dask gives the client a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _client(config, listener) as (client, alive):
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
            if config.insecure:
                check_open_is_allowed("a SLURM run with cluster.insecure=true", "Leave that out: each run makes keys")
            return slurm_client(config, listener)
        case KubernetesConfig():
            check_open_is_allowed("kind: kubernetes", "Run an indexed Job, which needs no scheduler")
            return kubernetes_client(config, listener)
        case _:
            raise TypeError(f"kind: {config.kind} has no scheduler")
