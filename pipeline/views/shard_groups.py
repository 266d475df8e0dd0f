"""Exports in shards: the rows of one shard of the output at a time, by split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

from pipeline.views.rows import ExportRow


class ShardGroups:
    """Gathers the rows of a shard of the output, which follow one another, and hands them over split by split.

    Args:
        write: takes the name of a split, the number of the shard in it, from 0, and its rows.
    """

    def __init__(self, write: Callable[[str, int, Sequence[ExportRow]], None]) -> None:
        self._write = write
        self._shard = ""
        self._rows: dict[str, list[ExportRow]] = {}
        self._numbers: Counter[str] = Counter()

    def add(self, row: ExportRow) -> None:
        """Take the next row."""
        if row.row.shard != self._shard:
            self.finish()
            self._shard = row.row.shard
        self._rows.setdefault(row.split, []).append(row)

    def finish(self) -> None:
        """Hand over the last shard. No row of it follows."""
        for split, rows in self._rows.items():
            self._write(split, self._numbers[split], rows)
            self._numbers[split] += 1
        self._rows.clear()


def made_of(what: str, rows: Sequence[ExportRow], content: bytes) -> str:
    """Digest of all that a file of a shard depends on, for `ExportFiles.take_over`.

    Args:
        what: text that says what the file is, and in which version of the format.
        rows: rows of the shard, of which at least one is there. Its object never changes.
        content: what else the file is made of.
    """
    words = f"{what}\0{rows[0].row.shard}\0".encode()
    return hashlib.blake2b(words + content, digest_size=16).hexdigest()
