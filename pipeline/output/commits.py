"""The commit records of one output, the file of their heads, and the marks that say which commits are stale."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.config import StoreInRows
from pipeline.errors import DamagedRecordError, LostRecordError, StorageError
from pipeline.output.commit_format import Commit, encoded
from pipeline.output.commit_heads import CommitHead, HeadsWriter, KnownHeads
from pipeline.output.layout import COMMIT_HEADS, COMMITS, STALE, commit_of, commit_path, marked_commit, stale_path
from pipeline.output.records import Row, ShardId, ShardRecord
from pipeline.storage import Storage, exists


class Commits:
    """Reads and writes the commit records of an output, and its stale marks.

    Args:
        storage: storage of the output.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def commits(self) -> Iterator[ShardRecord]:
        """All commit records in the order of their names, one at a time. Those that are deleted meanwhile are left out.

        Raises:
            StorageError: if one cannot be read.
        """
        found = (self._read_commit(name) for name in self.commit_names())
        return (self._parsed(commit) for commit in found if commit is not None)

    def heads(self, stamps: Mapping[str, str] | None = None, known: KnownHeads | None = None) -> Iterator[CommitHead]:
        """The heads of all commits in the order of their names.

        They come from the file of heads as far as that is up to date, and else from the records. Those that are deleted
        meanwhile are left out.

        Args:
            stamps: what `commit_stamps` gave; None to list the commits now.
            known: what `known_heads` gave, to see afterwards whether it lacked any; None to open it now.

        Raises:
            StorageError: if one cannot be read.
        """
        stamps = self.commit_stamps() if stamps is None else stamps
        known = self.known_heads() if known is None else known
        found = (self.head(name, stamp, known) for name, stamp in stamps.items())
        return (head for head in found if head is not None)

    def head(self, name: str, stamp: str, known: KnownHeads) -> CommitHead | None:
        """The head of a commit; None if its record is not there.

        Args:
            name: name of the commit.
            stamp: stamp of its record.
            known: heads in the file of heads; they are asked for in the order of the names.

        Raises:
            StorageError: if its record is needed and cannot be read.
        """
        if (head := known.find(name, stamp)) is not None:
            return head
        commit = self._read_commit(name)
        return commit.head if commit is not None else None

    def known_heads(self) -> KnownHeads:
        """The heads in the file of heads, to be asked for in the order of the commits' names."""
        return KnownHeads(self.storage)

    def commit_stamps(self) -> dict[str, str]:
        """Names of all commits, each with the stamp of its record; see `Storage.stamps`."""
        stamps = self.storage.stamps(COMMITS)
        return {name: stamp for path, stamp in stamps if (name := commit_of(path)) is not None}

    def replace_heads(self, file: Path) -> None:
        """Replace the file of heads by this one, which lies in a scratch folder."""
        self.storage.replace(COMMIT_HEADS, file)

    def renew_heads(self) -> None:
        """Write the file of heads, of those it has and of records. Use it while the output is locked.

        Raises:
            StorageError: if a record cannot be read, or the file not be written.
        """
        stamps, known = self.commit_stamps(), self.known_heads()
        with self.storage.scratch() as folder:
            with HeadsWriter(folder / "heads") as heads:
                for name, stamp in stamps.items():
                    if (head := self.head(name, stamp, known)) is not None:
                        heads.add(head, stamp)
            self.replace_heads(folder / "heads")

    def commit_names(self) -> list[str]:
        """Names of all commits: `000123-1a2b3c4d`."""
        return self._names(COMMITS, commit_of)

    def _names(self, folder: str, parsed: Callable[[str], str | None]) -> list[str]:
        return [name for path in self.storage.list(folder) if (name := parsed(path)) is not None]

    def commit_record(self, name: str) -> ShardRecord:
        """A commit record that must be there. Raises LostRecordError, DamagedRecordError or StorageError."""
        return self._parsed(self.commit(name))

    def commit(self, name: str) -> Commit:
        """A commit record that must be there, as it is stored. Raises the errors of `commit_record`."""
        if (commit := self._read_commit(name)) is None:
            raise LostRecordError(
                f"the commit record {commit_path(name)} of {self.storage.url} is not there. Run again to have its "
                "shard made again"
            )
        return commit

    def parsed_commit(self, name: str) -> Commit:
        """The same, with all of it parsed. Raises the errors of `commit_record`."""
        commit = self.commit(name)
        self._parsed(commit)
        return commit

    def commit_with_rows(self, name: str, numbers: Sequence[int]) -> tuple[Commit, tuple[Row, ...]]:
        """The same, with some of its rows; the others are not parsed. Raises the errors of `commit_record`.

        Args:
            name: name of the commit.
            numbers: indexes of the rows.
        """
        commit = self.commit(name)
        with self._checked(name):
            return commit, commit.rows_at(numbers)

    def _read_commit(self, name: str) -> Commit | None:
        try:
            with self._checked(name), self.storage.read(commit_path(name)) as file:
                commit = Commit(file.read())
                if commit.head.name != name:
                    raise ValueError(f"it is the record of shard {commit.head.name}")
            return commit
        except FileNotFoundError:
            return None

    def _parsed(self, commit: Commit) -> ShardRecord:
        with self._checked(commit.head.name):
            return commit.record

    @contextlib.contextmanager
    def _checked(self, name: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            path = commit_path(name)
            raise DamagedRecordError(
                f"the commit record {path} of {self.storage.url} cannot be read: {error}. Delete {path}, then run "
                "again to have its shard made again"
            ) from error

    def find_commit(self, shard: ShardId) -> ShardRecord | None:
        """The commit record of a shard, or None if it is not there.

        Raises:
            StorageError: if it cannot be read, or belongs to another shard of the same name.
        """
        commit = self._read_commit(shard.name)
        record = self._parsed(commit) if commit is not None else None
        wanted = (shard.fingerprint, shard.revision, shard.texts)
        if record is not None and (record.fingerprint, record.revision, record.texts) != wanted:
            raise StorageError(
                f"{shard.name} of {self.storage.url} is the name of another shard: fingerprint, revision and texts are "
                f"{(record.fingerprint, record.revision, record.texts)}, not {wanted}. Run again: this shard will get "
                "another name"
            )
        return record

    def has_commit(self, name: str) -> bool:
        """Whether there is a commit record of this name, even if it cannot be read."""
        return exists(self.storage, commit_path(name))

    def put_commit(self, record: ShardRecord, store: StoreInRows = "name") -> ShardRecord:
        """Commit a shard whose objects are durable. Returns the record that counts, which may be an earlier one.

        Args:
            record: the record.
            store: what `source.store` of its rows says: the store's name, or its whole URL.

        Raises:
            StorageError: if it cannot be written, or another shard has the same name.
        """
        if self.storage.put_if_absent(commit_path(record.name), encoded(record, store)):
            return record
        return self.find_commit(record.id) or self.commit_record(record.name)

    def delete_commit(self, name: str) -> None:
        """Undo a commit: its shard no longer exists. Delete its objects only after this."""
        self.storage.delete(commit_path(name))

    def mark_stale(self, name: str, reason: str) -> None:
        """Have the next run make a committed shard again, under another name. The old one stays until gc deletes it.

        Args:
            name: name of the commit.
            reason: why the shard is made again, as text for the plan.
        """
        self.storage.put_if_absent(stale_path(name), json.dumps({"reason": reason}).encode())

    def stale(self) -> dict[str, str]:
        """All commits that are marked stale: name -> reason."""
        marks = {}
        for name in self._names(STALE, marked_commit):
            try:
                with self.storage.read(stale_path(name)) as file:
                    marks[name] = str(json.load(file)["reason"])
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):
                marks[name] = "it was marked stale"
        return marks
