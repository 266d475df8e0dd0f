"""Where the work is done: a local cluster, or a scheduler that is already running."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from distributed import Client

from pipeline.clusters.liveness import GRACE_SECONDS, Liveness, within
from pipeline.clusters.local import local_client
from pipeline.clusters.remote import remote_client
from pipeline.clusters.secrets import entrusted, with_secrets
from pipeline.config import ClusterConfig
from pipeline.errors import ClusterError

__all__ = ["Liveness", "connect", "entrusted", "with_secrets", "within"]


@contextlib.contextmanager
def connect(config: ClusterConfig) -> Iterator[Client]:
    """A client whose scheduler has answered and has at least one worker.

    Raises:
        ClusterError: if the scheduler does not answer, or no worker comes, within `config.timeout` seconds.
        ConfigError: if the scheduler is beyond this machine, without TLS, and `insecure` is not set.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context((remote_client if config.kind == "dask" else local_client)(config))
        try:
            within(config.timeout + GRACE_SECONDS, lambda: client.wait_for_workers(1, timeout=config.timeout))
        except TimeoutError as error:
            raise ClusterError(
                f"the cluster {config.address or ''} has had no worker for {config.timeout:g} s. Start workers "
                "(dask worker ADDRESS), or wait longer with cluster.timeout"
            ) from error
        yield client
