"""A Dask scheduler that is already running."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

from distributed import Client, Security, rpc

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.cluster.security import given_security
from pipeline.config import DaskConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener

_LAST_WORD_SECONDS = 0.5
"""Dask may take longer than it was given to say why it could not connect."""


@contextlib.contextmanager
def remote_client(config: DaskConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of the scheduler at `config.address`. Errors as `connect`."""
    address = config.scheduler
    security = Security() if config.security is None else given_security(config.security)
    try:
        within(
            config.timeout + _LAST_WORD_SECONDS,
            lambda: asyncio.run(_recognize(address, security, config.timeout)),
        )
        client = within(config.timeout, lambda: Client(address, security=security, timeout=config.timeout))
    except TypeError as error:
        raise ConfigError(
            f"the scheduler {address} cannot be used: {error}. For tls:// give cluster.security, or set "
            "distributed.comm.tls"
        ) from error
    except OSError as error:  # TimeoutError is one
        if (refusal := _refusal(error)) is not None:
            raise ClusterError(
                f"the scheduler {address} and we do not believe each other ({refusal}). Were its certificate and "
                "cluster.security.cert both signed by whoever cluster.security.ca is?"
            ) from error
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
        yield (
            client,
            Liveness(
                client, (config.waits, "cluster.timeout"), lambda: "start workers (dask worker ADDRESS)", listener
            ),
        )
    finally:
        with contextlib.suppress(Exception):
            within(GRACE_SECONDS, lambda: client.close(timeout=GRACE_SECONDS))


async def _recognize(address: str, security: Security, timeout: float) -> None:
    """Ask who is there. Dask's own client waits without limit for the first answer."""
    async with rpc(address, timeout=timeout, connection_args=security.get_connection_args("client")) as there:
        found = await there.identity()
    if found.get("type") != "Scheduler":
        raise ValueError(f"it is a {found.get('type')}")


def _refusal(error: BaseException | None) -> str | None:
    """What TLS says, if that is behind an error: Dask tries again until its time is over, and tells of that."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error.reason or str(error)
        error = error.__cause__ or error.__context__
    return None
