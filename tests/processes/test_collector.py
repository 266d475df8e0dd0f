"""The collector of garbage rests while a process starts, and works from then on: in commands, and in their workers."""

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.processes.collector import collect_from_now_on, collect_later, uncollected


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    yield
    gc.enable()


def test_what_is_there_when_it_begins_is_left_alone() -> None:
    collect_later()
    assert not gc.isenabled()
    here = [[]]  # type: ignore[var-annotated]
    collect_from_now_on()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert not any(each is here for each in gc.get_objects())


def test_a_program_that_collects_is_left_as_it_is() -> None:
    frozen = gc.get_freeze_count()
    collect_from_now_on()
    assert gc.get_freeze_count() == frozen
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_commands_and_both_kinds_of_their_workers_collect(tmp_path: Path) -> None:
    """Workers begin with the main module of their command, which lets the collector rest."""
    script = """
import gc
import json
import pipeline.__main__

resting = not gc.isenabled()

def look():
    return resting, gc.isenabled(), gc.get_freeze_count() > 0

def nothing():
    pass

if __name__ == "__main__":
    from distributed import Client, LocalCluster
    from pipeline.cli.lazy import LazyCommand
    from pipeline.cluster.job_on_workers import entrusted
    from pipeline.config import Job, JobConfig
    from pipeline.processes.worker_pool import worker_processes
    from pipeline.melspec import preset

    found = {}
    with worker_processes(1, nothing, lambda context: ()) as pool:
        found["pool"] = pool.submit(look).result()
    config = JobConfig.build({"input": {"store": "mels.zarr"}, "output": {"url": "audio"}})
    job = Job(config, preset("hifigan-22k"), "", "20260101T000000Z-0123abcd", 1)
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        with entrusted(client, job):
            found["dask"] = client.submit(look).result()
    LazyCommand("plan", "pipeline.cli.plan:plan", "").imported()
    found["command"] = look()
    print(json.dumps(found))
"""
    path = tmp_path / "command.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == {where: [True, True, True] for where in ("pool", "dask", "command")}
