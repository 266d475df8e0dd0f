"""Hours by the values of a field."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.output.common_fields import COMMON_FIELDS
from pipeline.report.coded_column import MISSING, OTHER, CodedColumn
from pipeline.report.figures import Values
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.metadata_by_field import shortened
from pipeline.report.page_data.figures import FieldShares, RestOfValues, ValueShare

_SHOWN = 50
_FEW = 50
"""Largest number of values of a field of the metadata that is shown by itself."""
_MOST_FIELDS = 8


def all_shares(scan: ScannedManifest) -> Iterator[FieldShares]:
    """Hours by speaker and by language, if rows name them, and by fields of the metadata with few values."""
    for field, column in (("speaker", scan.speakers), ("language", scan.languages)):
        if any(column.values):
            yield shares_of(field, field.capitalize(), column, scan)
    common = {alias for aliases in COMMON_FIELDS.values() for alias in aliases}
    few = [
        (name, column)
        for name, column in scan.metadata.categories()
        if name not in common and 2 <= len(column.values) <= min(_FEW, len(scan) // 4)
    ]
    for name, column in few[:_MOST_FIELDS]:
        yield shares_of(f"meta.{name}", name, column, scan)


def shares_of(field: str, label: str, column: CodedColumn, scan: ScannedManifest) -> FieldShares:
    """Hours by the values of a column.

    Args:
        field: name of the column in the table.
        label: its name for people.
        column: the column, of all rows.
        scan: the manifest.
    """
    values = [*column.values, ""] if MISSING in column.codes() else column.values
    codes = np.where(column.codes() == MISSING, len(values) - 1, column.codes())
    known = codes != OTHER
    utterances = np.bincount(codes[known], minlength=len(values))
    seconds = np.bincount(codes[known], scan.figures["duration"][known], len(values))
    distance = _means(codes, scan.figures["mel_distance"], len(values))
    level = _means(codes, scan.figures["rms_dbfs"], len(values))
    longest = np.argsort(-seconds, kind="stable")
    listed = tuple(
        ValueShare(
            shortened(values[code]),
            int(utterances[code]),
            float(seconds[code]),
            None if np.isnan(distance[code]) else float(distance[code]),
            float(level[code]),
        )
        for code in longest[:_SHOWN].tolist()
    )
    rest = None
    if len(values) > _SHOWN or not known.all():
        others = longest[_SHOWN:]
        rest = RestOfValues(
            len(others) if column.all_kept else None,
            int(utterances[others].sum()) + int((~known).sum()),
            float(seconds[others].sum() + scan.figures["duration"][~known].sum()),
        )
    total = sum(value != "" for value in column.values) if column.all_kept else None
    return FieldShares(field, label, total, listed, rest)


def _means(codes: NDArray[np.int32], values: Values, count: int) -> Values:
    """The mean of a figure for each code, `[count] float64`; NaN where it was not measured."""
    there = (codes >= 0) & ~np.isnan(values)
    measured = np.bincount(codes[there], minlength=count)
    with np.errstate(invalid="ignore"):
        means: Values = np.bincount(codes[there], values[there], count) / measured
    return means
