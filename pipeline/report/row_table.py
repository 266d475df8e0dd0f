"""The columns of the table of an output's utterances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.output.common_fields import COMMON_FIELDS
from pipeline.output.published_manifest import PlainRow
from pipeline.report.figures import FIGURES
from pipeline.report.manifest_scan import ScannedManifest, row_figures
from pipeline.report.metadata_by_field import shortened
from pipeline.report.page_data.rows import ColumnLabel, RowColumns

LONGEST_TEXT = 500
_LONGEST_META = 200
_MOST_META = 20
_DIGITS = 4
TEXTS = {
    "key": ColumnLabel("Utterance", "text"),
    "text": ColumnLabel("Text", "text"),
    "speaker": ColumnLabel("Speaker", "text"),
    "language": ColumnLabel("Language", "text"),
}


class RowTable:
    """Makes columns of rows. Columns that have no value in any row of the manifest are left out.

    Args:
        scan: the manifest.
        clips: number of a row -> number of its clip.
    """

    def __init__(self, scan: ScannedManifest, clips: Mapping[int, int]) -> None:
        there = {"text": scan.texts.any, "speaker": any(scan.speakers.values), "language": any(scan.languages.values)}
        self._texts = [name for name in TEXTS if there.get(name, True)]
        self._figures = [
            (at, figure) for at, figure in enumerate(FIGURES) if not np.isnan(scan.figures[figure.field]).all()
        ]
        names = scan.metadata.names()
        used = {next((alias for alias in aliases if alias in names), "") for aliases in COMMON_FIELDS.values()}
        self._meta = {name: scan.metadata.is_number(name) for name in names if name not in used}
        self._meta = dict(list(self._meta.items())[:_MOST_META])
        self.shards = tuple(scan.shards.values)
        self._numbers = {name: number for number, name in enumerate(self.shards)}
        self._clips = clips

    @property
    def labels(self) -> dict[str, ColumnLabel]:
        """What each column is, in the order in which they are shown."""
        return {
            **{name: TEXTS[name] for name in self._texts},
            **{figure.field: figure.column for _, figure in self._figures},
            **{
                f"meta.{name}": ColumnLabel(name, "number" if is_number else "text", help="A field of the metadata.")
                for name, is_number in self._meta.items()
            },
            "shard": ColumnLabel("Shard", "text"),
        }

    def columns(self, rows: Sequence[tuple[int, PlainRow]]) -> RowColumns:
        """Rows as columns.

        Args:
            rows: the rows, each with its number.
        """
        names = ["row", "clip", *self.labels]
        table = [self._cells(number, row) for number, row in rows]
        return dict(zip(names, map(list, zip(*table, strict=True)) if table else ([] for _ in names), strict=True))

    def _cells(self, number: int, row: PlainRow) -> list[Any]:
        figures, meta = row_figures(row), row["meta"]
        return [
            number,
            self._clips.get(number, -1),
            *(shortened(row[name], LONGEST_TEXT) for name in self._texts),
            *(rounded(figures[at]) for at, _ in self._figures),
            *((_number if is_number else _as_text)(meta.get(name)) for name, is_number in self._meta.items()),
            self._numbers[row["shard"]],
        ]


def rounded(value: float) -> float | None:
    """A figure with four digits after the point; None if it was not measured."""
    return round(value, _DIGITS) if value - value == 0 else None  # NaN and infinity are not


def _number(value: Any) -> float | None:
    return rounded(value) if isinstance(value, int | float) else None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _LONGEST_META)
