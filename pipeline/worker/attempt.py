"""One attempt at one shard: gather its members, make them durable, commit. Two attempts at one shard never mix."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import tarfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import soundfile

from pipeline.audio.containers import Sink, open_sink
from pipeline.audio.encode import decoded_pcm_sha256
from pipeline.config import Container, Job
from pipeline.errors import StorageError
from pipeline.events import Stages
from pipeline.events.stopwatch import Stopwatch
from pipeline.output.layout import path_apart, shard_path
from pipeline.output.ledger import Ledger
from pipeline.output.records import Failure, Row, ShardMaking, ShardRecord, StoredObject
from pipeline.planning.fingerprint import ingredients_of
from pipeline.planning.plan import ShardTask


class Attempt:
    """One attempt at one shard. Use it as a context: its scratch folder is deleted when the context ends.

    Args:
        ledger: the ledger of the output.
        task: the shard.
        job: the job that the shard belongs to.
        watch: stopwatch that takes the time of each stage.
        worker: name of the worker that this process is.
    """

    def __init__(self, ledger: Ledger, task: ShardTask, job: Job, watch: Stopwatch, worker: str = "") -> None:
        self._ledger = ledger
        self._storage = ledger.storage
        self._task = task
        self._job = job
        self._watch = watch
        self._worker = worker
        self._began = time.time()
        self._id = uuid.uuid4().hex
        self._container: Container = job.config.output.container
        self._scratch = contextlib.ExitStack()
        self.folder: Path
        self.sink: Sink

    def __enter__(self) -> Self:
        self.folder = self._scratch.enter_context(self._storage.scratch())
        self.sink = open_sink(self._container, self.folder, shard_path(self._task.name), self._storage.name_bytes)
        self._scratch.callback(self.sink.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()

    def commit(
        self, rows: list[Row], failures: list[Failure], copied_from: str = "", copied_seconds: float = 0.0
    ) -> ShardRecord:
        """Make the objects durable, then the commit record.

        If another attempt has put its objects first, they are read back. If they hold the same PCM and the same texts
        they are adopted; else our objects get a name of their own. If another attempt has committed first, its record
        is returned and our objects are deleted.

        Args:
            rows: rows of the manifest, one for each utterance that was made.
            failures: records of the utterances that could not be made.
            copied_from: name of the commit whose audio was copied; empty if all audio was decoded.
            copied_seconds: duration of the audio that was copied beside audio that was decoded [s].

        Returns:
            The commit record that counts: ours, or that of the other attempt.

        Raises:
            StorageError: if gc deleted our objects meanwhile, or the output cannot be written.
        """
        objects = []
        for name, path in self.sink.finish():
            made = StoredObject.of(name, path)
            if self._storage.put_if_absent(made.name, path):
                objects.append(made)
                continue
            try:
                adopted = self._adopt(made, path, rows)
            except FileNotFoundError:  # the other attempt has deleted it since
                adopted = None
            if adopted is None:
                adopted = self._put_apart(made, path)
                rows = [_renamed(row, made.name, adopted.name) for row in rows]
            else:
                rows = self._relocated(adopted, rows)
            objects.append(adopted)
        record = ShardRecord(
            shard=self._task.number,
            fingerprint=self._task.fingerprint,
            revision=self._task.revision,
            attempt=self._id,
            generation=self._job.generation,
            ingredients=ingredients_of(self._job),
            objects=tuple(objects),
            rows=tuple(rows),
            failures=tuple(failures),
            metadata=self._job.metadata,
            texts=self._task.texts,
            copied_from=copied_from,
            copied_seconds=copied_seconds,
            making=self._making(),
        )
        winner = self._ledger.put_commit(record, self._job.config.output.store_in_rows)
        if winner.attempt == self._id:
            self._check_still_there(winner)
        for name in {each.name for each in objects} - {each.name for each in winner.objects}:
            self._storage.delete(name)
        return winner

    def _making(self) -> ShardMaking:
        """How the shard was made, in whole milliseconds."""
        stages = Stages(*(round(seconds, 3) for seconds in dataclasses.astuple(self._watch.stages())))
        return ShardMaking(self._job.run_id, self._worker, round(self._began, 3), round(time.time(), 3), stages)

    def _check_still_there(self, record: ShardRecord) -> None:
        """Take the commit back if its objects are gone.

        An attempt may outlive its run, on a worker elsewhere. Until it has committed, gc takes its objects for garbage.
        gc deletes first and then looks for commits; we commit first and then look for objects. So one of us notices.
        """
        for each in record.objects:
            try:
                self._storage.read(each.name).close()
            except FileNotFoundError as error:
                self._ledger.delete_commit(record.name)
                raise StorageError(
                    f"{each.name} of {self._storage.url} was deleted before shard {record.name} was committed, as gc "
                    "does when a run is dead. Run again to resume"
                ) from error

    def _adopt(self, made: StoredObject, path: Path, rows: list[Row]) -> StoredObject | None:
        """The object that is already there under our name, if it holds the same audio and texts as ours at `path`."""
        with self._storage.read(made.name) as file:
            there = StoredObject(made.name, file.seek(0, io.SEEK_END), "")
            file.seek(0)
            there = dataclasses.replace(there, sha256=hashlib.file_digest(file, "sha256").hexdigest())
            if there == made:
                return there
            file.seek(0)
            return there if self._holds_the_same(file, made.name, path, rows) else None

    def _holds_the_same(self, file: IO[bytes], name: str, ours: Path, rows: list[Row]) -> bool:
        """Whether a tar holds our PCM and our texts, or a file our PCM. A time stamp in it may differ."""
        try:
            if self._container == "files":
                row = next((row for row in rows if row.object_name == name), None)
                return row is not None and _same_pcm(file, row)
            with tarfile.open(fileobj=file, mode="r:") as tar, tarfile.open(ours, mode="r:") as our_tar:
                names = our_tar.getnames()
                if tar.getnames() != names:
                    return False
                audio = {row.member: row for row in rows}
                return all(
                    _same_pcm(member, audio[name]) if name in audio else member.read() == our_member.read()
                    for name in names
                    if (member := tar.extractfile(name)) and (our_member := our_tar.extractfile(name))
                )
        except (tarfile.TarError, EOFError):
            return False

    def _relocated(self, adopted: StoredObject, rows: list[Row]) -> list[Row]:
        """The rows with the offsets and sizes of the adopted object."""
        if self._container == "files":
            return [
                dataclasses.replace(row, bytes=adopted.bytes) if row.object_name == adopted.name else row
                for row in rows
            ]
        with self._storage.read(adopted.name) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            places = {info.name: info for info in tar}
        return [
            dataclasses.replace(row, offset=places[row.member].offset_data, bytes=places[row.member].size)
            for row in rows
        ]

    def _put_apart(self, made: StoredObject, path: Path) -> StoredObject:
        """Our object under a name of our own, since what is under the common one is damaged."""
        apart = dataclasses.replace(made, name=path_apart(made.name, self._id))
        if not self._storage.put_if_absent(apart.name, path):
            raise StorageError(f"{apart.name} of {self._storage.url} is already there; run again to resume")
        return apart


def _renamed(row: Row, old: str, new: str) -> Row:
    if row.shard == old:
        return dataclasses.replace(row, shard=new)
    if row.object_name == old:
        return dataclasses.replace(row, member=new.removeprefix(f"{row.shard}/"))
    return row


def _same_pcm(encoded: IO[bytes], row: Row) -> bool:
    try:
        return decoded_pcm_sha256(encoded, row.subtype) == (row.pcm_sha256, row.num_samples)
    except soundfile.LibsndfileError:
        return False
