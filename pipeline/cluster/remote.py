"""A Dask scheduler that is already running."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

from distributed import Client, Security, rpc

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.cluster.security import check_open_is_allowed, configured_security, given_security
from pipeline.config import DaskConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener

_LAST_WORD_SECONDS = 0.5
"""Dask exceeds its time limit by up to this before it says why it could not connect."""


@contextlib.contextmanager
def remote_client(config: DaskConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of the scheduler at `config.address`. Raises the errors of `connect`."""
    address = config.scheduler
    if address.startswith("tcp:"):
        check_open_is_allowed(f"the scheduler {address}", "Give its tls:// address, or take that setting away")
    security = configured_security() if config.security is None else given_security(config.security)
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
                f"TLS handshake with the scheduler {address} failed ({refusal}). Check that its certificate and "
                "cluster.security.cert are both signed by cluster.security.ca"
            ) from error
        raise ClusterError(
            f"the scheduler {address} did not answer within {config.timeout:g} s (cluster.timeout). Check that it "
            "runs and that the address is right"
        ) from error
    except Exception as error:  # Dask reads any bytes as its own protocol, which may end in a MemoryError, for instance
        raise ClusterError(
            f"what answers at {address} is not a Dask scheduler, or is a scheduler of another version "
            f"({type(error).__name__}: {error}). Check the address"
        ) from error
    try:
        yield (
            client,
            Liveness(client, config.waits, lambda: "start workers (dask worker ADDRESS)", listener),
        )
    finally:
        with contextlib.suppress(Exception):
            within(GRACE_SECONDS, lambda: client.close(timeout=GRACE_SECONDS))


async def _recognize(address: str, security: Security, timeout: float) -> None:
    """Ask what is there. Dask's own client waits for the first answer without a time limit."""
    async with rpc(address, timeout=timeout, connection_args=security.get_connection_args("client")) as there:
        found = await there.identity()
    if found.get("type") != "Scheduler":
        raise ValueError(f"it is a {found.get('type')}")


def _refusal(error: BaseException | None) -> str | None:
    """The error of TLS behind an error, if there is one. Dask itself only says that its time is over."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error.reason or str(error)
        error = error.__cause__ or error.__context__
    return None
