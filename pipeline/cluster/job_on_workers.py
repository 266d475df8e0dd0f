"""Brings the job to the workers once, with its secrets, such as the password in its store's URL.

Dask shows a task on its pages, writes it to the worker's log when it fails, and keeps it on the scheduler. So a task
has no job. Each worker is sent the job in a plugin, which Dask never shows, before its first task: those that are there
when the run begins, and those that come later. A scheduler that starts again has lost it, as it has lost the tasks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from distributed import Client, Worker, WorkerPlugin
from distributed.comm.core import CommClosedError

from pipeline.cluster.liveness import GRACE_SECONDS, within
from pipeline.config import Job, is_loopback
from pipeline.errors import ClusterError, ConfigError
from pipeline.processes.collector import collect_from_now_on
from pipeline.worker.allocation import keep_freed_memory

_PAUSE = 0.1
"""Time before workers are sent the job once more [s]."""


class _JobPlugin(WorkerPlugin):
    """Holds the job of a run on a worker."""

    def __init__(self, name: str, job: Job) -> None:
        self.name = name
        self.job = job

    def setup(self, worker: Worker) -> None:
        """See WorkerPlugin. All that a worker needs is imported by now."""
        collect_from_now_on()
        keep_freed_memory()


@contextlib.contextmanager
def entrusted(client: Client, job: Job) -> Iterator[None]:
    """A time in which all workers have the job.

    Args:
        client: Dask's client of the scheduler.
        job: the job with its secrets.

    Raises:
        ConfigError: if there are secrets, and the network between here and the scheduler is not encrypted.
        ClusterError: if the workers do not answer in time.
    """
    address = str(client.scheduler_info()["address"])
    if job.config.public() != job.config:
        _check_encrypted(address, job)
    plugin, timeout = _JobPlugin(_name(job.run_id), job), job.config.cluster.timeout
    try:
        within(timeout, lambda: _register(client, plugin))
    except OSError as error:  # TimeoutError is one
        raise ClusterError(f"the workers of {address} did not answer within {timeout:g} s (cluster.timeout)") from error
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            within(GRACE_SECONDS, lambda: client.unregister_worker_plugin(plugin.name))


def _register(client: Client, plugin: WorkerPlugin) -> None:
    """Send a plugin to all workers. Where one is lost meanwhile, Dask fails for all, so they are sent it again."""
    while True:
        try:
            client.register_plugin(plugin)
            return
        except CommClosedError:
            if client.status not in ("connecting", "running"):
                raise
            time.sleep(_PAUSE)


def _check_encrypted(address: str, job: Job) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("tls", "inproc") and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"the job holds secrets, for example for {job.config.input.public_store}, which would be sent without TLS "
            f"to the workers of {address}. Use tls://, or leave the secrets out of the job and give them to the "
            "workers in the way that the storage's own client reads them (environment variables, its files)"
        )


def job_of(run_id: str, worker: Worker) -> Job:
    """On a worker: the job of a run, with its secrets.

    Raises:
        ClusterError: if the worker was not sent it, or could not read it.
    """
    plugin = worker.plugins.get(_name(run_id))
    if not isinstance(plugin, _JobPlugin):
        raise ClusterError(
            f"the worker {worker.address} does not have the job of run {run_id}, which Dask sends to every worker. "
            "Read the worker's own log; then run again to resume"
        )
    return plugin.job


def _name(run_id: str) -> str:
    return f"melmill-{run_id}"
