"""Metadata of utterances (text, speaker, language, ...), read from a list with one row per key."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.stores.text_lists import parse_object, read_lines

KEY_FIELDS = ("key", "id", "utt_id", "utterance_id")
"""Names that the field with the utterance's key may have; the first of them that a row has is used."""


@dataclass(frozen=True)
class Metadata:
    """The metadata that a list has of utterances.

    Args:
        path: path of the list.
        rows: JSON object for each key, with the other fields of its row.
    """

    path: str
    rows: Mapping[str, str]


def read_metadata(path: str) -> Metadata:
    """Reads JSON lines (`.jsonl`, `.json`, each also as `.gz`), or a table with a header (`.csv`, `.tsv`).

    The key is in the field `key`, `id`, `utt_id` or `utterance_id`. All other fields are kept as they are, except those
    that are null, or empty in a table.

    Args:
        path: path of the list.

    Raises:
        ConfigError: if the list cannot be read, a row has no key, or two rows have the same key.
    """
    rows: dict[str, str] = {}
    places: dict[str, int] = {}
    table = path.lower().endswith((".csv", ".tsv"))
    for number, row in _table(path) if table else _objects(path):
        name = next((name for name in KEY_FIELDS if name in row), None)
        key = None if name is None else row[name]
        if not isinstance(key, str) or not key:
            raise ConfigError(
                f"{path}, line {number}: no field {', '.join(KEY_FIELDS[:-1])} or {KEY_FIELDS[-1]} holds the "
                "utterance's key as text"
            )
        if key in rows:
            raise ConfigError(f"{path}: lines {places[key]} and {number} have the same key {key!r}; remove one of them")
        places[key] = number
        _check_text(row, f"{path}, line {number}")
        rows[key] = json.dumps({field: value for field, value in row.items() if field != name and value is not None})
    if not rows:
        what = "lines below the header" if table else "JSON objects with the fields key, text, speaker, ..."
        raise ConfigError(f"{path} has no rows; add {what}")
    return Metadata(path, rows)


def _check_text(row: Mapping[str, Any], where: str) -> None:
    """Refuses half of a surrogate pair, which JSON can express and UTF-8 cannot."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{where}: it holds half of a surrogate pair, which is not valid text ({error.reason}); correct it"
        ) from error


def _objects(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except ValueError as exc:
            raise ConfigError(f"{path}, line {number}, is not a valid JSON object: {exc}") from exc


def _table(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = (line.decode("utf-8-sig" if number == 1 else "utf-8") for number, line in read_lines(path))
        reader = csv.DictReader(lines, delimiter="\t" if path.lower().endswith(".tsv") else ",", strict=True)
        if twice := [name for name, count in Counter(reader.fieldnames or ()).items() if count > 1]:
            raise ConfigError(f"{path}: the column {twice[0]!r} occurs twice in the header; remove one of them")
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(
                    f"{path}, line {reader.line_num}: it does not have as many fields as the header, which has "
                    f"{reader.fieldnames}"
                )
            yield reader.line_num, {field: value for field, value in row.items() if value != ""}
    except (csv.Error, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not a valid table in UTF-8: {exc}") from exc
