"""Numbers that stand in manifest rows for what was not measured.

Readers of tables infer the type of a column from the first rows. polars refuses a file whose first hundred rows have
null where a later one has a number, and loses a column that those rows lack. Hugging Face's datasets refuse a file
whose first chunk has null alone. So each row has a number. Commit records have null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_DISTANCE = -1.0
"""Stands for a mel distance; no true one is below 0."""
NO_LOUDNESS = -200.0
"""Stands for a loudness [LUFS]; no true one is below -70, and rows say this of the level of silence, too."""

_STAND_INS: Mapping[str, float] = {
    "mel_distance": NO_DISTANCE,
    "mel_distance_relative": NO_DISTANCE,
    "over_full_scale": -1,
    "loudness": NO_LOUDNESS,
}


def without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row as the manifest has them.

    >>> without_nulls({"key": "a", "loudness": None, "mel_distance": 0.25})
    {'key': 'a', 'loudness': -200.0, 'mel_distance': 0.25}
    """
    return {name: _STAND_INS.get(name) if value is None else value for name, value in row.items()}


def with_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row of a manifest, with None for what was not measured. Takes rows of early versions, too.

    >>> with_nulls({"key": "a", "loudness": -200.0, "mel_distance": 0.25})
    {'key': 'a', 'loudness': None, 'mel_distance': 0.25}
    """
    found = dict(row)
    for name, stand_in in _STAND_INS.items():
        if found.get(name) == stand_in:
            found[name] = None
    return found
