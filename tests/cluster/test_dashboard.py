"""The address of Dask's page, and the number of workers, as a run is told them."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest
from distributed import Client, LocalCluster

from pipeline.cluster.dashboard import dashboard_link
from pipeline.cluster.liveness import Liveness
from pipeline.events import Event, WorkersCounted


def test_the_page_is_named_where_dask_can_show_it_and_workers_are_counted_when_they_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[Event] = []
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp://"
        ) as cluster,
        Client(cluster) as client,
        Client(cluster.scheduler_address) as remote,
    ):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert dashboard_link(client) == ""
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: ModuleSpec(name, None))
        link = f"http://127.0.0.1:{cluster.scheduler.services['dashboard'].port}/status"
        assert dashboard_link(client) == dashboard_link(remote) == link
        alive = Liveness(client, (30.0, "cluster.timeout"), listener=events.append)
        alive.await_first()
        alive._look()
        cluster.scale(2)
        client.wait_for_workers(2)
        alive._look()
    assert events == [WorkersCounted(1, 2, link), WorkersCounted(2, 4, link)]
