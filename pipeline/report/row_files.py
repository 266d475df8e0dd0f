"""The rows of a report: those in the page, and files with all of them if they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeline.output.published_manifest import PlainRow
from pipeline.report.choosing import Numbers
from pipeline.report.folder import ReportFolder
from pipeline.report.page_data.rows import ColumnLabel, RowChunk, RowColumns, TableOfRows
from pipeline.report.script_files import plain_json, script_file

ROWS_OF_CHUNK = 10_000
"""Number of rows in a file."""
MOST_BYTES = 3_000_000
"""Size of the rows in the page, with the names of all shards [bytes], as JSON. So a page stays below 5 MB."""
_LEAST_BYTES = 500_000
"""Size that rows may have however many shards there are [bytes]."""

NumberedRow = tuple[int, PlainRow]
ReadRows = Callable[[Numbers | None], Iterator[NumberedRow]]
"""Gives rows of a manifest in its order, each with its number: those with these numbers, or all."""


class Columns(Protocol):
    """Makes columns of rows."""

    shards: tuple[str, ...]
    """Names of the shards, by their numbers in the column `shard`."""

    @property
    def labels(self) -> Mapping[str, ColumnLabel]:
        """What each column is."""

    def columns(self, rows: Sequence[NumberedRow]) -> RowColumns:
        """Some rows as columns; those that do not belong into the table are left out."""


class RowFiles:
    """Reads the rows that are shown.

    Args:
        table: makes columns.
        wanted: numbers of the rows in the page, ascending.
        clips: number of a row -> number of its clip.
        total: number of rows that the table has altogether.
        more: text that says which rows are in the page, and how to get all.
    """

    def __init__(self, table: Columns, wanted: Numbers, clips: Mapping[int, int], total: int, more: str) -> None:
        self._table, self._wanted, self._clips, self._total, self._more = table, wanted, clips, total, more
        self.examples: dict[int, PlainRow] = {}
        """The whole rows that have a clip, by number, once `write` has read them."""

    def write(self, read: ReadRows, folder: ReportFolder, all_rows: bool) -> TableOfRows:
        """Read the rows, and write the files with all of them if they are asked for.

        Args:
            read: gives rows.
            folder: the report.
            all_rows: whether there are files with all rows.

        Raises:
            StorageError: if the manifest is no longer the one that was scanned, or something cannot be written.
        """
        shown = set(self._wanted.tolist())
        kept, waiting, chunks = list[NumberedRow](), list[NumberedRow](), list[RowChunk]()
        numbers = np.union1d(self._wanted, np.array(sorted(self._clips), np.int64))
        for number, row in read(None if all_rows else numbers):
            if number in self._clips:
                self.examples[number] = row
            if number in shown:
                kept.append((number, row))
            if all_rows:
                waiting.append((number, row))
                if len(waiting) == ROWS_OF_CHUNK:
                    chunks.append(self._write_chunk(waiting, len(chunks), folder))
                    waiting = []
        if waiting:
            chunks.append(self._write_chunk(waiting, len(chunks), folder))
        most = max(_LEAST_BYTES, MOST_BYTES - len(plain_json(self._table.shards)))
        columns = _limited(self._table.columns(kept), self._clips, most)
        included = len(columns["row"])
        return TableOfRows(
            self._total,
            included,
            self._more.format(included=included) if included < self._total else "",
            columns,
            self._table.shards,
            self._table.labels,
            tuple(chunks) if all_rows else None,
        )

    def _write_chunk(self, rows: Sequence[NumberedRow], number: int, folder: ReportFolder) -> RowChunk:
        name, columns = f"rows/{number:04d}.js", self._table.columns(rows)
        folder.write(name, script_file(name, as_bytes(columns)))
        return RowChunk(name, len(columns["row"]))


def as_bytes(columns: RowColumns) -> bytes:
    """Columns as a file of rows holds them."""
    return plain_json(columns).encode("utf-8", "surrogatepass")


def subset(columns: RowColumns, chosen: Sequence[int]) -> RowColumns:
    """Some rows of columns.

    Args:
        columns: the columns.
        chosen: positions of the rows in them.
    """
    return {name: [column[at] for at in chosen] for name, column in columns.items()}


def _limited(columns: RowColumns, clips: Collection[int], most: int) -> RowColumns:
    """Columns with so few rows that they have at most this size [bytes]; rows with clips stay."""
    rng = np.random.default_rng(0)
    while (size := len(as_bytes(columns))) > most:
        always = np.isin(np.array(columns["row"]), list(clips))
        others = rng.permutation(np.flatnonzero(~always))
        if not len(others):
            break
        keep = others[: int(len(others) * most / size * 0.95)]
        columns = subset(columns, np.sort(np.concatenate([np.flatnonzero(always), keep])).tolist())
    return columns
