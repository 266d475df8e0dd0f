"""The steps that `run` and `run_part` share: see whether there is anything to do, make shards, publish."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.cluster.execute import execute
from pipeline.config import Job
from pipeline.dsp.mel_analysis import mel_analysis
from pipeline.errors import (
    ConfigError,
    HopelessRunError,
    InterruptedRunError,
    OwnedError,
    StorageError,
    WorkerLostError,
)
from pipeline.events import (
    ContractDoubted,
    Event,
    Listener,
    MetadataConverted,
    MetadataListed,
    NativeKernelsUnused,
    OtherProcessor,
    PublicationDue,
    RunStarted,
    ShardCommitted,
    ShardStarted,
    ShardTakenOver,
)
from pipeline.jobs.needed_again import damaged_since
from pipeline.jobs.publish import publish, why_due
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Source
from pipeline.output.totals import Totals
from pipeline.planning.parts import WHOLE, Part
from pipeline.planning.plan import PlannedShard, reasons
from pipeline.planning.prepare import Prepared, replan
from pipeline.processes.interrupts import interrupt
from pipeline.vocoders import CompiledVocoder
from pipeline.wording import counted


@dataclass(frozen=True)
class Made:
    """What was made of a plan, before it is published.

    Args:
        crashed: records of the utterances whose shards had to be given up.
        seconds: seconds of audio that were made.
        described: content of job.json without the counts.
        repacked: number of shards whose audio was copied.
    """

    crashed: tuple[Failure, ...]
    seconds: float
    described: dict[str, Any]
    repacked: int = 0

    def publish(self, prepared: Prepared) -> Totals:
        """Publish what is committed. Raises the errors of `jobs.publish.publish`."""
        finished = {**self.described, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
        sidecars, earlier = prepared.sidecars, prepared.scan.commits.shards
        return publish(prepared.ledger, prepared.plan, self.crashed, prepared.job, finished, sidecars, earlier)


def totals_if_done(prepared: Prepared, retry: bool) -> Totals | None:
    """The totals of what is published, if there is nothing to do; else None.

    Args:
        prepared: the job, planned.
        retry: whether shards with quarantined utterances are to be made again.
    """
    if prepared.plan.todo or (retry and any(shard.failed for shard in prepared.plan.done)):
        return None
    publication = prepared.ledger.publication()
    if publication is None or why_due(prepared.ledger, prepared.plan, prepared.job) is not None:
        return None
    return publication.totals


def replan_stale(
    prepared: Prepared, listener: Listener, retry: bool = False, chosen: Callable[[PlannedShard], bool] = WHOLE.owns
) -> Prepared:
    """Mark commits stale whose objects are lost or damaged, then plan again.

    Only the objects of superseded shards that are needed again are read.

    Args:
        prepared: the job, planned.
        listener: callable that is told how much is read.
        retry: whether commits with quarantined utterances are marked, too.
        chosen: whether the objects of a committed shard are read, if it is needed again.

    Raises:
        StorageError: if storage fails.
    """
    marks = {**prepared.lost, **damaged_since(prepared, listener, chosen)}
    for shard in prepared.plan.done:
        if retry and shard.failed:
            marks[shard.name] = (
                f"{shard.failed} of {counted(len(shard.members), 'utterance')} "
                f"{'was' if shard.failed == 1 else 'were'} quarantined, and tried again"
            )
    for name, reason in marks.items():
        prepared.ledger.mark_stale(name, reason)
    return replan(prepared) if marks else prepared


def make_shards(prepared: Prepared, listener: Listener, give_up_after: int, part: Part = WHOLE) -> Made:
    """Make the plan's shards in the part's order, except those that another part has committed by then.

    Args:
        prepared: the job, planned.
        listener: callable that is told what happens.
        give_up_after: number of failures that stop the run; see `quality.give_up_after`.
        part: the part of the job that this is.

    Raises:
        MelmillError: as `execute`.
    """
    job, plan, ledger = prepared.job, prepared.plan, prepared.ledger
    if not plan.todo and (reason := why_due(ledger, plan, job)) is not None:
        listener(PublicationDue(reason))
    watched = _JobListener(prepared, listener)
    watched.write()
    own = [shard for shard in plan.todo if part.owns(shard)]
    listener(_started(job, own))
    if plan.shards_to_decode:
        _prepare_vocoder(prepared, listener)
    if prepared.unverified is not None:
        listener(ContractDoubted(prepared.unverified))
    metadata = prepared.sidecars.metadata
    if metadata.path is not None:
        listener(MetadataListed(metadata.words()))
    for note in metadata.fields.notes:
        listener(MetadataConverted(note))
    # Even if all of these fail, max_failure_rate is not exceeded: then the run does not stop early.
    if sum(len(shard.members) for shard in plan.todo) <= job.config.quality.max_failure_rate * plan.utterances:
        give_up_after = 0
    tasks = plan.tasks(prepared.catalogue, _left(prepared, part, listener), metadata.listed)
    try:
        abandoned = execute(tasks, job, watched, give_up_after) if plan.todo else []
    except HopelessRunError:
        _mark_empty_commits(ledger, {shard.name for shard in plan.todo})
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
    return Made(crashed, watched.made_seconds, watched.described, watched.repacked)


def _prepare_vocoder(prepared: Prepared, listener: Listener) -> None:
    """Say if the vocoder could be faster. If the workers are on this machine, make what all of them load."""
    vocoder = prepared.vocoder
    if (why := vocoder.backend.why_not_native) is not None:
        listener(NativeKernelsUnused(why))
    if prepared.job.config.cluster.kind in ("local", "synchronous"):
        if isinstance(vocoder, CompiledVocoder):
            vocoder.prepare()
        if prepared.job.config.quality.mel_distance:
            mel_analysis(vocoder.spec)


class _JobListener:
    """Passes events on, adds up the audio made, and keeps job.json's list of processors."""

    def __init__(self, prepared: Prepared, listener: Listener) -> None:
        self._ledger = prepared.ledger
        self._listener = listener
        self.described = describe_job(prepared)
        self.made_seconds = 0.0
        self.repacked = 0
        # Kernels, codecs and conversions of mels give the same on every processor. Nets in onnxruntime need not, nor do
        # resampling and loudness.
        output, job = prepared.job.config.output, prepared.job
        mastered = output.loudness is not None or output.sample_rate not in (None, job.mel.sample_rate)
        may_differ = job.runtime == "onnxruntime" or mastered
        self._earlier = tuple(self.described["processors"]) if may_differ else ()

    def __call__(self, event: Event) -> None:
        if isinstance(event, ShardCommitted):
            self.made_seconds += event.decoded_seconds
            self.repacked += event.copied
        self._listener(event)
        if isinstance(event, ShardStarted) and event.processor not in self.described["processors"]:
            # If the cause of an error here matters, the run finds out by itself.
            with contextlib.suppress(ConfigError, StorageError, OwnedError):
                self.write(event.processor)
            if self._earlier:
                self._listener(OtherProcessor(event.processor, self._earlier))

    def write(self, *processors: str) -> None:
        """Write job.json, with these kinds of processor too, and with those that other parts of the job noted."""
        known = {*self.described["processors"], *_processors(self._ledger), *processors}
        self.described["processors"] = sorted(known)
        self._ledger.write_job(self.described)


def _started(job: Job, own: list[PlannedShard]) -> RunStarted:
    cluster = job.config.cluster
    return RunStarted(
        run_id=job.run_id,
        output=job.config.public().output.url,
        shards=len(own),
        utterances=sum(len(shard.members) for shard in own),
        seconds=sum(shard.decoded_seconds for shard in own),
        workers=cluster.worker_count(),
        reasons=reasons(own),
        texts_changed=sum(shard.texts_changed for shard in own),
        repacked=sum(not shard.decoded for shard in own),
    )


def _left(prepared: Prepared, part: Part, listener: Listener) -> Iterator[PlannedShard]:
    """The shards that a part makes, in its order: those that no other part has committed when it comes to them."""
    for shard in part.order(prepared.plan.todo):
        if part != WHOLE and prepared.ledger.has_commit(shard.name):
            continue
        if not part.owns(shard):
            listener(ShardTakenOver(shard.number, len(shard.members), shard.decoded_seconds))
        yield shard


def _mark_empty_commits(ledger: Ledger, names: set[str]) -> None:
    """Have the next run make the shards of a hopeless run again, also those that were still in flight when it ended."""
    for name in names.intersection(ledger.commit_names()):
        if not ledger.commit(name).head.made:
            ledger.mark_stale(name, "none of its utterances could be made, and neither could those of other shards")


def describe_job(prepared: Prepared) -> dict[str, Any]:
    """The content of job.json without the counts: the resolved job, digests, versions."""
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
            "runtime": job.runtime,
        },
        "store": prepared.store.describe(),
        "versions": dict(job.versions),
        "metadata": prepared.sidecars.metadata.describe(),
        "processors": _processors(prepared.ledger),
    }


def _processors(ledger: Ledger) -> list[str]:
    """The kinds of processor that have made shards of the output, as job.json names them."""
    return list((ledger.job() or {}).get("processors", []))


def owner(job: Job) -> str:
    """The name under which this process locks the output: run, host and process."""
    return f"run {job.run_id} on {socket.gethostname()}, process {os.getpid()}"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an InterruptedRunError."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if main else None
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted. Every committed shard is kept; run the same command again to resume"
        ) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
