"""Secrets of a job, such as the password in its store's URL, on their way to workers.

A task is shown on Dask's pages and written to workers' logs when it fails, and the scheduler keeps it. So the job goes
into it without secrets, and those go to each worker by a plugin, which nothing shows.
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
    """The job as it may be put into tasks, as long as the workers know the rest.

    Raises:
        ConfigError: if there are secrets, and the way to the scheduler is open to others.
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
            f"the job holds secrets, as for {job.config.input.public_store}, which the workers of {address} would be "
            "sent without TLS. Use tls://, or leave them out of the job and give them to the workers as the storage's "
            "own client takes them (environment variables, its files)"
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
    """On a worker: the job of a task, whole."""
    plugin = worker.plugins.get(_name(job))
    return replace(job, config=plugin.config) if isinstance(plugin, _Secrets) else job


def _name(job: Job) -> str:
    return f"melmill-{job.run_id}"
