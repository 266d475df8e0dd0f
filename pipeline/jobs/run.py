"""A job from beginning to end: resolve it, plan it, run it. What the command line and Python users call."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from pipeline.config import Job, JobConfig
from pipeline.errors import (
    HopelessRunError,
    InterruptedRunError,
    OwnedError,
    StorageError,
    TooManyFailuresError,
    WorkerLostError,
)
from pipeline.events import (
    ContractDoubted,
    Event,
    Listener,
    MetadataListed,
    OtherProcessor,
    PublicationDue,
    RunFinished,
    RunStarted,
    ShardCommitted,
    ShardStarted,
    ShardTakenOver,
)
from pipeline.interrupts import interrupts_after_import
from pipeline.jobs.publish import publish, why_due
from pipeline.jobs.reporting import reporting
from pipeline.output.publication import Totals
from pipeline.output.records import Failure, Source
from pipeline.planning.parts import WHOLE, Part
from pipeline.planning.plan import Plan, PlannedShard, reasons
from pipeline.planning.prepare import Prepared, prepare, replan


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


def plan(config: JobConfig) -> Plan:
    """What `run` would do, and why. Writes nothing.

    Raises:
        ConfigError: if the job, the store or the output cannot be what they should.
        ContractError: if the store's mels do not fit the vocoder.
        StorageError: if the output cannot be read.
    """
    return prepare(config).plan


def run(
    config: JobConfig, listener: Listener = lambda event: None, adopt: bool = False, retry: bool = False
) -> RunReport:
    """Make what is missing, publish the manifest, and say what there is.

    Started from a script, this belongs under `if __name__ == "__main__":`, since local workers are new processes.

    Args:
        config: the job.
        listener: is told what happens, in this process, possibly from another thread.
        adopt: work on an output that was made from a store at another place; for stores that were moved.
        retry: make the shards again in which utterances are quarantined; what fails again is quarantined again,
            whatever `quality.give_up_after` says.

    Raises:
        ConfigError: if the job, the store or the output cannot be what they should.
        ContractError: if the store's mels do not fit the vocoder.
        OwnedError: if another run is working on the output.
        StorageError: if the output cannot be written.
        ClusterError: if the scheduler or its workers cannot be reached.
        TooManyFailuresError: if more utterances than `max_failure_rate` failed; the manifest is published all the same.
        HopelessRunError: if the first utterances all failed in the same way.
        InterruptedRunError: on Ctrl-C or SIGTERM; what was committed is kept.
    """
    begun = time.monotonic()
    with interruptible():
        prepared = prepare(config, adopt)
        totals = if_done(prepared, retry)
        if totals is None:
            with prepared.ledger.storage.lock(owner(prepared.job)):
                prepared = replan(prepared)  # another run may have ended since
                totals = if_done(prepared, retry)
                if totals is None:
                    prepared = with_marks(prepared, retry)
                    run_id = prepared.job.run_id
                    with reporting(prepared.ledger.storage, run_id, listener) as told:
                        made = make(prepared, told, 0 if retry else config.quality.give_up_after)
                        report = RunReport(run_id, made.publish(prepared), made.seconds, time.monotonic() - begun)
                        return judged(report, config, told)
    return judged(RunReport("", totals, 0.0, time.monotonic() - begun), config, listener)


def if_done(prepared: Prepared, retry: bool) -> Totals | None:
    """What is published, if there is nothing to do."""
    if prepared.plan.todo or (retry and any(shard.failed for shard in prepared.plan.done)):
        return None
    publication = prepared.ledger.publication()
    if publication is None or why_due(prepared.ledger, prepared.plan, prepared.job) is not None:
        return None
    return publication.totals


def with_marks(prepared: Prepared, retry: bool) -> Prepared:
    """The job planned again once commits are marked stale whose objects are lost, or to `retry`, who have failures."""
    marks = dict(prepared.lost)
    for shard in prepared.plan.done:
        if retry and shard.failed:
            marks[shard.name] = (
                f"{shard.failed} of {len(shard.members)} utterances were quarantined, and are tried again"
            )
    for name, reason in marks.items():
        prepared.ledger.mark_stale(name, reason)
    return replan(prepared) if marks else prepared


@dataclass(frozen=True)
class Made:
    """What was made of a plan, before it is published.

    Args:
        crashed: utterances of shards that had to be given up.
        seconds: of audio.
        described: what job.json says of the run.
    """

    crashed: tuple[Failure, ...]
    seconds: float
    described: dict[str, Any]

    def publish(self, prepared: Prepared) -> Totals:
        """Publish what is committed. Errors as `publishing.publish`."""
        finished = {**self.described, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
        metas = prepared.metadata.of
        return publish(prepared.ledger, prepared.plan, self.crashed, prepared.job, finished, metas)


def make(prepared: Prepared, listener: Listener, give_up_after: int, part: Part = WHOLE) -> Made:
    """Make the plan's shards: all of them, in the part's order, but those that another part has committed by then.

    Args:
        prepared: the job, planned.
        listener: is told what happens.
        give_up_after: as `quality.give_up_after`.
        part: of the job.
    """
    with interrupts_after_import():  # Dask takes a second: not for a plan, not for --help
        from pipeline.cluster.engine import execute

    job, plan, ledger = prepared.job, prepared.plan, prepared.ledger
    if not plan.todo and (reason := why_due(ledger, plan, job)) is not None:
        listener(PublicationDue(reason))
    described = describe_job(prepared)
    ledger.write_job(described)
    made = 0.0
    earlier = tuple(described["processors"])

    def listen(event: Event) -> None:
        nonlocal made
        if isinstance(event, ShardCommitted):
            made += event.seconds
        listener(event)
        if isinstance(event, ShardStarted) and event.processor not in described["processors"]:
            described["processors"] = sorted([*described["processors"], event.processor])
            with contextlib.suppress(StorageError, OwnedError):  # the run finds out by itself what matters
                ledger.write_job(described)
            if earlier:
                listener(OtherProcessor(event.processor, earlier))

    cluster = job.config.cluster
    workers = 0 if cluster.kind == "synchronous" else cluster.worker_count()
    own = [shard for shard in plan.todo if part.owns(shard)]
    utterances = sum(len(shard.members) for shard in own)
    seconds = sum(shard.seconds for shard in own)
    listener(
        RunStarted(job.run_id, job.config.public().output.url, len(own), utterances, seconds, workers, reasons(own))
    )
    if prepared.unverified is not None:
        listener(ContractDoubted(prepared.unverified))
    if prepared.metadata.path is not None:
        listener(MetadataListed(prepared.metadata.words()))
    # However many of few utterances fail, the manifest may still be good enough.
    if sum(len(shard.members) for shard in plan.todo) <= job.config.quality.max_failure_rate * plan.utterances:
        give_up_after = 0
    tasks = plan.tasks(prepared.catalogue, _left(prepared, part, listener), prepared.metadata.listed)
    try:
        abandoned = execute(tasks, job, listen, give_up_after) if plan.todo else []
    except HopelessRunError:
        for name in {shard.name for shard in plan.todo}.intersection(ledger.commit_names()):
            if not ledger.commit_record(name).rows:  # also of shards that were still in flight when the run was stopped
                ledger.mark_stale(name, "no utterance of it could be made, as of all others then")
        raise
    crashed = tuple(
        Failure(
            each.key,
            Source(job.config.input.public_store, each.where, each.digest),
            WorkerLostError.__name__,
            shard.reason,
        )
        for shard in abandoned
        for each in shard.task.utterances
    )
    return Made(crashed, made, described)


def _left(prepared: Prepared, part: Part, listener: Listener) -> Iterator[PlannedShard]:
    """What a part makes, in its order: what no other has committed by the time that it comes to it."""
    for shard in part.order(prepared.plan.todo):
        if part != WHOLE and prepared.ledger.has_commit(shard.name):
            continue
        if not part.owns(shard):
            listener(ShardTakenOver(shard.number, len(shard.members), shard.seconds))
        yield shard


def describe_job(prepared: Prepared) -> dict[str, Any]:
    """What job.json says of a run: the resolved job, digests, versions."""
    job = prepared.job
    return {
        "run_id": job.run_id,
        "generation": job.generation,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job.config.public().model_dump(mode="json"),
        "mel": job.mel.to_dict(),
        "vocoder": {
            "name": prepared.vocoder.name,
            "digest": job.vocoder_digest,
            "mel": prepared.vocoder.spec.to_dict(),
        },
        "store": prepared.store.describe(),
        "versions": dict(job.versions),
        "processors": (prepared.ledger.job() or {}).get("processors", []),
    }


def judged(report: RunReport, config: JobConfig, listener: Listener) -> RunReport:
    """Tells how the run ended, and judges it."""
    totals = report.totals
    listener(
        RunFinished(
            report.run_id, totals.utterances, totals.failed, totals.seconds, report.made_seconds, report.elapsed
        )
    )
    limit = config.quality.max_failure_rate
    if report.failure_rate > limit:
        raise TooManyFailuresError(
            f"{totals.failed} of {totals.utterances + totals.failed} utterances failed, "
            f"{report.failure_rate:.1%}, more than quality.max_failure_rate, {limit:.1%}. "
            f"{config.output.url}/failures.jsonl says why for each; what could be made is in the manifest. When the "
            f"cause is mended: melmill retry {config.output.url}"
        )
    return report


def owner(job: Job) -> str:
    """Who this is, in words for the lock of the output."""
    return f"run {job.run_id} on {socket.gethostname()}, process {os.getpid()}"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
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
