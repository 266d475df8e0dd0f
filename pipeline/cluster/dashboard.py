"""The page on which Dask shows what its workers do."""

from __future__ import annotations

import contextlib
import importlib.util

from distributed import Client

from pipeline.redaction import redacted


def dashboard_link(client: Client) -> str:
    """Address of Dask's page; empty if there is none. Where the scheduler is ours, it needs bokeh, which is optional.

    Args:
        client: client of the scheduler.
    """
    ours = client.cluster is not None
    if ours and importlib.util.find_spec("bokeh") is None:
        return ""
    with contextlib.suppress(Exception):  # of any kind, from a scheduler of any version; the run does without
        return redacted(client.dashboard_link or "")
    return ""
