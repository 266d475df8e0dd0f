"""convert_shard: all that is done for one shard, from its mels to its commit record."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
import traceback
from collections.abc import Callable, Sequence

from pipeline.config import Job
from pipeline.errors import ContractError, UtteranceError, WorkerLostError
from pipeline.events import UtterancesMade
from pipeline.events.stopwatch import Stopwatch
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Row, ShardRecord
from pipeline.planning.fields import unified
from pipeline.planning.plan import ShardTask
from pipeline.planning.utterance_metadata import described
from pipeline.redaction import redacted
from pipeline.storage import open_output, translated
from pipeline.stores import MelStore, open_store
from pipeline.stores.base import Utterance, Utterances
from pipeline.vocoders import Refined, Vocoder, decode_ahead, decode_together, load_vocoder
from pipeline.worker.attempt import Attempt
from pipeline.worker.repack import Tell, repacked
from pipeline.worker.utterance import ShardMels, convert_utterance, failure_of

logger = logging.getLogger(__name__)


def convert_shard(
    task: ShardTask,
    job: Job,
    threads: int = 1,
    report: Callable[[UtterancesMade], None] | None = None,
    watch: Stopwatch | None = None,
    worker: str = "",
) -> ShardRecord:
    """Read, decode, examine, encode and commit one shard. Audio of mels that are there is copied; see `ShardTask`.

    An utterance that cannot be made is quarantined in the record, and the others are made. Memory holds one window of
    one utterance, or a batch of windows of several utterances, a few short utterances that are made together, and the
    encoder's spool.

    Args:
        task: the shard to make.
        job: the job that it belongs to.
        threads: number of threads for the vocoder.
        report: callable that is told after each utterance how far the shard is.
        watch: stopwatch that takes the time of each stage.
        worker: name of this worker, for the commit record.

    Returns:
        The commit record: ours, or that of an attempt that was faster.

    Raises:
        ContractError: if the vocoder here is not the one that the run was planned with.
        StorageError: if the output cannot be written.
    """
    watch = watch or Stopwatch()
    ledger = Ledger(open_output(job.config.output))
    there = ledger.find_commit(task)
    if there is not None:  # the worker that committed it died before it could say so
        return there
    writing = translated(f"writing shard {task.name} to {ledger.storage.url}")
    with writing, Attempt(ledger, task, job, watch, worker) as attempt:
        copied = None
        if task.copied_from and not task.condemned:
            with watch.during("read"):
                store = _open_store(job)

            def decode(utterances: Sequence[Utterance], tell: Tell | None) -> tuple[list[Row], list[Failure]]:
                some = dataclasses.replace(task, utterances=Utterances.of(utterances))
                return _convert_utterances(some, job, threads, tell, attempt, watch)

            copied = repacked(task, job, ledger, store, attempt, decode, report)
        if copied is not None:
            with watch.during("commit"):
                return attempt.commit(copied.rows, copied.failures, task.copied_from, copied.seconds_beside_decoded)
        rows, failures = _convert_utterances(task, job, threads, report, attempt, watch)
        with watch.during("commit"):
            return attempt.commit(rows, failures)


def try_shard(
    task: ShardTask, job: Job, threads: int = 1, report: Callable[[UtterancesMade], None] | None = None
) -> None:
    """Do all that `convert_shard` does except the commit, to see whether this worker survives it.

    The arguments are those of `convert_shard`.
    """
    ledger = Ledger(open_output(job.config.output))
    watch = Stopwatch()
    with translated(f"trying shard {task.name}"), Attempt(ledger, task, job, watch) as attempt:
        _convert_utterances(task, job, threads, report, attempt, watch)


def _convert_utterances(
    task: ShardTask,
    job: Job,
    threads: int,
    report: Callable[[UtterancesMade], None] | None,
    attempt: Attempt,
    watch: Stopwatch,
) -> tuple[list[Row], list[Failure]]:
    utterances = list(task.utterances)  # each is made once from its columns
    with watch.during("read"):
        store = _open_store(job)
        store.expect(utterances)
    with watch.during("decode"):
        vocoder = _load_vocoder(job, threads)
    rows: list[Row] = []
    failures: list[Failure] = []
    seconds = 0.0
    window = job.config.vocoder.window
    at_once = job.config.vocoder.device == "cpu"  # elsewhere, the vocoder works while its waveforms are encoded
    mels = ShardMels(store, vocoder, job, watch if at_once else Stopwatch())
    wanted = mels.of(each for each in utterances if each.key not in task.condemned)
    # Other clusters make as many shards at once as a worker has threads; onnxruntime has threads of its own.
    alone = job.config.cluster.kind == "synchronous" and vocoder.backend.runtime != "onnxruntime"
    here = functools.partial(decode_together, threads=threads if alone else 1)
    if isinstance(vocoder, Refined):
        vocoder = vocoder.with_own
    with contextlib.closing((here if at_once else decode_ahead)(vocoder, wanted, window)) as decoded:
        for utterance in utterances:
            try:
                if (why := task.condemned.get(utterance.key)) is not None:
                    raise WorkerLostError(why)
                with watch.during("decode"):
                    mel, waveform = next(decoded)
                with watch.during("read"):
                    meta = unified(described(store.meta(utterance), task.meta.get(utterance.key)), job.fields)
                rows.append(convert_utterance(mel, waveform, meta, attempt, watch))
                seconds += rows[-1].duration
            except UtteranceError as error:
                failures.append(failure_of(utterance, job, error))
            except (ValueError, RuntimeError, MemoryError) as error:  # one bad utterance must not stop the corpus
                logger.error("utterance %s of shard %s: %s", utterance.key, task.name, redacted(traceback.format_exc()))
                failures.append(failure_of(utterance, job, error))
            if report is not None:
                report(UtterancesMade(task.number, len(rows), len(failures), seconds, *summary(failures)))
    return rows, failures


def summary(failures: Sequence[Failure]) -> tuple[tuple[str, ...], str]:
    """The kinds of errors, sorted, and the message of the first error; for events."""
    return tuple(sorted({failure.error for failure in failures})), failures[0].reason if failures else ""


def _load_vocoder(job: Job, threads: int) -> Vocoder:
    config, sharing = job.config.vocoder, job.config.cluster.at_once()
    runtime = job.runtime or config.runtime  # the one that the run was planned with, not what `auto` is here
    vocoder = load_vocoder(
        config.name, job.mel, threads, runtime, config.device, config.batch, sharing, config.precision,
        config.refinements, config.origin or "recorded",
    )  # fmt: skip
    if vocoder.digest != job.vocoder_digest:
        raise ContractError(
            f"the vocoder {config.name} is {vocoder.digest[:8]} on this worker but {job.vocoder_digest[:8]} where the "
            "run was planned. Install the same melmill and the same checkpoint everywhere"
        )
    return vocoder


_local = threading.local()


def _open_store(job: Job) -> MelStore:
    """The run's store, opened once in each thread. It caches what it decoded last, which a later run must not see."""
    if getattr(_local, "run_id", None) != job.run_id:
        source = job.config.input
        _local.store = open_store(source.store, source.layout, job.mel, source.fingerprint, source.options)
        _local.run_id = job.run_id
    store: MelStore = _local.store
    return store
