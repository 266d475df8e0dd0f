"""Clusters that have no workers for a while, and workers that take their leave in the middle of a shard."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import LocalCluster
from support.corpora import assert_whole
from support.faults.processes import until

from pipeline.cli.run_view import noticed
from pipeline.cluster import dask_executor, dispatch, liveness
from pipeline.config import JobConfig
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardCommitted, ShardRetried, WorkersAwaited
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]


def test_a_cluster_without_workers_is_told_and_no_shard_is_blamed(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_SAY_SECONDS", 1.0)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp://"
    ) as cluster:
        config = job(
            cluster__kind="dask",
            cluster__address=cluster.scheduler_address,
            cluster__timeout=60,
            cluster__shard_timeout=5,
            output__shard_seconds=2,
        )
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if isinstance(event, ShardCommitted) and not any(isinstance(each, WorkersAwaited) for each in events):
                cluster.scale(0)
                until(lambda: not cluster.scheduler.workers, "the worker's end")  # before more than a few are made
                threading.Timer(7, lambda: cluster.scale(1)).start()

        run(config, listen)
    assert_whole(Path(config.output.url), 24)
    awaited = [event for event in events if isinstance(event, WorkersAwaited)]
    assert awaited
    assert awaited[0].limit == 60
    said = noticed(awaited[0])
    assert said is not None
    assert "the run waits up to 0:01:00: start workers (dask worker ADDRESS)" in said
    assert not [event for event in events if isinstance(event, ShardRetried)]


def slow(sealed: bytes, run_id: str) -> None:
    from pipeline.cluster import on_worker
    from pipeline.events import ShardStarted

    trial = on_worker.Trial.opened(sealed)
    worker, _ = on_worker._at_work(run_id)
    on_worker._teller(worker, trial, run_id)(ShardStarted(trial.task.number, worker.address))
    time.sleep(8)
    raise AssertionError("its worker was to leave before")


def test_a_shard_that_takes_longer_than_workers_live_ends_the_run(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_STARTS", 1)
    monkeypatch.setattr(dask_executor, "make_on_worker", slow)
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        lifetime="3s",
        lifetime_restart=True,
    ) as cluster:
        config = job(cluster__kind="dask", cluster__address=cluster.scheduler_address, output__shard_seconds=600)
        with pytest.raises(ClusterError, match=r"2 workers began with shard .* none .* lifetime.*cluster\.walltime"):
            run(config)
