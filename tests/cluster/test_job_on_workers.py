"""Workers are sent the job, whatever becomes of one of them meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from distributed import Client, LocalCluster, Scheduler
from distributed.comm.core import CommClosedError

from pipeline.cluster.job_on_workers import entrusted, job_of
from pipeline.config import Job, JobConfig
from pipeline.melspec import preset

Build = Callable[..., JobConfig]


def test_a_worker_that_is_lost_while_the_job_is_sent_does_not_end_the_run(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask sends a plugin to all workers at once, and fails for all if one of them is lost before it answers."""
    send: Callable[..., Any] = Scheduler.broadcast
    lost = []

    async def losing(scheduler: Scheduler, **message: Any) -> Any:
        if message["msg"]["op"] == "plugin-add" and not lost:
            lost.append(message)
            raise CommClosedError("a worker was killed")
        return await send(scheduler, **message)

    told = Job(job(), preset("hifigan-22k"), "", "20260101T000000Z-0123abcd", 1)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        monkeypatch.setattr(Scheduler, "broadcast", losing)
        with entrusted(client, told):
            (found,) = client.run(lambda dask_worker: job_of(told.run_id, dask_worker).run_id).values()
    assert (len(lost), found) == (1, told.run_id)
