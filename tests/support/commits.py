"""Commit records of shards that nobody has made, for tests in which the audio is not the subject."""

import dataclasses
import json
from collections.abc import Iterable

from pipeline.config import Job
from pipeline.output.records import Row, ShardRecord, Source, StoredObject, sealed
from pipeline.planning.fingerprint import ingredients_of
from pipeline.planning.memory import MemoryNeed
from pipeline.planning.plan import ShardTask
from pipeline.stores import Utterance


def no_memory(sizes: Iterable[int]) -> MemoryNeed:
    """As if a run took none."""
    return MemoryNeed(0, 0, 0, 0, 0)


def record_of(task: ShardTask, job: Job) -> ShardRecord:
    """As if every utterance of the shard had been made."""
    rows = tuple(_row(each, task, job) for each in task.utterances)
    tar = job.config.output.container == "tar"
    names = [f"data/{task.name}.tar"] if tar else [f"{row.shard}/{row.member}" for row in rows]
    return ShardRecord(
        shard=task.number,
        fingerprint=task.fingerprint,
        revision=task.revision,
        attempt=f"{job.generation:032x}",
        generation=job.generation,
        ingredients=ingredients_of(job),
        objects=tuple(StoredObject(name, 100_000, "ab" * 32) for name in names),
        rows=rows,
        failures=(),
    )


def as_version_1(record: ShardRecord) -> bytes:
    """A commit record as melmill stored it before version 2 of its format."""
    plain = {"version": 1, **dataclasses.asdict(record)}
    del plain["copied_seconds"], plain["making"]
    return json.dumps(sealed(plain)).encode()


def _row(utterance: Utterance, task: ShardTask, job: Job) -> Row:
    output = job.config.output
    samples = utterance.frames * job.mel.hop_length
    return Row(
        key=utterance.key,
        shard=f"data/{task.name}{'.tar' if output.container == 'tar' else ''}",
        member=f"{utterance.index}.flac",
        offset=512,
        bytes=100_000,
        sample_rate=job.mel.sample_rate,
        num_samples=samples,
        duration=samples / job.mel.sample_rate,
        subtype=output.subtype,
        pcm_sha256="cd" * 32,
        peak=0.5123,
        rms_dbfs=-23.45,
        clipped=0,
        mel_distance=0.1234,
        mel_distance_relative=0.0123,
        source=Source(job.config.input.public_store, utterance.where, utterance.digest),
        meta={"speaker": "one"},
    )
