"""A job from beginning to end: resolve it, plan it, run it. What the command line and Python users call."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from pipeline.config import Job, JobConfig
from pipeline.contract import check_contract, source_contract
from pipeline.errors import ConfigError, InterruptedRunError, TooManyFailuresError
from pipeline.events import Event, Listener, RunFinished, RunStarted, ShardCommitted
from pipeline.ledger import JOB, Ledger
from pipeline.melspec import Difference
from pipeline.planner import CommittedShard, Plan, plan_shards
from pipeline.publication import Totals
from pipeline.records import Failure, Source
from pipeline.status import reporting
from pipeline.storage import local_path, open_storage
from pipeline.stores import Catalogue, MelStore, open_store
from pipeline.vocoders import Vocoder, load_vocoder

WORKER_BASE_BYTES = 128 * 2**20
"""Resident memory of a worker that has imported everything and decoded nothing, measured on Linux, rounded up."""

_VERSIONS = ("melmill", "dask", "distributed", "zarr", "numpy", "onnxruntime", "soundfile")


@dataclass(frozen=True)
class RunReport:
    """How a run ended.

    Args:
        run_id: of this run; empty if there was nothing to do.
        totals: what the manifest holds.
        made_seconds: of audio made by this run.
        elapsed: wall-clock seconds of this run.
    """

    run_id: str
    totals: Totals
    made_seconds: float
    elapsed: float

    @property
    def failure_rate(self) -> float:
        """Share of utterances that were quarantined."""
        total = self.totals.utterances + self.totals.failed
        return self.totals.failed / total if total else 0.0


@dataclass(frozen=True)
class Prepared:
    """A job with its store opened, its vocoder loaded and its plan made.

    Args:
        job: with every `auto` resolved.
        store: opened.
        catalogue: of the store.
        vocoder: loaded in this process; workers load their own.
        differences: between the store's contract and the vocoder's, all of them bridged.
        plan: what is to be done.
        ledger: of the output.
    """

    job: Job
    store: MelStore
    catalogue: Catalogue
    vocoder: Vocoder
    differences: tuple[Difference, ...]
    plan: Plan
    ledger: Ledger


def plan(config: JobConfig) -> Plan:
    """What `run` would do, and why. Writes nothing.

    Raises:
        ConfigError: if the job, the store or the output cannot be what they should.
        ContractError: if the store's mels do not fit the vocoder.
        StorageError: if the output cannot be read.
    """
    return prepare(config).plan


def run(config: JobConfig, listener: Listener = lambda event: None, adopt: bool = False) -> RunReport:
    """Make what is missing, publish the manifest, and say what there is.

    Started from a script, this belongs under `if __name__ == "__main__":`, since local workers are new processes.

    Args:
        config: the job.
        listener: is told what happens, in this process, possibly from another thread.
        adopt: work on an output that was made from a store at another place; for stores that were moved.

    Raises:
        ConfigError: if the job, the store or the output cannot be what they should.
        ContractError: if the store's mels do not fit the vocoder.
        OwnedError: if another run is working on the output.
        StorageError: if the output cannot be written.
        ClusterError: if the scheduler or its workers cannot be reached.
        TooManyFailuresError: if more utterances than `max_failure_rate` failed; the manifest is published all the same.
        InterruptedRunError: on Ctrl-C or SIGTERM; what was committed is kept.
    """
    begun = time.monotonic()
    with _interruptible():
        prepared = prepare(config, adopt)
        totals = prepared.ledger.published(prepared.plan, prepared.job) if not prepared.plan.todo else None
        made, run_id = 0.0, ""
        if totals is None:
            with prepared.ledger.storage.lock(_owner(prepared.job)):
                prepared = replan(prepared)  # another run may have ended since
                with reporting(prepared.ledger.storage, prepared.job.run_id, listener) as told:
                    totals, made = _work(prepared, told)
            run_id = prepared.job.run_id
    report = RunReport(run_id, totals, made, time.monotonic() - begun)
    listener(
        RunFinished(
            report.run_id, totals.utterances, totals.failed, totals.seconds, report.made_seconds, report.elapsed
        )
    )
    return _judged(report, config)


def prepare(config: JobConfig, adopt: bool = False) -> Prepared:
    """Open, check and plan. Writes nothing. Errors as `plan`."""
    config = _absolute(config)
    out, store_path = (os.path.realpath(url) for url in (config.output.url, config.input.store.removeprefix("file://")))
    if os.path.join(out, "").startswith(os.path.join(store_path, "")):
        raise ConfigError(f"the output {out} lies in the store {config.input.store}. Choose another folder")
    ledger = Ledger(open_storage(config.output.url))
    described = ledger.job()
    if described is not None and not adopt:
        _check_same_job(described, config)
    stated = config.input.stated_spec()
    store = open_store(config.input.store, config.input.layout, stated)
    source = source_contract(store, stated)
    vocoder = load_vocoder(config.vocoder.name, source, runtime=config.vocoder.runtime)
    differences = check_contract(store, source, vocoder, config.input.convert)
    job = Job(
        config=config,
        source=source,
        vocoder_digest=vocoder.digest,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        generation=1 + (described["generation"] if described else 0),
    )
    catalogue = store.catalogue()
    if not len(catalogue):
        raise ConfigError(f"the store {store.url} holds no utterance ({store.describe()})")
    return Prepared(job, store, catalogue, vocoder, differences, _plan(ledger, store, catalogue, vocoder, job), ledger)


def replan(prepared: Prepared) -> Prepared:
    """The same job, planned again against what is committed now."""
    described = prepared.ledger.job()
    job = replace(prepared.job, generation=1 + (described["generation"] if described else 0))
    plan = _plan(prepared.ledger, prepared.store, prepared.catalogue, prepared.vocoder, job)
    return replace(prepared, job=job, plan=plan)


def _plan(ledger: Ledger, store: MelStore, catalogue: Catalogue, vocoder: Vocoder, job: Job) -> Plan:
    window = (job.config.vocoder.window or vocoder.window) + sum(vocoder.halo)
    threads = job.config.cluster.threads_per_worker
    return plan_shards(
        catalogue,
        job,
        (CommittedShard.of(record) for record in ledger.commits()),
        store.chunk_bytes,
        WORKER_BASE_BYTES + threads * vocoder.memory(window),
    )


def _work(prepared: Prepared, listener: Listener) -> tuple[Totals, float]:
    """Make the plan's shards and publish. Returns what is published, and the seconds of audio made."""
    from pipeline.engine import Abandoned, execute  # Dask takes a second to import: not for a plan, not for --help

    job, plan, ledger = prepared.job, prepared.plan, prepared.ledger
    described = describe_job(prepared)
    ledger.storage.replace(JOB, (json.dumps(described, indent=2) + "\n").encode())
    made = 0.0
    published: list[Totals] = []

    def listen(event: Event) -> None:
        nonlocal made
        if isinstance(event, ShardCommitted):
            made += event.seconds
        listener(event)

    def publish(abandoned: list[Abandoned]) -> None:
        crashed = (
            Failure(
                each.key, Source(job.config.input.public_store, each.where, each.digest), "WorkerDied", shard.reason
            )
            for shard in abandoned
            for each in shard.task.utterances
        )
        finished = {**described, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
        published.append(ledger.publish(plan, crashed, job, finished))

    workers = job.config.cluster.worker_count() if job.config.cluster.kind == "local" else 0
    utterances = sum(len(shard.members) for shard in plan.todo)
    listener(RunStarted(job.run_id, job.config.output.url, len(plan.todo), utterances, plan.seconds, workers))
    if plan.todo:
        execute(plan.tasks(prepared.catalogue), job, publish, listen)
    else:
        publish([])
    return published[0], made


def describe_job(prepared: Prepared) -> dict[str, Any]:
    """What job.json says of a run: the resolved job, digests, versions."""
    job = prepared.job
    return {
        "run_id": job.run_id,
        "generation": job.generation,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": _public(job.config),
        "mel": job.source.to_dict(),
        "vocoder": {
            "name": prepared.vocoder.name,
            "digest": job.vocoder_digest,
            "mel": prepared.vocoder.spec.to_dict(),
        },
        "store": prepared.store.describe(),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def _public(config: JobConfig) -> dict[str, Any]:
    """The job as it may be written down."""
    values = config.model_dump(mode="json")
    values["input"]["store"] = config.input.public_store
    return values


def _judged(report: RunReport, config: JobConfig) -> RunReport:
    limit = config.quality.max_failure_rate
    if report.failure_rate > limit:
        raise TooManyFailuresError(
            f"{report.totals.failed} of {report.totals.utterances + report.totals.failed} utterances failed, "
            f"{report.failure_rate:.1%}, more than quality.max_failure_rate, {limit:.1%}. "
            f"{config.output.url}/failures.jsonl says why for each; what could be made is in the manifest"
        )
    return report


def _absolute(config: JobConfig) -> JobConfig:
    """The job with local paths made absolute, so that it means the same on every worker."""
    values = config.model_dump()
    values["output"]["url"] = str(local_path(config.output.url))
    if "://" not in config.input.store:
        values["input"]["store"] = os.path.abspath(config.input.store)
    if config.vocoder.name.endswith(".onnx"):
        values["vocoder"]["name"] = os.path.abspath(config.vocoder.name)
    return JobConfig.model_validate(values)


def _check_same_job(described: dict[str, Any], config: JobConfig) -> None:
    theirs = described.get("job", {}).get("input", {}).get("store")
    ours = config.input.public_store
    if theirs != ours:
        raise ConfigError(
            f"the output {config.output.url} belongs to another job: it was made from {theirs} (run "
            f"{described.get('run_id')}), this job reads {ours}. Choose another output; or, if the store was moved, "
            "say --adopt"
        )


def _owner(job: Job) -> str:
    return f"run {job.run_id} on {socket.gethostname()}, process {os.getpid()}"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run as InterruptedRunError."""

    def terminated(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminated) if main else None
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted. Every committed shard is kept; run the same command again to resume"
        ) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
