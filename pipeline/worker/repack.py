"""Makes a shard by copying audio of a commit: all of it if only texts have changed, else that of unchanged mels.

So nothing is decoded or encoded twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from pipeline.config import Job
from pipeline.errors import DamagedRecordError, LostRecordError, UtteranceError
from pipeline.events import UtterancesMade
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Row, ShardRecord, Source, StoredObject
from pipeline.planning.fields import unified
from pipeline.planning.fingerprint import fingerprint_of
from pipeline.planning.plan import ShardTask
from pipeline.planning.utterance_metadata import described
from pipeline.storage import Storage
from pipeline.stores import MelStore, Utterance
from pipeline.worker.attempt import Attempt
from pipeline.worker.sidecar import add_to_shard

logger = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 16 << 20
"""Audio of more bytes than this goes through a scratch file."""
_PIECE_BYTES = 1 << 20


Tell = Callable[[UtterancesMade], None]
Decode = Callable[[Sequence[Utterance], Tell | None], tuple[list[Row], list[Failure]]]
"""Makes some utterances from their mels, and adds them to the shard; returns their rows and failures."""


@dataclass(frozen=True)
class Repacked:
    """The utterances of a shard, some or all of them copied.

    Args:
        rows: rows of those that were made.
        failures: failures of the others.
        seconds_beside_decoded: duration of the copied audio [s], if other audio was decoded; else 0.0.
    """

    rows: list[Row]
    failures: list[Failure]
    seconds_beside_decoded: float


def repacked(
    task: ShardTask,
    job: Job,
    ledger: Ledger,
    store: MelStore,
    attempt: Attempt,
    decode: Decode,
    report: Tell | None = None,
) -> Repacked | None:
    """Add the audio of the commit that a task names to its shard, beside the texts of now.

    All objects that hold that audio are copied to scratch and compared with their digests before the first is used.
    Utterances whose mels are not those of the commit are decoded.

    Args:
        task: the shard; it names the commit.
        job: the job that it belongs to.
        ledger: ledger of the output.
        store: the store, opened; it gives the metadata.
        attempt: the attempt at the shard.
        decode: makes utterances that cannot be copied.
        report: callable that is told after each utterance how far the shard is.

    Returns:
        The rows and failures of the shard; None if the commit or an object of it is gone or damaged, or is of a melmill
        that made other samples, so that all audio must be decoded.

    Raises:
        StorageError: if the output cannot be read.
    """
    try:
        old = ledger.commit_record(task.copied_from)
        before = _kept(task, old)
        copies = dict(_copies(ledger.storage, old, before.values(), attempt.folder))
    except (DamagedRecordError, LostRecordError, FileNotFoundError, _UselessError) as error:
        logger.warning("shard %s: its audio is decoded, since it cannot be copied: %s", task.name, error)
        return None
    texts = _texts(task, before.values(), store, job)
    quarantined = {each.key: each for each in old.failures} if old.fingerprint == task.fingerprint else {}
    rows: list[Row] = []
    failures: list[Failure] = []
    decoded, copied = 0.0, 0.0
    whole = len(before) + len(quarantined) == len(task.utterances)
    for known, group in groupby(task.utterances, key=lambda each: each.key in before or each.key in quarantined):
        if not known:
            told = partial(_tell_more, report, len(rows), len(failures), decoded) if report is not None else None
            made, failed = decode(list(group), told)
            rows += made
            failures += failed
            decoded += sum(row.duration for row in made)
            continue
        for utterance in group:
            source = Source(job.config.input.public_store, utterance.where, utterance.digest)
            if (failure := quarantined.get(utterance.key)) is not None:
                failures.append(dataclasses.replace(failure, source=source))
                continue
            row = before[utterance.key]
            with _audio(copies[row.object_name], row, attempt.folder) as encoded:
                current = dataclasses.replace(row, source=source, meta=texts[row.key])
                rows.append(add_to_shard(current, encoded, job, attempt))
            copied += row.duration
            if report is not None:
                seconds = copied if whole else decoded
                report(UtterancesMade(task.number, len(rows), len(failures), seconds, copied=whole))
    return Repacked(rows, failures, 0.0 if whole else copied)


def _tell_more(report: Tell, made: int, failed: int, seconds: float, told: UtterancesMade) -> None:
    """Report what is told of some utterances, with those before them."""
    report(
        dataclasses.replace(told, made=made + told.made, failed=failed + told.failed, seconds=seconds + told.seconds)
    )


def _kept(task: ShardTask, old: ShardRecord) -> dict[str, Row]:
    """Key -> row of each utterance whose audio in a commit is that of now.

    Raises:
        _UselessError: if a melmill made the commit that made other samples of the same mels.
    """
    now = {each.key: each.digest for each in task.utterances}
    if old.fingerprint != task.fingerprint:
        digests = bytes.fromhex("".join(row.source.digest for row in old.rows))
        if fingerprint_of([row.key for row in old.rows], digests, old.ingredients) != old.fingerprint:
            raise _UselessError(f"{old.name} was made in another way")
    return {row.key: row for row in old.rows if now.get(row.key) == row.source.digest}


class _UselessError(Exception):
    """The audio of a commit cannot be copied: an object is not as its record says, or its samples would be others."""


def _texts(task: ShardTask, rows: Iterable[Row], store: MelStore, job: Job) -> Mapping[str, dict[str, Any]]:
    """Key -> metadata of now; that of then, if it cannot be read any more."""
    texts = {row.key: unified(row.meta, job.fields) for row in rows}
    for utterance in task.utterances:
        if utterance.key not in texts:
            continue
        try:
            told = described(store.meta(utterance), task.meta.get(utterance.key))
            texts[utterance.key] = unified(told, job.fields)
        except UtteranceError as error:
            logger.warning("utterance %s keeps its old metadata: %s", utterance.key, error)
    return texts


def _copies(storage: Storage, record: ShardRecord, rows: Iterable[Row], folder: Path) -> Iterator[tuple[str, Path]]:
    """Name of each object that holds the audio of rows -> a copy of it in scratch.

    Raises:
        FileNotFoundError: if it is gone.
        _UselessError: if it is not as the record says.
    """
    known = {each.name: each for each in record.objects}
    for number, name in enumerate(dict.fromkeys(row.object_name for row in rows)):
        path = folder / f"copied-{number}"
        with open(path, "wb") as copy:
            found = _copy(storage, name, copy)
        if (wanted := known.get(name)) is None:
            raise _UselessError(f"a row names {name}, which is not an object of its commit record")
        if found != wanted:
            raise _UselessError(
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
