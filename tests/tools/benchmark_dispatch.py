"""What it costs to hand shards to workers: CPU time and memory of the driver with its scheduler, and idle workers.

    python tests/tools/benchmark_dispatch.py [--workers N] [--seconds S] [--shards N] [--utterances N]

Workers are made up (support/fake_workers.py): they sleep. Driver, scheduler and protocol are real.
Prints one JSON object.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from support.commits import no_memory
from support.paths import TESTS

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


def resident(what: str = "VmRSS") -> int:
    """Resident memory of this process [bytes]."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--shards", type=int, default=2000)
    parser.add_argument("--utterances", type=int, default=1711)
    arguments = parser.parse_args()
    job, catalogue, plan = made_up(arguments.shards, arguments.utterances)
    found = dispatched(job, catalogue, plan, arguments.workers, arguments.seconds)
    print(json.dumps({**vars(arguments), **found}))


def dispatched(job: Job, catalogue: Catalogue, plan: Plan, workers: int, seconds: float) -> dict[str, Any]:
    """Hand the shards of a plan to workers that sleep for each."""
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
        before, cpu, wall = resident(), time.process_time(), time.monotonic()
        dispatcher.run()
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        after = resident()
        slept = json.loads(theirs.communicate("")[0])
    assert tally.done.shards == len(plan.todo)
    return {
        "cpu_ms_per_shard": 1000 * cpu / len(plan.todo),
        "shards_per_second": len(plan.todo) / wall,
        "busy": slept["slept"] / workers / slept["wall"],
        "cpu_share": cpu / wall,
        "grown_mib": (after - before) / 2**20,
        "peak_mib": resident("VmHWM") / 2**20,
    }


if __name__ == "__main__":
    main()
