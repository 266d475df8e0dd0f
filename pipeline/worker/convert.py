"""convert_shard: the whole of what a worker does. The same in the main process, a local worker and a cluster node."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.encode import Encoder
from pipeline.audio.levels import Levels, examined
from pipeline.audio.master import Master
from pipeline.audio.member_names import escape
from pipeline.config import Job
from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import ContractError, CorruptChunkError, MelmillError, UtteranceError, WorkerLostError
from pipeline.events import UtterancesMade
from pipeline.events.stopwatch import Stopwatch
from pipeline.melspec import MelSpec, convert_mel
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Row, ShardRecord, Source
from pipeline.planning.plan import ShardTask
from pipeline.planning.utterance_metadata import described
from pipeline.redaction import redacted
from pipeline.storage import open_output, translated
from pipeline.stores import MelStore, Utterance, open_store
from pipeline.stores.digests import MelDigest
from pipeline.vocoders import Vocoder, decode_mels, load_vocoder
from pipeline.worker.attempt import Attempt
from pipeline.worker.reframing import Reframing

logger = logging.getLogger(__name__)


def convert_shard(
    task: ShardTask,
    job: Job,
    threads: int = 1,
    report: Callable[[UtterancesMade], None] | None = None,
    watch: Stopwatch | None = None,
) -> ShardRecord:
    """Read, decode, examine, encode and commit one shard.

    An utterance that cannot be made is quarantined in the record, and the others go on. Memory holds one window of one
    utterance, or a batch of windows of several, and the encoder's spool.

    Args:
        task: the shard.
        job: what is to be done.
        threads: for the vocoder.
        report: is told after each utterance how far this shard is.
        watch: takes the time of each stage.

    Returns:
        The commit record, ours or that of an attempt that was faster.

    Raises:
        ContractError: if the vocoder is another one here than where the run was planned.
        StorageError: if the output cannot be written.
    """
    watch = watch or Stopwatch()
    ledger = Ledger(open_output(job.config.output))
    there = ledger.find_commit(task)
    if there is not None:  # the worker that committed it died before it could say so
        return there
    with translated(f"writing shard {task.name} to {ledger.storage.url}"), Attempt(ledger, task, job) as attempt:
        rows, failures = _convert_utterances(task, job, threads, report, attempt, watch)
        with watch.during("commit"):
            return attempt.commit(rows, failures)


def try_shard(
    task: ShardTask, job: Job, threads: int = 1, report: Callable[[UtterancesMade], None] | None = None
) -> None:
    """Do all that `convert_shard` does but the commit: to see whether this worker survives it. Arguments as there."""
    ledger = Ledger(open_output(job.config.output))
    with translated(f"trying shard {task.name}"), Attempt(ledger, task, job) as attempt:
        _convert_utterances(task, job, threads, report, attempt, Stopwatch())


def _convert_utterances(
    task: ShardTask,
    job: Job,
    threads: int,
    report: Callable[[UtterancesMade], None] | None,
    attempt: Attempt,
    watch: Stopwatch,
) -> tuple[list[Row], list[Failure]]:
    with watch.during("read"):
        store = _open_store(job)
    with watch.during("decode"):
        vocoder = _load_vocoder(job, threads)
    rows: list[Row] = []
    failures: list[Failure] = []
    seconds = 0.0
    wanted = (_Mel(each, store, vocoder, job, watch) for each in task.utterances if each.key not in task.condemned)
    decoded = decode_mels(vocoder, wanted, job.config.vocoder.window)
    for utterance in task.utterances:
        try:
            if (why := task.condemned.get(utterance.key)) is not None:
                raise WorkerLostError(why)
            mel, waveform = next(decoded)
            with watch.during("read"):
                meta = described(store.meta(utterance), task.meta.get(utterance.key))
            rows.append(_convert_utterance(mel, waveform, meta, job, attempt))
            seconds += rows[-1].duration
        except UtteranceError as error:
            failures.append(_failure(utterance, job, error))
        except MelmillError:
            raise
        except (ValueError, RuntimeError, MemoryError) as error:  # one bad utterance must not stop the corpus
            logger.error("utterance %s of shard %s: %s", utterance.key, task.name, redacted(traceback.format_exc()))
            failures.append(_failure(utterance, job, error))
        if report is not None:
            report(UtterancesMade(task.number, len(rows), len(failures), seconds, *summary(failures)))
    return rows, failures


def summary(failures: Sequence[Failure]) -> tuple[tuple[str, ...], str]:
    """The kinds of errors, and the first error in words; for events."""
    return tuple(sorted({failure.error for failure in failures})), failures[0].reason if failures else ""


def _load_vocoder(job: Job, threads: int) -> Vocoder:
    config, sharing = job.config.vocoder, job.config.cluster.at_once()
    vocoder = load_vocoder(config.name, job.mel, threads, config.runtime, config.device, config.batch, sharing)
    if vocoder.digest != job.vocoder_digest:
        raise ContractError(
            f"the vocoder {config.name} is {vocoder.digest[:8]} on this worker but {job.vocoder_digest[:8]} where the "
            "run was planned. Install the same melmill and the same checkpoint everywhere"
        )
    return vocoder


class _Mel:
    """An utterance's mel in the vocoder's values, as the store gives it; listens to what is read of it."""

    def __init__(self, utterance: Utterance, store: MelStore, vocoder: Vocoder, job: Job, watch: Stopwatch) -> None:
        self.utterance, self.store, self._spec, self.watch = utterance, store, vocoder.spec, watch
        self.reframing = Reframing.of(job.mel, self._spec, job.config.input.framing)
        self.frames = self.reframing.frames(utterance.frames)
        self.samples = vocoder.samples(self.frames)
        self._source = job.mel if job.config.input.framing == "exact" else _framed_as(job.mel, self._spec)
        self.distance = MelDistance(self._spec) if job.config.quality.mel_distance else None
        self._digest = MelDigest() if store.digest_is_of_content else None

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `decode_mels`."""
        with self.watch.during("read"):
            stored = self.reframing.read(self._stored, self.utterance.frames, start, stop)
            mel = convert_mel(stored, self._source, self._spec)
        if self.distance is not None:
            with self.watch.during("examine"):
                self.distance.push_mel(mel[:, self.distance.mel_frames - start :])
        return mel

    def _stored(self, start: int, stop: int) -> NDArray[np.float32]:
        stored = self.store.read(self.utterance, start, stop)
        if self._digest is not None:
            self._digest.push(stored.T[self._digest.frames - start :])  # windows overlap
        return stored

    def check_digest(self) -> None:
        """Once all was decoded: CorruptChunkError if it is not the mel that was listed."""
        utterance = self.utterance
        if self._digest is not None and self._digest.frames < utterance.frames:
            self._stored(self._digest.frames, utterance.frames)  # what the vocoder is not given
        if self._digest is not None and self._digest.finish().hex() != utterance.digest:
            raise CorruptChunkError(
                f"utterance {utterance.key!r}: the {utterance.frames} frames at {utterance.where} of {self.store.url} "
                f"are not those that were listed: their digest is not {utterance.digest}. The mel or the offsets were "
                "changed; restore the store, pack it again, or run again if it was being written"
            )


def _framed_as(source: MelSpec, target: MelSpec) -> MelSpec:
    """The contract with the other's framing: `Reframing` sees to that."""
    return dataclasses.replace(source, framing=target.framing)


def _convert_utterance(
    mel: _Mel, waveform: Iterable[NDArray[np.float32]], meta: dict[str, Any], job: Job, attempt: Attempt
) -> Row:
    utterance, distance, output, watch = mel.utterance, mel.distance, job.config.output, mel.watch
    levels = Levels()
    master = Master(output, job.mel.sample_rate, attempt.folder)
    with Encoder(output.codec, output.subtype, master.sample_rate, attempt.folder) as encoder:
        own = watch.timed("examine", examined(watch.timed("decode", waveform), distance))
        for piece in watch.timed("encode", master.pieces(mel.reframing.trimmed(own, mel.samples))):
            with watch.during("examine"):
                levels.push(piece)
            with watch.during("encode"):
                encoder.push(piece)
        with watch.during("read"):
            mel.check_digest()
        if not levels.samples:
            raise UtteranceError(f"{utterance.frames} frames are too few: they give no sample")
        with watch.during("examine"):
            far, relative = distance.finish() if distance is not None else (None, None)
        duration = levels.samples / master.sample_rate
        sidecar = {
            "key": utterance.key,
            "sample_rate": master.sample_rate,
            "num_samples": levels.samples,
            "duration": duration,
            "meta": meta,
        }
        with watch.during("encode"):
            encoder.finish()
            place = attempt.sink.add(escape(utterance.key), output.codec, encoder.encoded, json.dumps(sidecar).encode())
        return Row(
            key=utterance.key,
            shard=place.shard,
            member=place.member,
            offset=place.offset,
            bytes=place.bytes,
            sample_rate=master.sample_rate,
            num_samples=levels.samples,
            duration=duration,
            subtype=output.subtype,
            pcm_sha256=encoder.pcm_sha256,
            peak=levels.peak,
            rms_dbfs=levels.rms_dbfs,
            clipped=encoder.clipped,
            mel_distance=far,
            mel_distance_relative=relative,
            source=Source(job.config.input.public_store, utterance.where, utterance.digest),
            meta=meta,
            over_full_scale=levels.over_full_scale,
            gain_db=master.gain_db,
            loudness=master.loudness,
        )


def _failure(utterance: Utterance, job: Job, error: Exception) -> Failure:
    source = Source(job.config.input.public_store, utterance.where, utterance.digest)
    return Failure(utterance.key, source, type(error).__name__, redacted(str(error)))


_local = threading.local()


def _open_store(job: Job) -> MelStore:
    """The run's store, opened once in each thread: it keeps what it decoded last, which the next run must not see."""
    if getattr(_local, "run_id", None) != job.run_id:
        source = job.config.input
        _local.store = open_store(source.store, source.layout, job.mel, source.fingerprint, source.options)
        _local.run_id = job.run_id
    store: MelStore = _local.store
    return store
