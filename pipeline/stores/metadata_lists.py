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
        note: text that says in how many rows a text has a line break, and where first; empty if there is none.
    """

    path: str
    rows: Mapping[str, str]
    note: str = ""


def read_metadata(path: str) -> Metadata:
    """Reads JSON lines (`.jsonl`, `.json`), or a table with a header (`.csv`, `.tsv`); each also as `.gz`.

    The key is in the field `key`, `id`, `utt_id` or `utterance_id`. All other fields are kept as they are, except those
    that are null, NaN or infinite, or empty in a table. In a `.csv`, a field may be quoted; in a `.tsv`, a quotation
    mark is a character like others. Rows that are equal count as one.

    Args:
        path: path of the list.

    Raises:
        ConfigError: if the list cannot be read, a row has no key, or two different rows have the same key.
    """
    rows: dict[str, str] = {}
    places: dict[str, int] = {}
    broken, first = 0, ""
    for number, row in _rows(path):
        name = next((name for name in KEY_FIELDS if name in row), None)
        key = None if name is None else row[name]
        if not isinstance(key, str) or not key:
            raise ConfigError(
                f"{path}, line {number}: no field {', '.join(KEY_FIELDS[:-1])} or {KEY_FIELDS[-1]} holds the "
                "utterance's key as text"
            )
        _check_text(row, f"{path}, line {number}")
        meta = json.dumps({field: value for field, value in row.items() if field != name and value is not None})
        if rows.setdefault(key, meta) != meta and json.loads(rows[key]) != json.loads(meta):
            raise ConfigError(
                f"{path}: lines {places[key]} and {number} have the same key {key!r}, and differ; remove one of them"
            )
        if places.setdefault(key, number) == number and any(map(_is_broken, row.values())):
            broken, first = broken + 1, first or f"{key!r} (line {number})"
    if not rows:
        what = "lines below the header" if _delimiter(path) else "JSON objects with the fields key, text, speaker, ..."
        raise ConfigError(f"{path} has no rows; add {what}")
    why = "; if it is not meant, a quotation mark is not closed there" if _delimiter(path) else ""
    return Metadata(path, rows, f"{broken} texts have a line break, first that of {first}{why}" if broken else "")


def _is_broken(value: Any) -> bool:
    return isinstance(value, str) and ("\n" in value or "\r" in value)


def _delimiter(path: str) -> str | None:
    """What separates the fields of a table; None if the list is no table."""
    name = path.lower().removesuffix(".gz")
    return "," if name.endswith(".csv") else "\t" if name.endswith(".tsv") else None


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if _delimiter(path) is None:
        return _objects(path)
    return _table(path, _quoted(path) if _delimiter(path) == "," else _tabbed(path))


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


def _table(path: str, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table, from its lines split into fields, the header first."""
    _, header = next(lines, (1, []))
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise ConfigError(f"{path}: the column {twice[0]!r} occurs twice in the header; remove one of them")
    for number, fields in lines:
        if len(fields) != len(header):
            tabs = "; a .tsv has no quoting, so a text with a line break must be in a .csv or .jsonl"
            raise ConfigError(
                f"{path}, line {number}: it has {len(fields)} fields, not as many fields as the header, which has "
                f"{header}{tabs if _delimiter(path) != ',' else ''}"
            )
        yield number, {name: value for name, value in zip(header, fields, strict=True) if value != ""}


def _text_lines(path: str) -> Iterator[tuple[int, str]]:
    for number, line in read_lines(path):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{path}, line {number}, is not valid UTF-8: {exc}; save the table as UTF-8") from exc


def _tabbed(path: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in _text_lines(path):
        if line := line.rstrip("\r\n"):
            yield number, line.split("\t")


def _quoted(path: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of a .csv after RFC 4180, each row with the number of its first line."""
    begin = 1
    reader = csv.reader((line for _, line in _text_lines(path)), strict=True)
    try:
        for fields in reader:
            if fields:
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as exc:
        raise ConfigError(
            f"{path}, line {begin}: a quotation mark in this row is not closed, or one within a text is not doubled "
            f"(it shows in line {reader.line_num}: {exc}); correct the row, or write the list as .tsv or .jsonl"
        ) from exc
