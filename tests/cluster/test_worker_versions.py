"""Workers on which something else is installed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from pipeline import cluster as clusters
from pipeline.cluster import connection, execute
from pipeline.config import JobConfig
from pipeline.errors import ClusterError
from pipeline.jobs.run import run
from pipeline.planning.versions import differing, installed

Build = Callable[..., JobConfig]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """Address of a scheduler whose only worker has another zarr, as far as Python's own record of what is installed."""
    record = tmp_path / "site" / "zarr-2.18.7.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 2.18.7\n")
    path = os.pathsep.join(
        [str(record.parent), str(Path(clusters.__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    )
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp://") as cluster:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-nanny"]
        command += ["--nthreads=1", "--dashboard-address=127.0.0.1:0", f"--local-directory={tmp_path}"]
        with open(tmp_path / "worker.log", "wb") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})
        try:
            yield cluster.scheduler_address
        finally:
            worker.kill()
            worker.wait()


def test_a_worker_with_other_versions_ends_the_run_before_any_work(
    job: Build, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "Dispatcher", None)  # to come so far would be a TypeError
    config = job(cluster__kind="dask", cluster__address=stranger)
    ours = installed()["zarr"]
    with pytest.raises(ClusterError, match=rf"has other versions: zarr {ours} here, 2\.18\.7 there") as caught:
        run(config)
    assert caught.value.exit_code == 6
    assert not list(Path(config.output.url).glob("_melmill/commits/*"))


def test_a_worker_with_other_versions_that_comes_later_makes_no_shard(
    job: Build, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "compare_versions", lambda *_: None)  # it was not there yet
    config = job(cluster__kind="dask", cluster__address=stranger)
    with pytest.raises(ClusterError, match=r"worker tcp://.* has other versions: zarr .* here, 2\.18\.7 there"):
        run(config)
    assert not list(Path(config.output.url).glob("_melmill/commits/*"))


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "matters"),
    [
        ("python", "3.11.7", "3.11.9", False),
        ("python", "3.11.7", "3.12.1", True),
        ("melmill", "0.1.0", "0.1.1", True),
        ("dask", "2026.8.0", "2026.8.1", False),
        ("dask", "2026.8.0", "2026.7.0", True),
        ("zarr", "3.1.6", "3.1.2", False),
        ("zarr", "3.1.6", "3.2.0", True),
        ("onnxruntime", "1.32.0", "1.31.0", True),
        ("numpy", "2.1.0", "2.4.0", False),
    ],
)
def test_what_difference_matters(name: str, ours: str, theirs: str, matters: bool) -> None:
    words = differing({name: ours}, {name: theirs})
    assert words == ([f"{name} {ours} here, {theirs} there"] if matters else [])
    assert bool(differing({name: ours}, {})) == (name != "numpy")


def test_what_is_installed_here_is_no_other_version() -> None:
    assert differing(installed(), dict(installed())) == []
    assert "not installed" not in installed().values()
