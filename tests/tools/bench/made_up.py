"""Stores and outputs of made-up utterances: their mels and audio are not there, all that a driver reads and writes is.

Everything that depends on how melmill keeps commits is in this module.

    python -m tools.bench.made_up JOB.json WORKERS

makes the job with workers that make rows up, and prints as JSON what its driver took, with its scheduler in it.
"""

import dataclasses
import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from support.commits import record_of
from tools.bench.corpora import FEWEST, MOST
from tools.bench.measuring import peak_memory
from tools.bench.speech import SPEC

import pipeline
from pipeline.config import Job, JobConfig
from pipeline.events import Event, ShardCommitted
from pipeline.output.ledger import Ledger
from pipeline.output.records import Row, ShardRecord
from pipeline.planning.fields import unified
from pipeline.planning.plan import ShardTask
from pipeline.planning.prepare import prepare
from pipeline.storage import open_output, open_storage
from pipeline.worker import task as on_worker

_WORDS = 50_000
"""Number of different words."""
_WARM_UP = 10
"""Number of shards whose dispatch is not counted: the first ones fill the workers' queues."""


def store(path: Path, utterances: int, described: bool = False) -> Path:
    """A ragged store of utterances of 0.35 s in the mean, whose mels have no chunks.

    Args:
        path: path of the store.
        utterances: number of utterances.
        described: whether they have metadata.
    """
    group = zarr.open_group(str(path), mode="w")
    group.attrs["melmill"] = {"layout": "ragged", "version": 1, "mel": SPEC.to_dict()}
    rng = np.random.default_rng(utterances)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(FEWEST, MOST + 1, utterances))]).astype(np.int64)
    group.create_array(
        "mel", shape=(int(offsets[-1]), SPEC.n_mels), chunks=(4096, SPEC.n_mels), dtype="f4", fill_value=np.nan
    )
    group.create_array("offsets", data=offsets)
    keys = np.array(
        [f"speaker{number // 1000:05d}/{number:08d}" for number in range(utterances)], np.dtypes.StringDType()
    )
    group.create_array("keys", shape=keys.shape, dtype=str)[...] = keys
    group.create_array("digests", data=rng.integers(0, 256, (utterances, 16), np.uint8))
    if described:
        texts = np.array([json.dumps(_meta(number)) for number in range(utterances)], np.dtypes.StringDType())
        group.create_array("meta", shape=texts.shape, dtype=str)[...] = texts
    return path


def _meta(number: int) -> dict[str, Any]:
    """What an utterance says, by whom and in which language: a thousand utterances have one speaker."""
    rng = random.Random(number)
    words = (int(_WORDS ** rng.random()) for _ in range(rng.randint(4, 16)))  # as often as Zipf's law says
    return {
        "text": " ".join(f"word{word:x}" for word in words),
        "speaker": f"speaker{number // 1000:05d}",
        "language": "de" if number // 1000 % 3 else "en",
        "recording": f"recordings/{number:08d}.wav",
        "take": number % 7,
    }


def job_file(
    path: Path, mels: Path, out: Path, vocoder: str, shard_seconds: float = 600, container: str = "tar"
) -> Path:
    """A job on a made-up store."""
    job = {
        "input": {"store": str(mels), "check_values": False},
        "vocoder": {"name": vocoder},
        "output": {"url": str(out), "shard_seconds": shard_seconds, "container": container},
    }
    path.write_text(json.dumps(job))
    return path


def commit_all(job: Path, described: bool = False) -> None:
    """Commits every shard of a job, as if all of its utterances had been made.

    Args:
        job: the job file.
        described: whether the store has metadata. Then each utterance has figures of its own, too.
    """
    prepared = prepare(_config(job))
    for task in prepared.plan.tasks(prepared.catalogue):
        _commit(prepared.ledger, task, prepared.job, described)


def publish_again(out: Path) -> None:
    """Has the next run publish all commits again."""
    Ledger(open_storage(str(out))).publish_again("bench")


def _config(job: Path, **cluster: Any) -> JobConfig:
    return JobConfig.build({**json.loads(job.read_text()), **({"cluster": cluster} if cluster else {})})


def _commit(ledger: Ledger, task: ShardTask, job: Job, described: bool = False) -> ShardRecord:
    """Commits a shard of which only the records are there: its tar, or each of its files, is empty."""
    record = record_of(task, job)
    if described:
        numbers = [utterance.index for utterance in task.utterances]
        rows = tuple(_described(row, number, job) for row, number in zip(record.rows, numbers, strict=True))
        record = dataclasses.replace(record, rows=rows, metadata=job.metadata)
    with tempfile.NamedTemporaryFile() as empty:
        for each in record.objects:
            if job.config.output.container == "tar":
                ledger.storage.put_if_absent(each.name, Path(empty.name))
            else:  # too many to make each durable
                path = Path(ledger.storage.url, each.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return ledger.put_commit(record)


def _described(row: Row, number: int, job: Job) -> Row:
    """A row with the metadata of its utterance, and with figures that depend on it and on the output."""
    words = f"{job.config.output.url} {number}"
    rng = random.Random(words)
    return dataclasses.replace(
        row,
        pcm_sha256=hashlib.sha256(words.encode()).hexdigest(),
        peak=round(rng.uniform(0.1, 1), 6),
        rms_dbfs=round(rng.gauss(-23, 3), 4),
        clipped=int(rng.random() < 0.001),
        mel_distance=round(rng.uniform(0.05, 0.3), 6),
        mel_distance_relative=round(rng.uniform(0.05, 0.3), 6),
        meta=unified(_meta(number), job.fields),
    )


def _made_up_shard(task: ShardTask, job: Job, *_: Any) -> ShardRecord:
    """In place of `convert_shard`."""
    return _commit(Ledger(open_output(job.config.output)), task, job)


def main() -> None:
    """A run in this process, with workers that make up; see the module."""
    job, workers = Path(sys.argv[1]), int(sys.argv[2])
    committed: list[float] = []

    def listener(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            committed.append(time.process_time())

    pipeline.run(_config(job, kind="local", workers=workers), listener)
    found = {
        "shards": len(committed),
        "cpu_of_shards": committed[-1] - committed[min(_WARM_UP, len(committed) - 1)],
        "counted_shards": max(0, len(committed) - 1 - _WARM_UP),
        "cpu": time.process_time(),
        "memory": peak_memory("self"),
    }
    print(json.dumps(found))


if __name__ == "__mp_main__":  # a worker, which begins with the main module of its driver
    on_worker.convert_shard = _made_up_shard  # type: ignore[assignment]
if __name__ == "__main__":
    main()
