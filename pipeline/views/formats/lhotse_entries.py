"""Utterances as lhotse's manifests have them: recordings, supervisions and cuts. Pure.

As `Recording`, `SupervisionSegment` and `MonoCut` of lhotse 1.33 write themselves (`to_dict`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.output.published_rows import OPTIONAL_FIELDS
from pipeline.output.records import Row
from pipeline.views.rows import ExportRow

Entry = dict[str, Any]
IN_SHAR: Entry = {"type": "shar", "channels": [0], "source": ""}
"""Stands for audio in the tar of a Shar, which lhotse puts there while it reads."""
_FIGURES = ("subtype", "pcm_sha256", "peak", "rms_dbfs", "clipped", "mel_distance", "mel_distance_relative")


def recording(row: ExportRow, source: Entry) -> Entry:
    """The audio of an utterance.

    Args:
        row: row of the export.
        source: lhotse's `AudioSource`: its type, channels and source.
    """
    made = row.row
    return {
        "id": made.key,
        "sources": [source],
        "sampling_rate": made.sample_rate,
        "num_samples": made.num_samples,
        "duration": made.duration,
        "channel_ids": [0],
    }


def supervision(row: ExportRow) -> Entry:
    """What is said, by whom, and in which language, as far as it is known; all metadata is its `custom`."""
    made = row.row
    entry = {"id": made.key, "recording_id": made.key, "start": 0.0, "duration": made.duration, "channel": 0}
    entry |= {name: value for name, value in row.common.items() if value}
    return entry | ({"custom": _plain(made.meta)} if made.meta else {})


def _optional(row: Row) -> Entry:
    """The fields that only some outputs' rows have."""
    return {name: value for name in OPTIONAL_FIELDS if (value := getattr(row, name)) is not None}


def cut(row: ExportRow, source: Entry) -> Entry:
    """The whole utterance as a cut. Its `custom` has melmill's figures. The arguments are those of `recording`."""
    made = row.row
    return {
        "id": made.key,
        "start": 0.0,
        "duration": made.duration,
        "channel": 0,
        "supervisions": [supervision(row)],
        "recording": recording(row, source),
        "custom": {name: getattr(made, name) for name in _FIGURES} | _optional(made),
        "type": "MonoCut",
    }


def not_in_shar(key: str) -> str | None:
    """Why a Shar cannot have an utterance of this key; None if it can.

    lhotse takes the cut's id from the path of the member, after `pathlib` has made that normal.
    """
    path = PurePosixPath(f"{key}.flac")
    same = str(path.parent / path.stem) == key
    plain = same and ".." not in path.parts and not path.is_absolute() and "\0" not in key
    return None if plain else "a key that is no plain relative path"


def _plain(meta: Mapping[str, Any]) -> Entry:
    """Metadata as `custom`. An object that lhotse would take for one of its own is JSON text."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) and _taken(value) else value
        for name, value in meta.items()
    }


def _taken(value: Mapping[str, Any]) -> bool:
    """As `deserialize_custom_field` in lhotse/serialization.py decides."""
    return bool({"width", "shape", "array"} & value.keys()) or {"id", "sources", "sampling_rate"} <= value.keys()
