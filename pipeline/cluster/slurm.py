"""Workers that are jobs of SLURM's, through dask-jobqueue.

The scheduler lives in this process. A job is a worker, or several, that end themselves a while before SLURM would end
them, one after the other; dask-jobqueue sends off as many as it is told and does not look after them, so that is done
here: whatever ended, was cancelled, killed or lost its node is replaced until the work is done.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Status

from pipeline.cluster.liveness import GRACE_SECONDS, Liveness, within
from pipeline.cluster.security import temporary_security
from pipeline.config import SlurmConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Listener
from pipeline.interrupts import interrupts_held

FOLDER = "melmill-slurm"
_LOOK_SECONDS = 15.0
"""Between two looks into the queue: a lost job is replaced after as much, and SLURM's controller is not bothered."""
_ANSWER_SECONDS = 20.0
_SUBMIT_SECONDS = 1.0
"""More for each of the first jobs: all sbatch commands run at once, and SLURM's controller may be slow."""
_CLOSE_SECONDS = 30.0
_FRUITLESS = 10
"""Jobs in a row that end without a worker, or three times as many as there are to be, before it is taken for hopeless:
what they lack, all others would lack, too."""


def lifetime(walltime: float) -> tuple[float, float]:
    """Seconds after which a worker ends itself, and by how much the workers of a run differ in that.

    SLURM would kill it in the middle of a shard, and all that began together at once. What is left of the walltime is
    for starting, for handing over, and for the difference.

    >>> lifetime(60), lifetime(4 * 3600)
    ((45.0, 7.5), (13800.0, 300.0))
    """
    reserve = min(walltime / 4, 600.0)
    return walltime - reserve, reserve / 2


def job_options(config: SlurmConfig, folder: Path) -> dict[str, Any]:
    """What dask-jobqueue is asked for. Pure.

    Args:
        config: of kind slurm.
        folder: that the nodes share.
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
            *("--dashboard-address", "127.0.0.1:0"),  # the page of a worker asks for no key
        ],
        "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
        "shared_temp_directory": str(folder),
    }


@contextlib.contextmanager
def slurm_client(config: SlurmConfig, listener: Listener) -> Iterator[tuple[Client, Liveness]]:
    """The client of a scheduler in this process, and what keeps its SLURM jobs coming.

    Raises:
        ConfigError: if dask-jobqueue is not installed, or SLURM's commands are not here.
        ClusterError: if sbatch refuses the jobs.
    """
    make_cluster = _cluster_class()
    folder = Path(config.folder or FOLDER).absolute()
    if shlex.quote(str(folder)) != str(folder):
        raise ConfigError(
            f"cluster.folder: {folder} has characters that mean something to a shell, where dask-jobqueue cannot quote "
            "them; name another"
        )
    settings = {
        # Dask would blame a lost worker on all that was queued there; the dispatcher counts for itself whom to blame.
        "distributed.scheduler.allowed-failures": 0,
        # Dask would cancel a job whose worker is lost: SLURM may just be starting it again.
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
        yield client, Liveness(client, (config.waits, "cluster.patience"), keeper.tend, listener)


class Keeper:
    """Keeps so many jobs in SLURM's queue, or running.

    Args:
        cluster: of dask-jobqueue.
        jobs: how many.
        logs: where the workers' output goes.
    """

    def __init__(self, cluster: Any, jobs: int, logs: Path) -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._logs = logs
        self._looked = time.monotonic()
        self._words = f"{jobs} SLURM jobs were just sent off"
        self._fruitful: set[str] = set()
        self._fruitless = 0

    def send_off(self) -> None:
        """The first jobs. A few may be over a limit of the site.

        Raises:
            ClusterError: with sbatch's words, if it refuses all.
        """
        try:
            refused = self._correct([], _ANSWER_SECONDS + _SUBMIT_SECONDS * self._jobs)
            begun = any(self._look()[0].values())
        except TimeoutError as error:
            self._words = f"sbatch is at work yet ({error})"
            return
        if refused is not None and not begun:
            raise ClusterError(f"sbatch refuses the workers' jobs: {refused}. Nothing was begun")

    def tend(self) -> str:
        """Replace what is gone, now and then. Returns how the jobs are, in words.

        Raises:
            ClusterError: if one job after the other ends without ever having a worker.
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
                f"{self._fruitless} SLURM jobs in a row ended before their worker came to the scheduler. What the last "
                f"ones say is in {self._logs}. What was committed is kept; run again to resume"
            )
        try:
            refused = self._correct(gone, _ANSWER_SECONDS)
        except TimeoutError as error:
            self._words = f"sbatch is at work yet ({error})"
            return self._words
        self._words = f"sbatch refuses more jobs ({refused})" if refused else told(states, sent.values())
        return self._words

    def _look(self) -> tuple[dict[str, str | None], set[str]]:
        """Number of each job, None if it has none, and the names of jobs that have a worker at the scheduler now."""

        async def look() -> tuple[dict[str, str | None], set[str]]:  # in the thread that changes both
            jobs = {name: job.job_id for name, job in self._cluster.workers.items()}
            workers = {str(worker.name) for worker in self._cluster.scheduler.workers.values()}
            return jobs, {job for job in jobs if any(name == job or name.startswith(f"{job}-") for name in workers)}

        found: tuple[dict[str, str | None], set[str]] = within(_ANSWER_SECONDS, lambda: self._cluster.sync(look))
        return found

    def _count(self, there: set[str]) -> None:
        if there - self._fruitful:
            self._fruitful |= there
            self._fruitless = 0

    def _correct(self, gone: Sequence[str], seconds: float) -> str | None:
        """Forget those jobs, and send off what is lacking. What sbatch says if it refuses; it is asked again later.

        Raises:
            TimeoutError: if it does not answer within so many seconds; whatever it queues meanwhile is a job of ours.
            ClusterError: if its answer does not tell the job's number: what cannot be looked after is not to multiply.
        """

        async def correct() -> None:
            for name in gone:
                self._cluster.worker_spec.pop(name, None)
                if (job := self._cluster.workers.pop(name, None)) is not None:
                    job.status = Status.closed
            self._cluster.scale(jobs=self._jobs)
            try:
                await self._cluster._correct_state()  # what `scale` begins; it has no public name to wait for
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
                f"what sbatch says has no job's number in it: {said}. The job may be in the queue (scancel "
                "--name=melmill). Does a wrapper of sbatch write a banner here?"
            ) from error
        except (RuntimeError, OSError) as error:
            return str(error).partition("stderr:\n")[2].strip() or str(error)
        return None


def queue_states() -> dict[str, tuple[str, str]]:
    """Number of a job of ours that is in SLURM's queue or running -> its state, and why it waits.

    Those of hidden partitions, too: without --all they would look gone, and be replaced again and again.
    """
    answer = subprocess.run(
        ["squeue", "--all", "--noheader", f"--user={os.getuid()}", "--format=%A|%T|%r"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=_ANSWER_SECONDS,
    )
    lines = [line.split("|") for line in answer.stdout.splitlines()]
    return {number: (state, reason) for number, state, reason in lines}


def told(states: dict[str, tuple[str, str]], numbers: Any) -> str:
    """How jobs are, in words.

    >>> told({"7": ("PENDING", "Resources"), "8": ("PENDING", "Resources"), "9": ("RUNNING", "None")}, ["7", "8", "6"])
    'of 3 jobs in SLURM, 2 are PENDING (Resources), 1 is gone'
    >>> told({}, [])
    'no job is in SLURM yet'
    """
    numbers = list(numbers)
    if not numbers:
        return "no job is in SLURM yet"
    words = Counter(
        "gone" if number not in states else states[number][0] + _because(states[number][1]) for number in numbers
    )
    return f"of {len(numbers)} jobs in SLURM, " + ", ".join(
        f"{count} {'is' if count == 1 else 'are'} {state}" for state, count in words.items()
    )


def _because(reason: str) -> str:
    return "" if reason == "None" else f" ({reason})"


def _cluster_class() -> Any:
    try:
        queue_states()
    except FileNotFoundError as error:
        raise ConfigError(
            "kind: slurm needs SLURM's commands (sbatch, squeue, scancel), and they are not on this machine"
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise ClusterError(f"SLURM's squeue fails: {said}. Is its controller running?") from error
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
            f"the scheduler cannot be started: {error}. Is there an interface {options['interface'] or ''} "
            "(cluster.interface), and may the logs' folder be written (cluster.folder)?"
        ) from error


def _ended(cluster: Any) -> None:
    """Cancels all jobs that are left."""
    with contextlib.suppress(Exception):
        within(_CLOSE_SECONDS + GRACE_SECONDS, lambda: cluster.close(_CLOSE_SECONDS))
