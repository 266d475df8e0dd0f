"""What Dask is told where a run starts its own scheduler: what it keeps, how often it looks, what it leaves to us."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import dask

OWN_SCHEDULER: Mapping[str, Any] = {
    # Dask would blame a lost worker on everything that was queued there; the dispatcher decides what to blame.
    "distributed.scheduler.allowed-failures": 0,
    # Each connection would keep its last 1,000 messages, tasks among them, and each topic as many events.
    "distributed.admin.low-level-log-length": 0,
    "distributed.admin.log-length": 100,
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
    "distributed.scheduler.dashboard.tasks.task-stream-length": 100,
    "distributed.scheduler.dashboard.status.task-stream-length": 100,
    # Two hours of figures about the process, every half second; the heartbeat needs the last.
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.log-length": 10,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.diagnostics.nvml": False,
    # Each process wakes fifty times in a second, to see whether its event loop is late.
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.tick.cycle": "10s",
    # Results are empty: there are no replicas to drop.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.client.scheduler-info-interval": "1h",
}
"""Settings of a scheduler that is ours, and of what inherits them."""

OWN_WORKERS: Mapping[str, Any] = {
    # The profiler looks into every thread a hundred times in a second, and keeps what it saw in each second.
    "distributed.worker.profile.enabled": False,
    # A worker holds no data that could be spilled, and a paused one would wait for ever. A nanny still ends a worker
    # whose memory comes to 95 % of its limit, before the machine runs out of it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.monitor-interval": "1s",
}
"""Settings of workers that are ours."""


def as_variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as variables, for processes that Dask does not give its configuration to.

    >>> as_variables({"distributed.worker.profile.enabled": False})
    {'DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED': 'False'}
    """
    return {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in settings.items()}


@contextlib.contextmanager
def configured_alone(settings: Mapping[str, Any]) -> Iterator[None]:
    """A time in which Dask has its own defaults and these settings, and nothing that this machine configures.

    Files (`/etc/dask`, `~/.config/dask`, `DASK_CONFIG`) and variables (`DASK_...`) describe a site's clusters. On a
    cluster of one run they do harm: workers end in the middle of a shard (`worker.lifetime`), speech between processes
    of one machine is refused (`comm.require-encryption`), modules are missing (`preload`).
    """
    configured = dask.config.config.copy()
    dask.config.refresh(paths=[], env={})
    try:
        with dask.config.set({**OWN_SCHEDULER, **OWN_WORKERS, **settings}):
            yield
    finally:
        dask.config.config.clear()
        dask.config.config.update(configured)
