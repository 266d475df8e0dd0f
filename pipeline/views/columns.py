"""The fields of an utterance side by side, for readers of tables: what the manifest says, then the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.output.common_fields import COMMON_FIELDS
from pipeline.output.not_measured import without_nulls
from pipeline.planning.fields import FieldType
from pipeline.views.rows import ExportRow

_TEXTS = ("key", *COMMON_FIELDS, "subtype", "pcm_sha256")
_WHOLE = ("sample_rate", "num_samples", "clipped", "over_full_scale")
_NUMBERS = ("duration", "peak", "rms_dbfs", "mel_distance", "mel_distance_relative", "gain_db", "loudness")
_UNREFINED = "mel_distance_unrefined"  # only in rows of waveforms that were refined; --where knows it
_ORIGIN = "mel_origin"  # only in rows of vocoders that treat mels by their origin; --where knows it
_OWN: tuple[str, ...] = (
    "key", *COMMON_FIELDS, "duration", "sample_rate", "num_samples", "subtype", "pcm_sha256", "peak", "rms_dbfs",
    "clipped", "over_full_scale", "mel_distance", "mel_distance_relative", "gain_db", "loudness",
)  # fmt: skip
OWN_TYPES: Mapping[str, FieldType] = {
    **dict.fromkeys((*_TEXTS, _ORIGIN), "text"),
    **dict.fromkeys(_WHOLE, "integer"),
    **dict.fromkeys((*_NUMBERS, _UNREFINED), "number"),
}


def column_types(types: Mapping[str, FieldType], taken: tuple[str, ...] = ()) -> dict[str, FieldType]:
    """The types of all columns.

    A metadata field whose name is taken is called `meta_NAME`. Text, speaker and language, if they are text, are the
    manifest's own.

    Args:
        types: name of each field of the metadata -> its type.
        taken: names that the format itself needs.
    """
    names = _names(types, taken)
    return {name: OWN_TYPES[name] for name in _OWN} | {names[name]: types[name] for name in names}


def columns(row: ExportRow, types: Mapping[str, FieldType], taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of one utterance, for the columns of `column_types`. What was not measured is as in the manifest."""
    own = {**row.common, **{name: getattr(row.row, name) for name in _OWN if name not in COMMON_FIELDS}}
    own = without_nulls(own)
    names = _names(types, taken)
    return {name: own[name] for name in _OWN} | {names[name]: row.row.meta.get(name) for name in names}


def _names(types: Mapping[str, FieldType], taken: tuple[str, ...]) -> dict[str, str]:
    """Name of a field of the metadata -> name of its column."""
    found: dict[str, str] = {}
    used = {*_OWN, *taken}
    for name, known in types.items():
        if name in COMMON_FIELDS and known == "text":
            continue
        column = name
        while column in used or (column != name and column in types):
            column = f"meta_{column}"
        used.add(column)
        found[name] = column
    return found
