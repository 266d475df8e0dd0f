"""Writes manifest.jsonl, failures.jsonl and index.json of the next publication, entry by entry, to a scratch folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.config import StoreInRows
from pipeline.output.layout import FAILURES, INDEX, MANIFEST
from pipeline.output.publication import Sums, Totals
from pipeline.output.published_rows import published
from pipeline.output.records import Failure, Row, ShardRecord, StoredObject
from pipeline.output.shard_index import IndexWriter

_LISTS = (MANIFEST, FAILURES, INDEX)


class ListWriter:
    """Writes the three lists and adds up what is in them. Use as a context; the files are whole when it ends.

    Args:
        folder: scratch folder that gets the three files, under their names in the output.
        name: name of the output, for the index.
        store: what `source.store` of a row says: the store's name, or its whole URL.
    """

    def __init__(self, folder: Path, name: str, store: StoreInRows) -> None:
        self._folder = folder
        self._name = name
        self._store = store
        self._sums = Sums()
        self._failed = 0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self._rows, self._failures, index = (
                opened.enter_context(open(self._folder / name, "w", encoding="utf-8")) for name in _LISTS
            )
            self._index = IndexWriter(index, self._name)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            if kind is None:
                self._index.finish()

    def add_shard(self, record: ShardRecord) -> None:
        """List the objects of the next shard in the index. Its rows and failures are added by themselves."""
        self._index.add(record)

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Write the rows of the next utterances that were made."""
        for row in rows:
            self._write_line(self._rows, row)
            self._sums.add(row)

    def add_failures(self, failures: Iterable[Failure]) -> None:
        """Write the rows of the next utterances that failed."""
        for failure in failures:
            self._write_line(self._failures, failure)
            self._failed += 1

    def totals(self) -> Totals:
        """What the lists hold so far."""
        return self._sums.totals(self._failed)

    def files(self) -> tuple[StoredObject, ...]:
        """The three files with size and digest, after the context has ended."""
        return tuple(StoredObject.of(name, self._folder / name) for name in _LISTS)

    def _write_line(self, file: IO[str], value: Row | Failure) -> None:
        file.write(json.dumps(published(value, self._store)) + "\n")
