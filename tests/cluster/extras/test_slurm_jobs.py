"""The keeper of SLURM's jobs with dask-jobqueue's own cluster, and commands that answer what SLURM's may answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import dask
import pytest
from dask_jobqueue.slurm import SLURMCluster
from distributed import Worker
from sortedcontainers import SortedDict

from pipeline.cluster import slurm
from pipeline.cluster.slurm import Keeper, job_options
from pipeline.config import SlurmConfig
from pipeline.errors import ClusterError

CONFIG = SlurmConfig(jobs=2, memory="1 GB", walltime=3600, interface="lo")
SBATCH = (
    'for i in 1 2 3 4 5 6 7 8 9; do if (set -C; : >"{folder}/job-$i") 2>/dev/null; then echo "{said}"; exit; fi; done'
)
"""The next number that is free."""


class Site:
    """A folder of commands, each a line of shell, and a cluster of dask-jobqueue's that uses them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sends("Submitted batch job $i")
        self.command("scancel", "exit 0")
        self.command("squeue", "exit 0")
        with dask.config.set({"distributed.deploy.lost-worker-timeout": "1000 days"}):
            self.cluster: Any = SLURMCluster(n_workers=0, silence_logs="critical", **job_options(CONFIG, folder))

    def command(self, name: str, line: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.folder / name).chmod(0o755)

    def sends(self, said: str, before: str = "") -> None:
        self.command("sbatch", f"{before}\n{SBATCH.format(folder=self.folder, said=said)}")

    def queued(self) -> int:
        return len(list(self.folder.glob("job-*")))

    def keeper(self) -> Keeper:
        return Keeper(self.cluster, CONFIG.jobs or 1, self.folder / "logs")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "_LOOK_SECONDS", 0.0)
    site = Site(tmp_path)
    yield site
    site.command("sbatch", "exit 1")
    site.cluster.close(10)


def with_workers(site: Site, look: Callable[[], None]) -> None:
    """What is seen while each job has a worker at the scheduler."""

    async def come() -> list[Worker]:
        address = site.cluster.scheduler.address
        options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "local_directory": str(site.folder)}
        return [await Worker(address, name=name, nthreads=1, **options) for name in site.cluster.workers]

    async def go(workers: list[Worker]) -> None:
        await asyncio.gather(*(worker.close() for worker in workers))

    workers = site.cluster.sync(come)
    try:
        look()
    finally:
        site.cluster.sync(go, workers)


def test_jobs_of_a_hidden_partition_are_not_replaced(site: Site) -> None:
    """squeue tells of them if it is asked for all."""
    hidden = 'echo "1|PENDING|Resources"; echo "2|PENDING|Resources"'
    site.command("squeue", f'case "$*" in *--all*) {hidden};; esac')
    keeper = site.keeper()
    keeper.send_off()
    assert keeper.tend() == "of 2 jobs in SLURM, 2 are PENDING (Resources)"
    assert site.queued() == 2


def test_a_job_whose_worker_is_here_is_not_replaced_whatever_squeue_says(site: Site) -> None:
    keeper = site.keeper()
    keeper.send_off()

    def look() -> None:
        for _ in range(3):
            keeper.tend()
        assert site.queued() == 2

    with_workers(site, look)
    keeper.tend()
    assert site.queued() == 4  # without their workers they are gone


def test_an_answer_without_a_number_ends_the_run_and_says_that_jobs_may_be_there(site: Site) -> None:
    site.sends("Welcome to the cluster")
    with pytest.raises(ClusterError, match=r"no job's number in it: Welcome to the cluster\. .*scancel --name=melmill"):
        site.keeper().send_off()


def test_an_sbatch_that_cannot_be_run_refuses(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(site.folder))
    with pytest.raises(ClusterError, match=r"sbatch refuses the workers' jobs: .*No such file.*Nothing was begun"):
        site.keeper().send_off()
    site.sends("Submitted batch job $i")
    keeper = site.keeper()
    keeper.send_off()
    (site.folder / "sbatch").unlink()
    assert "sbatch refuses more jobs" in keeper.tend()


def test_a_slow_sbatch_is_no_refusal_and_its_jobs_are_looked_after(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(slurm, "_SUBMIT_SECONDS", 0.0)
    site.sends("Submitted batch job $i", before=f'while ! [ -e "{site.folder}/go" ]; do sleep 0.1; done')
    site.command("squeue", 'echo "1|PENDING|Priority"; echo "2|PENDING|Priority"')
    keeper = site.keeper()
    keeper.send_off()
    assert "sbatch is still at work" in keeper.tend()
    (site.folder / "go").touch()
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 20.0)
    keeper.tend()
    assert keeper.tend() == "of 2 jobs in SLURM, 2 are PENDING (Priority)"
    assert site.queued() == 2


def test_the_first_jobs_are_given_more_time_the_more_they_are(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(slurm, "_SUBMIT_SECONDS", 10.0)
    site.sends("Submitted batch job $i", before="sleep 1")
    keeper = site.keeper()
    keeper.send_off()
    assert site.queued() == 2
    assert {job.job_id for job in site.cluster.workers.values()} == {"1", "2"}


class Watched(SortedDict):
    """The scheduler's workers. Whoever lists them in another thread than the one that changes them may miss one."""

    threads: ClassVar[set[int]] = set()

    def values(self) -> Any:
        self.threads.add(threading.get_ident())
        return super().values()


def test_the_schedulers_workers_are_listed_in_the_thread_that_changes_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def thread() -> int:
        return threading.get_ident()

    keeper = site.keeper()
    keeper.send_off()
    monkeypatch.setattr(site.cluster.scheduler, "workers", Watched())
    Watched.threads.clear()
    keeper.tend()
    assert Watched.threads == {site.cluster.sync(thread)}
