"""Writes the lists of the next publication, and its manifest.parquet, shard by shard, to a scratch folder."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.config import StoreInRows
from pipeline.output.commit_format import Commit
from pipeline.output.layout import FAILURES, INDEX, MANIFEST, PARQUET
from pipeline.output.parquet_manifest import ParquetManifest
from pipeline.output.published_rows import list_line
from pipeline.output.records import Failure, Row, StoredObject
from pipeline.output.shard_index import IndexWriter
from pipeline.output.totals import Sums, Totals

_LISTS = (MANIFEST, FAILURES, INDEX)


class ListWriter:
    """Writes the lists and adds up what is in them. Use as a context; the files are whole when it ends.

    Args:
        folder: scratch folder that gets the files, under their names in the output.
        name: name of the output, for the index.
        store: what `source.store` of a row says: the store's name, or its whole URL.
        columns: makes the manifest as columns, at a path; None if there is to be none.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        store: StoreInRows,
        columns: Callable[[Path], ParquetManifest] | None = None,
    ) -> None:
        self._make_columns = columns
        self._columns: ParquetManifest | None = None
        self._folder = folder
        self._name = name
        self._store = store
        self._sums = Sums()
        self._failed = 0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self._rows, self._failures, index = (
                opened.enter_context(_DigestedFile(self._folder / name)) for name in _LISTS
            )
            if self._make_columns is not None:
                self._columns = opened.enter_context(self._make_columns(self._folder / PARQUET))
            self._index = IndexWriter(index.write, self._name)
            self._files = (self._rows, self._failures, index)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._index.finish()
        finally:
            self._open.__exit__(kind, error, trace)

    def add_shard(self, commit: Commit, rows: Iterable[Row] | None = None) -> None:
        """Write the rows of the next shard, and list its objects in the index. Its failures are added by themselves.

        Args:
            commit: its commit record.
            rows: its rows, if they have other metadata than the record; None to copy the record's lines.
        """
        self._index.add(commit)
        self._sums.add(commit.sums)
        lines = commit.lines(self._store) if rows is None else b"".join(list_line(row, self._store) for row in rows)
        self._rows.write(lines)
        if self._columns is not None:
            self._columns.add(lines)

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Write the rows of the next utterances that failed."""
        for failure in failures:
            self._failures.write(list_line(failure, self._store))
            self._failed += 1

    def totals(self) -> Totals:
        """What the lists hold so far."""
        return self._sums.totals(self._failed)

    def files(self) -> tuple[StoredObject, ...]:
        """The files with size and digest, after the context has ended."""
        columns = () if self._columns is None else (StoredObject.of(PARQUET, self._folder / PARQUET),)
        return (*(file.stored() for file in self._files), *columns)


class _DigestedFile:
    """A file that is written once, with its digest. It is named by the last part of its path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "wb")  # noqa: SIM115
        self._digest = hashlib.sha256()
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._bytes += len(content)

    def stored(self) -> StoredObject:
        return StoredObject(self._path.name, self._bytes, self._digest.hexdigest())
