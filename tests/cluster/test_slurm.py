"""What SLURM is asked for, and what is said where it, or dask-jobqueue, is not there. A real SLURM: see tests/slurm."""

import asyncio
import sys
from pathlib import Path

import pytest
from distributed import Scheduler
from support.paths import CONFIGS

from pipeline.cluster.connection import connect
from pipeline.cluster.slurm import job_options, lifetime
from pipeline.cluster.slurm_queue import queue_states
from pipeline.config import KubernetesConfig, SlurmConfig, load_job
from pipeline.errors import ClusterError, ConfigError

CONFIG = SlurmConfig(jobs=8, cores=4, memory="8 GB", walltime="1-02:03:04")


def squeue(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only command there is."""
    path = folder / "squeue"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_job_file_for_slurm_is_one() -> None:
    cluster = load_job(CONFIGS / "slurm" / "corpus.yaml").cluster
    assert (cluster.kind, cluster.walltime, cluster.processes, cluster.worker_count()) == ("slurm", 4 * 3600, 4, 32)
    assert (cluster.waits[0], cluster.insecure) == (43200.0, False)


def test_what_slurm_is_asked_for() -> None:
    options = job_options(CONFIG, Path("/shared"))
    assert (options["cores"], options["processes"], options["memory"]) == (4, 4, "8 GB")
    assert options["walltime"] == "26:03:04"
    assert options["log_directory"] == "/shared/logs"
    seconds = ((24 + 2) * 60 + 3) * 60 + 4 - 600
    assert options["worker_extra_args"][:4] == ["--lifetime", f"{seconds}s", "--lifetime-stagger", "300s"]
    assert "127.0.0.1:0" in options["worker_extra_args"]
    assert options["scheduler_options"] == {"dashboard_address": "127.0.0.1:0"}


def test_the_page_of_a_scheduler_that_all_hosts_reach_is_on_the_loopback() -> None:
    async def listening() -> set[str]:
        options = job_options(CONFIG, Path("/shared"))["scheduler_options"]
        async with Scheduler(host="0.0.0.0", port=0, **options) as scheduler:
            return {each.getsockname()[0] for each in scheduler.http_server._sockets.values()}

    assert asyncio.run(listening()) == {"127.0.0.1"}


@pytest.mark.parametrize("walltime", [60, 61, 600, 3600, 7 * 24 * 3600])
def test_workers_leave_before_their_walltime_and_after_half_of_it(walltime: int) -> None:
    seconds, stagger = lifetime(walltime)
    assert walltime / 2 < seconds - stagger < seconds + stagger < walltime - min(walltime / 10, 60)


def test_the_queue_is_read_job_by_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = 'echo "7|PENDING|Resources"; echo "8|RUNNING|None"'
    squeue(tmp_path, f'case "$*" in *--all*) {hidden};; esac', monkeypatch)  # of hidden partitions
    assert queue_states() == {"7": ("PENDING", "Resources"), "8": ("RUNNING", "None")}


def test_without_slurm_or_dask_jobqueue_or_a_controller_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"needs SLURM's commands \(sbatch, squeue, scancel\)"), connect(CONFIG):
        pass
    squeue(tmp_path, "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", monkeypatch)
    with pytest.raises(ClusterError, match=r"squeue fails: .*Unable to contact slurm controller"), connect(CONFIG):
        pass
    squeue(tmp_path, "", monkeypatch)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    monkeypatch.setitem(sys.modules, "dask_jobqueue.slurm", None)
    with pytest.raises(ConfigError, match=r"pip install 'melmill\[slurm\]'"), connect(CONFIG):
        pass


def test_kubernetes_is_refused_without_its_extra_and_for_lack_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = KubernetesConfig(image="melmill:1", workers=2, memory="2 GiB")
    with pytest.raises(ConfigError, match=r"scheduler without TLS.*cluster\.insecure=true.*NetworkPolicy"):
        connect(pods).__enter__()
    monkeypatch.setitem(sys.modules, "dask_kubernetes", None)
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)
    with pytest.raises(ConfigError, match=r"pip install 'melmill\[kubernetes\]'"):
        connect(pods.model_copy(update={"insecure": True})).__enter__()
