"""Makes a shard whose texts have changed by copying the audio of a commit. Nothing is decoded or encoded."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from pipeline.config import Job
from pipeline.errors import DamagedRecordError, LostRecordError, UtteranceError
from pipeline.events import UtterancesMade
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Row, ShardRecord, Source, StoredObject
from pipeline.planning.fields import unified
from pipeline.planning.plan import ShardTask
from pipeline.planning.utterance_metadata import described
from pipeline.storage import Storage
from pipeline.stores import MelStore
from pipeline.worker.attempt import Attempt
from pipeline.worker.sidecar import add_to_shard

logger = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 16 << 20
"""Audio of more bytes than this goes through a scratch file."""
_PIECE_BYTES = 1 << 20


def repacked(
    task: ShardTask,
    job: Job,
    ledger: Ledger,
    store: MelStore,
    attempt: Attempt,
    report: Callable[[UtterancesMade], None] | None = None,
) -> tuple[list[Row], list[Failure]] | None:
    """Add the audio of the commit that a task names to its shard, beside the texts of now.

    All objects that hold audio are copied to scratch and compared with their digests before the first is used.

    Args:
        task: the shard; it names the commit.
        job: the job that it belongs to.
        ledger: ledger of the output.
        store: the store, opened; it gives the metadata.
        attempt: the attempt at the shard.
        report: callable that is told after each utterance how far the shard is.

    Returns:
        The rows and failures of the shard; None if the commit or an object of it is gone or damaged, so that the audio
        must be decoded.

    Raises:
        StorageError: if the output cannot be read.
    """
    try:
        old = ledger.commit_record(task.copied_from)
        copies = dict(_copies(ledger.storage, old, attempt.folder))
    except (DamagedRecordError, LostRecordError, FileNotFoundError, _DamagedAudioError) as error:
        logger.warning("shard %s: its audio is decoded, since it cannot be copied: %s", task.name, error)
        return None
    rows, failures, seconds = [], [], 0.0
    texts = _texts(task, old, store, job)
    before = {row.key: row for row in old.rows}
    quarantined = {failure.key: failure for failure in old.failures}
    for utterance in task.utterances:
        source = Source(job.config.input.public_store, utterance.where, utterance.digest)
        if (failure := quarantined.get(utterance.key)) is not None:
            failures.append(dataclasses.replace(failure, source=source))
            continue
        row = before[utterance.key]
        with _audio(copies[row.object_name], row, attempt.folder) as encoded:
            told = dataclasses.replace(row, source=source, meta=texts[row.key])
            rows.append(add_to_shard(told, encoded, job, attempt))
        seconds += row.duration
        if report is not None:
            report(UtterancesMade(task.number, len(rows), len(failures), seconds, copied=True))
    return rows, failures


class _DamagedAudioError(Exception):
    """An object is not as its commit record says."""


def _texts(task: ShardTask, old: ShardRecord, store: MelStore, job: Job) -> Mapping[str, dict[str, Any]]:
    """Key -> metadata of now; that of then, if it cannot be read any more."""
    texts = {row.key: unified(row.meta, job.fields) for row in old.rows}
    for utterance in task.utterances:
        try:
            told = described(store.meta(utterance), task.meta.get(utterance.key))
            texts[utterance.key] = unified(told, job.fields)
        except UtteranceError as error:
            logger.warning("utterance %s keeps its old metadata: %s", utterance.key, error)
    return texts


def _copies(storage: Storage, record: ShardRecord, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name of each object that holds audio -> a copy of it in scratch.

    Raises:
        FileNotFoundError: if it is gone.
        _DamagedAudioError: if it is not as the record says.
    """
    known = {each.name: each for each in record.objects}
    for number, name in enumerate(dict.fromkeys(row.object_name for row in record.rows)):
        path = folder / f"copied-{number}"
        with open(path, "wb") as copy:
            found = _copy(storage, name, copy)
        if (wanted := known.get(name)) is None:
            raise _DamagedAudioError(f"a row names {name}, which is not an object of its commit record")
        if found != wanted:
            raise _DamagedAudioError(
                f"{name} holds {found.bytes} bytes with sha256 {found.sha256}, its commit record says {wanted.bytes} "
                f"bytes with {wanted.sha256}"
            )
        yield name, path


def _copy(storage: Storage, name: str, copy: IO[bytes]) -> StoredObject:
    digest, size = hashlib.sha256(), 0
    with storage.read(name) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            size += copy.write(piece)
    return StoredObject(name, size, digest.hexdigest())


def _audio(path: Path, row: Row, folder: Path) -> IO[bytes]:
    """The encoded audio of a row, out of the copy of its object."""
    encoded: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115
    with open(path, "rb") as file:
        file.seek(row.offset)
        left = row.bytes
        while piece := file.read(min(left, _PIECE_BYTES)):
            encoded.write(piece)
            left -= len(piece)
    encoded.seek(0)
    return encoded
