"""What is said of a cluster that has no workers, or no scheduler."""

import pytest
from distributed import Client, LocalCluster

from pipeline.cluster import liveness
from pipeline.cluster.liveness import Liveness
from pipeline.errors import ClusterError
from pipeline.events import Event, WorkersAwaited


def test_nobody_is_told_to_start_workers_while_the_scheduler_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_SAY_SECONDS", 0.0)
    events: list[Event] = []
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp://") as cluster,
        Client(cluster.scheduler_address, timeout=30) as client,
    ):
        alive = Liveness(client, (0.3, "cluster.timeout"), lambda: "start workers", events.append)
        with pytest.raises(ClusterError, match=r"no worker for more than 0\.3 s \(cluster\.timeout\): start workers"):
            alive.await_first()
        cluster.close()
        alive = Liveness(client, (0.3, "cluster.timeout"), lambda: "start workers", events.append)
        events.clear()
        with pytest.raises(
            ClusterError, match=r"scheduler has been gone for more than 0\.3 s \(cluster\.timeout\)\. W"
        ):
            alive.await_first()
    assert {event.reason for event in events if isinstance(event, WorkersAwaited)} == {"the scheduler has been gone"}
