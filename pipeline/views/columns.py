"""The fields of an utterance side by side, for readers of tables: what the manifest says, then the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.output.common_fields import COMMON_FIELDS
from pipeline.output.not_measured import NO_DISTANCE, without_nulls
from pipeline.planning.fields import FieldType
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow

_TEXTS = ("key", *COMMON_FIELDS, "subtype", "pcm_sha256")
_WHOLE = ("sample_rate", "num_samples", "clipped", "over_full_scale")
_NUMBERS = ("duration", "peak", "rms_dbfs", "mel_distance", "mel_distance_relative", "gain_db", "loudness")
_OWN: tuple[str, ...] = (
    "key", *COMMON_FIELDS, "duration", "sample_rate", "num_samples", "subtype", "pcm_sha256", "peak", "rms_dbfs",
    "clipped", "over_full_scale", "mel_distance", "mel_distance_relative", "gain_db", "loudness",
)  # fmt: skip
OWN_TYPES: Mapping[str, FieldType] = {
    **dict.fromkeys((*_TEXTS, "mel_origin"), "text"),
    **dict.fromkeys(_WHOLE, "integer"),
    **dict.fromkeys((*_NUMBERS, "mel_distance_unrefined"), "number"),
}


def column_types(making: Making, taken: tuple[str, ...] = ()) -> dict[str, FieldType]:
    """The types of all columns.

    A metadata field whose name is taken is called `meta_NAME`. Text, speaker and language, if they are text, are the
    manifest's own. Fields that only some manifests have, such as `mel_distance_unrefined`, are there if this one does.

    Args:
        making: what the export is made with.
        taken: names that the format itself needs.
    """
    names, types = _names(making, taken), making.types
    return {name: OWN_TYPES[name] for name in _own(making)} | {names[name]: types[name] for name in names}


def columns(row: ExportRow, making: Making, taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of one utterance, for the columns of `column_types`. What was not measured is as in the manifest."""
    own = {**row.common, **{name: getattr(row.row, name) for name in _own(making) if name not in COMMON_FIELDS}}
    own = without_nulls(own)
    for name in making.more:
        if own[name] is None:  # a row of another run than the first
            own[name] = NO_DISTANCE if OWN_TYPES[name] == "number" else ""
    names = _names(making, taken)
    return {name: own[name] for name in _own(making)} | {names[name]: row.row.meta.get(name) for name in names}


def _own(making: Making) -> tuple[str, ...]:
    """The columns that are not metadata, in order."""
    return (*_OWN, *making.more)


def _names(making: Making, taken: tuple[str, ...]) -> dict[str, str]:
    """Name of a field of the metadata -> name of its column."""
    found: dict[str, str] = {}
    used, types = {*_own(making), *taken}, making.types
    for name, known in types.items():
        if name in COMMON_FIELDS and known == "text":
            continue
        column = name
        while column in used or (column != name and column in types):
            column = f"meta_{column}"
        used.add(column)
        found[name] = column
    return found
