"""Workers that are SLURM jobs, submitted through dask-jobqueue.

Dask's scheduler runs in this process. A SLURM job is one worker or several. Workers end themselves some time before
SLURM would end them, one after the other. dask-jobqueue submits as many jobs as it is told, but does not watch them.
`Keeper` does: until the work is done, it replaces each job that ended, was cancelled, was killed or lost its node.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Status

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.cluster.security import temporary_security
from pipeline.cluster.settings import OWN_SCHEDULER, OWN_WORKERS, as_variables
from pipeline.cluster.slurm_queue import ANSWER_SECONDS, describe_jobs, queue_states
from pipeline.config import SlurmConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener
from pipeline.processes.interrupts import interrupts_held

FOLDER = "melmill-slurm"
_LOOK_SECONDS = 15.0
"""Time between two looks into the queue: short enough to replace a lost job soon, and no burden for SLURM."""
_SUBMIT_SECONDS = 1.0
"""Extra time for each of the first jobs: all sbatch commands run at once, and SLURM's controller may be slow."""
_CLOSE_SECONDS = 30.0
_FRUITLESS = 10
"""Number of jobs in a row that may end without having had a worker, or three times the number of jobs if that is more.
Then the run gives up: what those jobs lack, all others would lack, too."""


def lifetime(walltime: float) -> tuple[float, float]:
    """Seconds after which a worker ends itself, and how much this time differs between the workers of a run.

    Otherwise SLURM would kill a worker in the middle of a shard, and at once all workers that began together. The rest
    of the walltime is for starting, for handing over, and for the difference between workers.

    >>> lifetime(60), lifetime(4 * 3600)
    ((45.0, 7.5), (13800.0, 300.0))
    """
    reserve = min(walltime / 4, 600.0)
    return walltime - reserve, reserve / 2


def job_options(config: SlurmConfig, folder: Path) -> dict[str, Any]:
    """The arguments for dask-jobqueue's cluster. Pure.

    Args:
        config: the section `cluster` of a job, of kind slurm.
        folder: folder that the nodes share.
    """
    seconds, stagger = lifetime(config.walltime)
    minutes, left = divmod(config.walltime, 60)
    return {
        "cores": config.cores or 1,
        "processes": config.processes,
        "memory": config.memory,
        "walltime": f"{minutes // 60:02d}:{minutes % 60:02d}:{left:02d}",
        "queue": config.partition,
        "account": config.account,
        "interface": config.interface,
        "job_name": "melmill",
        "job_extra_directives": list(config.directives or ()),
        "log_directory": str(folder / "logs"),
        "death_timeout": f"{config.timeout:g}s",
        "worker_extra_args": [
            *("--lifetime", f"{seconds:g}s", "--lifetime-stagger", f"{stagger:g}s"),
            *("--dashboard-address", "127.0.0.1:0"),  # anyone may open the page of a worker
        ],
        "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
        "shared_temp_directory": str(folder),
        "job_script_prologue": [
            f"export {name}={shlex.quote(value)}" for name, value in as_variables(OWN_WORKERS).items()
        ],
    }


@contextlib.contextmanager
def slurm_client(config: SlurmConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of a scheduler in this process, and the watch that keeps its SLURM jobs coming.

    Raises:
        ConfigError: if dask-jobqueue or SLURM's commands are not installed here.
        ClusterError: if sbatch refuses the jobs.
    """
    make_cluster = _cluster_class()
    folder = Path(config.folder or FOLDER).absolute()
    if shlex.quote(str(folder)) != str(folder):
        raise ConfigError(
            f"cluster.folder: {folder} has characters that are special in a shell, and dask-jobqueue cannot quote "
            "them. Choose another folder"
        )
    settings = {
        **OWN_SCHEDULER,
        # Dask would cancel a job whose worker is lost, although SLURM may just be starting it again.
        "distributed.deploy.lost-worker-timeout": "1000 days",
        "distributed.comm.timeouts.connect": f"{config.timeout:g}s",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        security = None if config.insecure else stack.enter_context(temporary_security(folder))
        with interrupts_held() as held:
            cluster = _started(make_cluster, {**job_options(config, folder), "security": security})
        stack.callback(_ended, cluster)
        if held:
            signal.raise_signal(held[0])
        keeper = Keeper(cluster, config.jobs, folder / "logs")
        keeper.send_off()
        client = stack.enter_context(Client(cluster, timeout=config.timeout))
        yield client, Liveness(client, config.waits, keeper.tend, listener)


class Keeper:
    """Keeps a number of jobs in SLURM's queue or running.

    Args:
        cluster: the cluster object of dask-jobqueue.
        jobs: number of jobs.
        logs: folder that holds the workers' output.
    """

    def __init__(self, cluster: Any, jobs: int, logs: Path) -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._logs = logs
        self._looked = time.monotonic()
        self._words = f"{jobs} SLURM jobs were just submitted"
        self._fruitful: set[str] = set()
        self._fruitless = 0

    def send_off(self) -> None:
        """Submit the first jobs. sbatch may refuse some of them, because of a limit of the site.

        Raises:
            ClusterError: if sbatch refuses all of them; the message has its reason.
        """
        try:
            refused = self._correct([], ANSWER_SECONDS + _SUBMIT_SECONDS * self._jobs)
            begun = any(self._look()[0].values())
        except TimeoutError as error:
            self._words = f"sbatch is still at work ({error})"
            return
        if refused is not None and not begun:
            raise ClusterError(f"sbatch refuses the workers' jobs: {refused}. Nothing was begun")

    def tend(self) -> str:
        """Replace jobs that are gone, if the last look was long enough ago. Returns a description of the jobs.

        Raises:
            ClusterError: if too many jobs in a row ended without having had a worker.
        """
        try:
            sent, there = self._look()
        except TimeoutError:
            return self._words
        self._count(there)
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return self._words
        self._looked = time.monotonic()
        try:
            states = queue_states()
        except (OSError, subprocess.SubprocessError) as error:
            self._words = f"squeue does not answer ({error})"
            return self._words
        gone = [name for name, number in sent.items() if number not in states and name not in there]
        self._fruitless += len([name for name in gone if sent[name] is not None and name not in self._fruitful])
        self._fruitful.difference_update(gone)
        if self._fruitless >= max(_FRUITLESS, 3 * self._jobs):
            raise ClusterError(
                f"{self._fruitless} SLURM jobs in a row ended before their worker came to the scheduler. Their output "
                f"is in {self._logs}. What was committed is kept; run again to resume"
            )
        try:
            refused = self._correct(gone, ANSWER_SECONDS)
        except TimeoutError as error:
            self._words = f"sbatch is still at work ({error})"
            return self._words
        self._words = f"sbatch refuses more jobs ({refused})" if refused else describe_jobs(states, sent.values())
        return self._words

    def _look(self) -> tuple[dict[str, str | None], set[str]]:
        """Job name -> SLURM's job number, or None before there is one; and the names of jobs that have a worker now."""

        async def look() -> tuple[dict[str, str | None], set[str]]:  # runs in the thread that changes both
            jobs = {name: job.job_id for name, job in self._cluster.workers.items()}
            workers = {str(worker.name) for worker in self._cluster.scheduler.workers.values()}
            return jobs, {job for job in jobs if any(name == job or name.startswith(f"{job}-") for name in workers)}

        found: tuple[dict[str, str | None], set[str]] = within(ANSWER_SECONDS, lambda: self._cluster.sync(look))
        return found

    def _count(self, there: set[str]) -> None:
        if there - self._fruitful:
            self._fruitful |= there
            self._fruitless = 0

    def _correct(self, gone: Sequence[str], seconds: float) -> str | None:
        """Forget jobs that are gone, and submit as many as are missing.

        Args:
            gone: names of jobs that are gone.
            seconds: longest time to wait for sbatch. What it queues after that is still a job of ours.

        Returns:
            The reason that sbatch gives if it refuses, else None. It is asked again later.

        Raises:
            TimeoutError: if sbatch does not answer in time.
            ClusterError: if its answer does not contain the job's number: what cannot be watched must not multiply.
        """

        async def correct() -> None:
            for name in gone:
                self._cluster.worker_spec.pop(name, None)
                if (job := self._cluster.workers.pop(name, None)) is not None:
                    job.status = Status.closed
            self._cluster.scale(jobs=self._jobs)
            try:
                await self._cluster._correct_state()  # what `scale` begins; there is no public name to await
            finally:  # Dask does not close a cluster whose jobs neither began nor ended
                for job in self._cluster.workers.values():
                    if job.job_id is None:
                        job.status = Status.failed

        try:
            within(seconds, lambda: self._cluster.sync(correct))
        except TimeoutError:
            raise
        except ValueError as error:
            said = str(error).partition("output is:\n")[2].strip() or str(error)
            raise ClusterError(
                f"the answer of sbatch has no job's number in it: {said}. The job may be in the queue (to cancel it: "
                "scancel --name=melmill). Check whether a wrapper of sbatch writes a banner here"
            ) from error
        except (RuntimeError, OSError) as error:
            return str(error).partition("stderr:\n")[2].strip() or str(error)
        return None


def _cluster_class() -> Any:
    try:
        queue_states()
    except FileNotFoundError as error:
        raise ConfigError(
            "kind: slurm needs SLURM's commands (sbatch, squeue, scancel), which are not installed on this machine"
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise ClusterError(f"SLURM's squeue fails: {said}. Check that SLURM's controller runs") from error
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise ConfigError(f"kind: slurm needs dask-jobqueue ({error}). pip install 'melmill[slurm]'") from error
    return SLURMCluster


def _started(make_cluster: Any, options: dict[str, Any]) -> Any:
    try:
        return make_cluster(n_workers=0, silence_logs="critical", **options)
    except (RuntimeError, OSError, ValueError) as error:
        raise ClusterError(
            f"the scheduler cannot be started: {error}. Check that the network interface {options['interface'] or ''} "
            "exists (cluster.interface), and that the folder for logs can be written (cluster.folder)"
        ) from error


def _ended(cluster: Any) -> None:
    """Cancel all jobs that are left."""
    for job in list(cluster._created):  # dask-jobqueue never says so, and Dask closes no cluster with a job that runs
        job.status = Status.closed
    with contextlib.suppress(Exception):
        within(_CLOSE_SECONDS + GRACE_SECONDS, lambda: cluster.close(_CLOSE_SECONDS))
