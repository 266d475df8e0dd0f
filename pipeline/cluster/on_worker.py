"""What runs on a Dask worker, and how it tells the driver how far it is and how it ended.

A task is bytes to Dask, which would otherwise look into everything that is in it. What a worker says goes by a topic of
Dask's, in the same stream as Dask's own words: so the driver hears how a task ended no later than Dask does, and the
result is on its way to nobody.
"""

from __future__ import annotations

import dataclasses
import pickle
import time
from dataclasses import dataclass
from typing import Any

import distributed

from pipeline.cluster.executor import Ended
from pipeline.cluster.job_on_workers import job_of
from pipeline.cluster.worker_versions import refuse_other_versions
from pipeline.config import Job
from pipeline.events import ShardCommitted, ShardStarted, Stages, UtterancesMade
from pipeline.planning.plan import ShardTask
from pipeline.planning.versions import differing, installed
from pipeline.worker.task import Tell, confined, make_shard, rehearse_shard

Said = ShardStarted | UtterancesMade | Ended


@dataclass(frozen=True)
class Trial:
    """What a node of the graph is given.

    Args:
        number: number of the trial.
        task: the shard, or a group of it.
        gap: shortest time between two words about how far it is [s].
    """

    number: int
    task: ShardTask
    gap: float

    def sealed(self) -> bytes:
        """This trial as bytes, which Dask passes on as they are."""
        return pickle.dumps(self, protocol=5)

    @staticmethod
    def opened(sealed: bytes) -> Trial:
        """The trial that `sealed` gave."""
        trial = pickle.loads(sealed)  # noqa: S301  (from our driver, as the code of the task itself)
        assert isinstance(trial, Trial)
        return trial


def make_on_worker(sealed: bytes, run_id: str) -> None:
    """Make a shard with this worker's threads; see `make_shard`. Its errors are without secrets."""
    trial = Trial.opened(sealed)

    def make() -> None:
        worker, job = _at_work(run_id)
        made = make_shard(trial.task, job, worker.state.nthreads, worker.address, _teller(worker, trial, run_id))
        _say(worker, run_id, {"trial": trial.number, "committed": dataclasses.asdict(made)})

    confined(make)


def rehearse_on_worker(sealed: bytes, run_id: str) -> None:
    """Rehearse a shard with this worker's threads; see `rehearse_shard`. Its errors are without secrets."""
    trial = Trial.opened(sealed)

    def rehearse() -> None:
        worker, job = _at_work(run_id)
        rehearse_shard(trial.task, job, worker.state.nthreads, worker.address, _teller(worker, trial, run_id))
        _say(worker, run_id, {"trial": trial.number, "survived": True})

    confined(rehearse)


def topic(run_id: str) -> str:
    """Name of the Dask topic under which a run's workers say how far they are."""
    return f"melmill-{run_id}"


def said(message: dict[str, Any]) -> tuple[int, Said]:
    """The number of the trial, and what its worker said of it, from the message of the worker."""
    trial = int(message["trial"])
    if "started" in message:
        return trial, ShardStarted(**message["started"])
    if "progress" in message:
        return trial, UtterancesMade(**_with_tuples(message["progress"]))
    if "committed" in message:
        values = _with_tuples(message["committed"])
        return trial, Ended(trial, ShardCommitted(**{**values, "stages": Stages(**values["stages"])}))
    return trial, Ended(trial)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "causes": tuple(values["causes"])}


def _at_work(run_id: str) -> tuple[Any, Job]:
    """This worker, and the job with its secrets.

    Raises:
        ClusterError: if another version of something that matters is installed here.
    """
    worker = distributed.get_worker()
    job = job_of(run_id, worker)
    refuse_other_versions(worker.address, differing(job.versions, installed()))
    return worker, job


def _teller(worker: Any, trial: Trial, run_id: str) -> Tell:
    told = 0.0

    def tell(event: ShardStarted | UtterancesMade) -> None:
        nonlocal told
        if isinstance(event, ShardStarted):
            told = time.monotonic()
            _say(worker, run_id, {"trial": trial.number, "started": dataclasses.asdict(event)})
        elif time.monotonic() - told >= trial.gap:
            told = time.monotonic()
            _say(worker, run_id, {"trial": trial.number, "progress": dataclasses.asdict(event)})

    return tell


def _say(worker: Any, run_id: str, message: dict[str, Any]) -> None:
    worker.log_event(topic(run_id), message)
