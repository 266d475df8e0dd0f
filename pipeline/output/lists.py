"""Writes manifest.jsonl and failures.jsonl of the next publication, line by line, into a scratch folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.config import StoreInRows
from pipeline.output.layout import FAILURES, MANIFEST
from pipeline.output.publication import Sums, Totals
from pipeline.output.published_rows import published
from pipeline.output.records import Failure, Row, StoredObject


class ListWriter:
    """Writes both lists and adds up what is in them. Use as a context; the files are whole when it ends.

    Args:
        folder: scratch folder that gets the two files, under their names in the output.
        store: what `source.store` of a row says: the store's name, or its whole URL.
    """

    def __init__(self, folder: Path, store: StoreInRows = "name") -> None:
        self._folder = folder
        self._store = store
        self._sums = Sums()
        self._failed = 0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            self._rows, self._failures = (
                opened.enter_context(open(self._folder / name, "w", encoding="utf-8")) for name in (MANIFEST, FAILURES)
            )
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

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
        """Both files with size and digest, after the context has ended."""
        return tuple(StoredObject.of(name, self._folder / name) for name in (MANIFEST, FAILURES))

    def _write_line(self, file: IO[str], value: Row | Failure) -> None:
        file.write(json.dumps(published(value, self._store)) + "\n")
