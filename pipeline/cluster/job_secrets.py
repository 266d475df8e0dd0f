"""Brings the secrets of a job, such as the password in its store's URL, to the workers.

Dask shows a task on its pages, writes it to the worker's log when it fails, and keeps it on the scheduler. So a task
has the job without its secrets, and each worker is sent the secrets in a plugin, which Dask never shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from distributed import Client, Worker, WorkerPlugin

from pipeline.cluster.liveness import GRACE_SECONDS, within
from pipeline.config import Job, JobConfig, is_loopback
from pipeline.errors import ClusterError, ConfigError


class _Secrets(WorkerPlugin):
    def __init__(self, name: str, config: JobConfig) -> None:
        self.name = name
        self.config = config


@contextlib.contextmanager
def entrusted(client: Client, job: Job) -> Iterator[Job]:
    """The job without its secrets, for tasks; the workers have the secrets as long as the context lasts.

    Args:
        client: Dask's client of the scheduler.
        job: the job with its secrets.

    Raises:
        ConfigError: if there are secrets, and the network between here and the scheduler is not encrypted.
        ClusterError: if the workers do not answer in time.
    """
    public = replace(job, config=job.config.public())
    if public == job:
        yield job
        return
    address = str(client.scheduler_info()["address"])
    parts = urlsplit(address)
    if parts.scheme not in ("tls", "inproc") and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"the job holds secrets, for example for {job.config.input.public_store}, which would be sent without TLS "
            f"to the workers of {address}. Use tls://, or leave the secrets out of the job and give them to the "
            "workers in the way that the storage's own client reads them (environment variables, its files)"
        )
    plugin, timeout = _Secrets(_name(job), job.config), job.config.cluster.timeout
    try:
        within(timeout, lambda: client.register_plugin(plugin))
    except OSError as error:  # TimeoutError is one
        raise ClusterError(f"the workers of {address} did not answer within {timeout:g} s (cluster.timeout)") from error
    try:
        yield public
    finally:
        with contextlib.suppress(Exception):
            within(GRACE_SECONDS, lambda: client.unregister_worker_plugin(plugin.name))


def with_secrets(job: Job, worker: Worker) -> Job:
    """On a worker: the job of a task, with its secrets."""
    plugin = worker.plugins.get(_name(job))
    return replace(job, config=plugin.config) if isinstance(plugin, _Secrets) else job


def _name(job: Job) -> str:
    return f"melmill-{job.run_id}"
