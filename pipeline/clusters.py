"""Where the work is done: a local cluster, or a scheduler that is already running."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import dask
import distributed.comm.registry
from distributed import Client, LocalCluster, Nanny, Security, Status, rpc

from pipeline.config import ClusterConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.interrupts import interrupts_held

T = TypeVar("T")

_GRACE_SECONDS = 5.0
"""For what needs an answer of the scheduler and is not bounded by `cluster.timeout`: good-bye, above all."""
_ANSWER_SECONDS = 5.0
_CHECK_SECONDS = 2.0
_STARTS = 10
"""Times that a local worker is started, if it dies meanwhile."""


@contextlib.contextmanager
def connect(config: ClusterConfig) -> Iterator[Client]:
    """A client whose scheduler has answered and has at least one worker.

    Raises:
        ClusterError: if the scheduler does not answer, or no worker comes, within `config.timeout` seconds.
        ConfigError: if the scheduler is beyond this machine, without TLS, and `insecure` is not set.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context((_remote if config.kind == "dask" else _local)(config))
        try:
            within(config.timeout + _GRACE_SECONDS, lambda: client.wait_for_workers(1, timeout=config.timeout))
        except TimeoutError as error:
            raise ClusterError(
                f"the cluster {config.address or ''} has had no worker for {config.timeout:g} s. Start workers "
                "(dask worker ADDRESS), or wait longer with cluster.timeout"
            ) from error
        yield client


@contextlib.contextmanager
def _local(config: ClusterConfig) -> Iterator[Client]:
    settings = {
        "distributed.worker.daemon": True,
        "distributed.comm.timeouts.connect": f"{config.timeout}s",
        # Dask would blame a lost worker on all that was queued there; the engine counts for itself whom to blame.
        "distributed.scheduler.allowed-failures": 0,
        # Dask would give up a worker that has not come back by then; on a busy machine it may take longer than 15 s.
        "distributed.deploy.lost-worker-timeout": "1 day",
    }
    with (
        tempfile.TemporaryDirectory(prefix="melmill-", ignore_cleanup_errors=True) as folder,
        dask.config.set(settings),
    ):
        with interrupts_held() as held:
            cluster = _started(config, folder)
        with cluster:
            if held:
                signal.raise_signal(held[0])
            with Client(cluster, timeout=config.timeout) as client:
                yield client


def _started(config: ClusterConfig, folder: str) -> LocalCluster:
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
            f"a local worker died {_STARTS} times while it started ({error}). Is there memory for "
            f"{config.worker_count()} workers (cluster.workers)? What was committed is kept; run again to resume"
        ) from error


class _PatientNanny(Nanny):
    """Starts a worker again that died while it started for the first time: Dask would give up the whole cluster."""

    async def instantiate(self) -> Status:
        """See Nanny."""
        for _ in range(_STARTS):
            status = await super().instantiate()
            if status != Status.stopped or self.status not in (Status.init, Status.starting):
                break
        return status


@contextlib.contextmanager
def _remote(config: ClusterConfig) -> Iterator[Client]:
    address = config.address or ""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise ConfigError(f"the scheduler's address {address!r} must look like tcp://host:8786")
    if parts.scheme != "tls" and not _is_loopback(parts.hostname) and not config.insecure:
        raise ConfigError(
            f"the scheduler {address} is beyond this machine and has no TLS: whoever reaches it can run code on its "
            "workers. Use tls://, or set cluster.insecure=true on a network that you trust"
        )
    if parts.scheme not in distributed.comm.registry.backends:
        raise ConfigError(
            f"the scheduler's address {address!r} begins with {parts.scheme}://; it must be tcp:// or tls://"
        )
    try:
        within(config.timeout, lambda: asyncio.run(_recognize(parts.geturl(), config.timeout)))
        client = within(config.timeout, lambda: Client(parts.geturl(), timeout=config.timeout))
    except TypeError as error:
        raise ConfigError(
            f"the scheduler {address} cannot be used: {error}. For tls:// set distributed.comm.tls"
        ) from error
    except OSError as error:  # TimeoutError is one
        raise ClusterError(
            f"the scheduler {address} did not answer within {config.timeout:g} s. Is it running, and is the address "
            "right? (cluster.timeout sets the limit)"
        ) from error
    except Exception as error:  # what comes of taking any bytes for Dask's: a MemoryError, for instance
        raise ClusterError(
            f"what answers at {address} is not a Dask scheduler, or one of another version "
            f"({type(error).__name__}: {error}). Is the address right?"
        ) from error
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            within(_GRACE_SECONDS, lambda: client.close(timeout=_GRACE_SECONDS))


async def _recognize(address: str, timeout: float) -> None:
    """Ask who is there. Dask's own client waits without limit for the first answer."""
    security = Security().get_connection_args("client")
    async with rpc(address, timeout=timeout, connection_args=security) as there:
        found = await there.identity()
    if found.get("type") != "Scheduler":
        raise ValueError(f"it is a {found.get('type')}")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` gives, if that takes no longer; else it is left behind, in a thread that ends with the process.

    Raises:
        TimeoutError: after so many seconds.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return cast(T, answer)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Liveness:
    """Knows how many worker threads there are, and gives up when there have been none for too long.

    Args:
        client: of the cluster.
        timeout: seconds without a worker, or without the scheduler, that are borne.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._seen = time.monotonic()
        self._asked = 0.0
        self.threads = 1
        self.check()

    def check(self) -> None:
        """Look, unless it was done a moment ago.

        Raises:
            ClusterError: if there has been no worker, or no scheduler, for longer than the time limit.
        """
        if time.monotonic() - self._asked < _CHECK_SECONDS:
            return
        self._asked = time.monotonic()
        threads: dict[str, Any] = {}
        answers = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):  # TimeoutError is one
                threads = within(min(self._timeout, _ANSWER_SECONDS), self._client.nthreads)
                answers = True
        if threads:
            self.threads = sum(threads.values())
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._timeout:
            what = "there has been no worker" if answers else "the scheduler has been gone"
            raise ClusterError(
                f"{what} for more than {self._timeout:g} s (cluster.timeout). What was committed is kept; run again to "
                "resume"
            )
