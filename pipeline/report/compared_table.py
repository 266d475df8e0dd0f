"""The columns of the table of two outputs' utterances. Each figure has one of A's and one of B's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.output.published_manifest import PlainRow
from pipeline.report.matched_rows import MatchedUtterances
from pipeline.report.metadata_by_field import shortened
from pipeline.report.page_data.rows import ColumnLabel, RowColumns
from pipeline.report.row_table import LONGEST_TEXT, TEXTS, rounded


class ComparedTable:
    """Makes columns of rows of A's manifest. Rows that B has not are left out.

    Args:
        matched: the utterances of both outputs.
        clips: number of a row in A's manifest -> number of its clip.
    """

    shards: tuple[str, ...] = ()

    def __init__(self, matched: MatchedUtterances, clips: Mapping[int, int]) -> None:
        self._figures = matched.figures
        self._values = [values for figure in self._figures for values in matched.values(figure)]
        self._same = matched.same
        self._position = np.full(len(matched.a), -1, np.int64)
        self._position[matched.a_rows] = np.arange(len(matched))
        self._clips = clips

    @property
    def labels(self) -> dict[str, ColumnLabel]:
        """What each column is, in the order in which they are shown."""
        figures = {
            f"{side.lower()}_{figure.field}": dataclasses.replace(figure.column, label=f"{side}: {figure.label}")
            for figure in self._figures
            for side in "AB"
        }
        same = ColumnLabel("Same samples", "number", help="1 if both have the same samples, else 0.")
        return {**TEXTS, **figures, "same": same}

    def columns(self, rows: Sequence[tuple[int, PlainRow]]) -> RowColumns:
        """Rows as columns.

        Args:
            rows: rows of A's manifest, each with its number.
        """
        names = ["row", "clip", *self.labels]
        found = [(number, row, position) for number, row in rows if (position := int(self._position[number])) >= 0]
        table = [self._cells(*each) for each in found]
        return dict(zip(names, map(list, zip(*table, strict=True)) if table else ([] for _ in names), strict=True))

    def _cells(self, number: int, row: PlainRow, position: int) -> list[Any]:
        return [
            number,
            self._clips.get(number, -1),
            *(shortened(row[name], LONGEST_TEXT) for name in TEXTS),
            *(rounded(float(values[position])) for values in self._values),
            int(self._same[position]),
        ]
