"""What a report holds, and what is said of one that was written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.report.page_data.page import Level

ROWS = 10_000
CLIPS = 20


@dataclass(frozen=True)
class ReportOptions:
    """What a report holds.

    Args:
        rows: number of rows of the table that are in the page; "all" for files with all rows, too.
        clips: number of utterances in each list of those that deserve a look.
        store: whether the mels that went in are read from the store.
        seed: seed of what is drawn at random.
    """

    rows: int | Literal["all"] = ROWS
    clips: int = CLIPS
    store: bool = True
    seed: int = 0

    @property
    def most_rows(self) -> int:
        """Number of rows in the page."""
        return ROWS if self.rows == "all" else self.rows


USUAL = ReportOptions()


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Args:
        folder: its folder, absolute.
        text: what the page says first: the verdict, or how two outputs differ.
        level: the verdict; None if two outputs were compared.
        utterances: number of utterances that it is about.
        clips: number of utterances with clips.
    """

    folder: Path
    text: str
    level: Level | None
    utterances: int
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}
