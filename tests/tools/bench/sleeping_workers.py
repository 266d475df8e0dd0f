"""Handing shards to many workers that sleep: whether they are kept busy, and how many shards a second pass.

    python -m tools.bench.sleeping_workers WORKERS SECONDS SHARDS UTTERANCES

Workers are made up (support/fake_workers.py): each sleeps SECONDS for a shard. Driver, scheduler and protocol are real.
Prints one JSON object.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from support.commits import no_memory
from support.paths import TESTS
from tools.bench.measuring import peak_memory

from pipeline.config import Job, JobConfig
from pipeline.melspec import preset
from pipeline.planning.plan import Plan, PlannedShard
from pipeline.stores import Catalogue


def made_up(shards: int, utterances: int) -> tuple[Job, Catalogue, Plan]:
    """A job whose plan has that many shards with that many utterances in each."""
    total = shards * utterances
    frames = np.random.default_rng(1).integers(20, 41, total)
    catalogue = Catalogue(
        np.array([f"speaker-{i % 997:04d}/utterance-{i:08d}" for i in range(total)], np.dtypes.StringDType()),
        frames,
        np.random.default_rng(2).integers(0, 256, (total, 16)).astype(np.uint8),
        np.concatenate([[0], np.cumsum(frames)[:-1]]),
    )
    values = {
        "input": {"store": "/made/up/mels.zarr"},
        "output": {"url": "/made/up/audio"},
        "cluster": {"kind": "local", "workers": 1},
    }
    job = Job(JobConfig.build(values), preset("hifigan-22k"), "", "20260101T000000Z-0123abcd", 1)
    todo = tuple(
        PlannedShard(n, f"{n:032x}", np.arange(n * utterances, (n + 1) * utterances), 25.0, "new")
        for n in range(shards)
    )
    return job, catalogue, Plan(todo, (), (), total, 0, 0, no_memory(()))


def dispatched(job: Job, catalogue: Catalogue, plan: Plan, workers: int, seconds: float) -> dict[str, Any]:
    """Hand the shards of a plan to workers that sleep for each.

    Returns:
        CPU time of driver and scheduler and wall-clock time, both of a shard [s], the share of the time from the first
        shard to the last in which a worker slept, and the largest memory of driver and scheduler [bytes].
    """
    from distributed import Client, LocalCluster

    from pipeline.cluster.connection import Connection
    from pipeline.cluster.dask_executor import DaskExecutor
    from pipeline.cluster.dispatch import Dispatcher
    from pipeline.cluster.hopeless import Prospects
    from pipeline.cluster.liveness import Liveness
    from pipeline.cluster.settings import configured_alone
    from pipeline.events.tally import Tally

    tally = Tally()
    with (
        configured_alone({}),
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
        subprocess.Popen(
            [sys.executable, "-m", "support.fake_workers", cluster.scheduler_address, str(workers), str(seconds)],
            env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as theirs,
    ):
        alive = Liveness(client, (600.0, "cluster.timeout"))
        while len(cluster.scheduler.workers) < workers:
            time.sleep(0.1)
        alive.await_first()
        executor = DaskExecutor(Connection(client, alive), job)
        dispatcher = Dispatcher(executor, plan.tasks(catalogue), job, Prospects(20, tally.add))
        cpu, wall = time.process_time(), time.monotonic()
        dispatcher.run()
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        slept = json.loads(theirs.communicate("")[0])
    assert tally.done.shards == len(plan.todo)
    return {
        "cpu": cpu / len(plan.todo),
        "wall": wall / len(plan.todo),
        "busy": slept["slept"] / workers / slept["wall"],
        "memory": peak_memory("self"),
    }


def main() -> None:
    """See the module."""
    workers, seconds, shards, utterances = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(dispatched(*made_up(shards, utterances), workers, seconds)))


if __name__ == "__main__":
    main()
