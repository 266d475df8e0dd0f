"""The manifest of an output, opened once and read as often as needed: rows are checked, and all of one publication."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.output.common_fields import common_fields
from pipeline.output.layout import MANIFEST, audio_object, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.not_measured import with_nulls
from pipeline.output.records import Row

_NOT_A_ROW = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

PlainRow = dict[str, Any]
"""A row as `json.loads` gives it, with None for what was not measured."""


class PublishedManifest:
    """The rows of an output's manifest. Use it as a context, in which the manifest is open.

    A run that publishes meanwhile replaces the manifest, and what is open stays what it was. Where a storage gives
    bytes of the new one, the next pass over all rows notices it.

    Args:
        ledger: ledger of the output.

    Raises:
        ConfigError: if there is no output, or nothing was published there yet.
        StorageError: if it cannot be read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.url = ledger.storage.url
        ledger.existing_job()
        self._file = ledger.open_manifest()
        self._sha256 = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Digest of the manifest, as hexadecimal. It takes a pass over the manifest, unless there was one."""
        if not self._sha256:
            self._file.seek(0)
            self._sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()
        return self._sha256

    def check_published(self) -> None:
        """Raises StorageError if it is not the manifest that a run has published."""
        listings = (self.ledger.publication(), self.ledger.announced())
        known = {each.sha256 for some in listings if some is not None for each in some.files if each.name == MANIFEST}
        if known and self.sha256 not in known:
            raise StorageError(
                f"{self.url}/{MANIFEST} is not as it was published: its sha256 is {self.sha256}. `melmill verify "
                f"{self.url}` says what to do"
            )

    def lines(self) -> Iterator[bytes]:
        """The lines, in order; a pass over the manifest.

        Raises:
            StorageError: if it cannot be read, or is not the one that an earlier pass has read.
        """
        digest = hashlib.sha256()
        self._file.seek(0)
        for line in self._file:
            digest.update(line)
            yield line
        if digest.hexdigest() != (self._sha256 or digest.hexdigest()):
            raise StorageError(
                f"{self.url}/{MANIFEST} was replaced while it was read: a run has published. Do it again"
            )
        self._sha256 = digest.hexdigest()

    def rows(self) -> Iterator[Row]:
        """The rows, in order; a pass over the manifest.

        Raises:
            StorageError: as from `lines`, or if a line is not valid.
        """
        for number, line in enumerate(self.lines()):
            try:
                row = Row.from_dict(json.loads(line))
                _check_is_inside(row.shard, row.member)
            except _NOT_A_ROW as error:
                raise self.bad_row(number, error) from error
            yield row

    def plain_rows(self, wanted: NDArray[np.int64] | None = None) -> Iterator[tuple[int, PlainRow]]:
        """Rows as plain values, each with its number from 0, in order; a pass over the manifest.

        Rows of early versions of melmill get the text, speaker and language that they lack.

        Args:
            wanted: numbers of rows, ascending, `[rows] int64`; None for all.

        Raises:
            StorageError: as from `lines`, or if the line of a row is not valid.
        """
        numbers = iter(wanted.tolist() if wanted is not None else ())
        following = next(numbers, -1)
        for number, line in enumerate(self.lines()):
            if wanted is None or number == following:
                following = next(numbers, -1)
                yield number, self.plain_row(number, line)

    def plain_rows_at(self, start: int, first: int, count: int) -> list[tuple[int, PlainRow]]:
        """Some rows that follow one another, as from `plain_rows`, without a pass over the manifest.

        Args:
            start: offset of the first row's line [bytes].
            first: number of the first row.
            count: number of rows.

        Raises:
            StorageError: if they cannot be read, or a line is not valid.
        """
        self._file.seek(start)
        lines = list(islice(self._file, count))
        return [(number, self.plain_row(number, line)) for number, line in enumerate(lines, first)]

    def bad_row(self, number: int, error: Exception) -> StorageError:
        """The error that a line is not valid.

        Args:
            number: number of the row, from 0.
            error: what is wrong with it.
        """
        return StorageError(
            f"line {number + 1} of {self.url}/{MANIFEST} is not a valid row of a manifest ({error!r}). `melmill verify "
            f"{self.url}` says what to do"
        )

    def plain_row(self, number: int, line: bytes) -> PlainRow:
        """A line that `lines` gave as a row, as from `plain_rows`.

        Args:
            number: number of the row, from 0, for errors.
            line: the line.

        Raises:
            StorageError: if it is not valid.
        """
        try:
            row = with_nulls(json.loads(line))
            _check_is_inside(row["shard"], row["member"])
            return row if "text" in row else {**common_fields(row["meta"]), **row}
        except _NOT_A_ROW as error:
            raise self.bad_row(number, error) from error


def _check_is_inside(shard: str, member: str) -> None:
    """Raises ValueError unless the names in a row lead to where an output has audio, and nowhere else."""
    name = audio_object(shard, member)
    if shard_of(name) is None or not {"", ".", ".."}.isdisjoint((*name.split("/"), *member.split("/"))):
        raise ValueError(f"its audio is said to be at {name!r}, member {member!r}")
