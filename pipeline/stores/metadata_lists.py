"""Metadata of utterances (text, speaker, language, ...), read from a list with one row per key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.stores.tables import is_table, read_table
from pipeline.stores.text_lists import parse_object, read_lines
from pipeline.wording import counted

KEY_FIELDS = ("key", "id", "utt_id", "utterance_id", "file_name", "path", "audio_filepath")
"""Names that the field with the utterance's key may have; the first of them that a row has as text is used. The last
three are those of Hugging Face's audiofolder, Common Voice and NeMo."""
_NAMED = 5  # number of fields without any value that the note names


@dataclass(frozen=True)
class Metadata:
    """The metadata that a list has of utterances.

    Args:
        path: path of the list.
        rows: JSON object for each key of the list, with the other fields of its row.
        note: text that says what is strange in the list, in how many rows and where first: texts with a line break,
            fields that have no value in any row; empty if nothing is.
        field: name of the field that the keys of the list are in; several, if rows differ.
    """

    path: str
    rows: Mapping[str, str]
    note: str = ""
    field: str = KEY_FIELDS[0]


def read_metadata(path: str) -> Metadata:
    """Reads JSON lines (`.jsonl`, `.json`), or a table with a header (`.csv`, `.tsv`, `.txt`); each also as `.gz`.

    The key is in the first of the fields `KEY_FIELDS` that the row has as text. All other fields are kept as they are,
    except those that are null, NaN or infinite, or empty in a table. Columns of a `.csv` are separated by commas, or by
    semicolons, tabs or `|` if that gives a column of such a name; a field may be quoted. In a `.tsv`, and between `|`,
    a quotation mark is a character like others. LJSpeech's list without a header is read too. Rows that are equal count
    as one. The encoding is UTF-8, or UTF-16 with a byte order mark.

    Args:
        path: path of the list.

    Raises:
        ConfigError: if the list cannot be read, a row has no key, or two different rows have the same key.
    """
    rows: dict[str, str] = {}
    places: dict[str, int] = {}
    keyed: dict[str, None] = {}
    valued: dict[str, bool] = {}
    broken, first = 0, ""
    for number, row in read_table(path, KEY_FIELDS) if is_table(path) else _objects(path):
        name = next((name for name in KEY_FIELDS if isinstance(row.get(name), str) and row[name]), None)
        if name is None:
            raise ConfigError(
                f"{path}, line {number}: no field {', '.join(KEY_FIELDS[:-1])} or {KEY_FIELDS[-1]} holds the "
                "utterance's key as text"
            )
        if fault := text_fault(row):
            raise ConfigError(f"{path}, line {number}: {fault}")
        key = row.pop(name)
        keyed[name] = None
        meta = json.dumps({field: value for field, value in row.items() if value is not None})
        if rows.setdefault(key, meta) != meta and json.loads(rows[key]) != json.loads(meta):
            raise ConfigError(
                f"{path}: lines {places[key]} and {number} have the same key {key!r}, and differ; remove one of them"
            )
        for field, value in row.items():
            valued[field] = valued.get(field, False) or value is not None
        if places.setdefault(key, number) == number and has_line_break(row):
            broken, first = broken + 1, first or f"{key!r} (line {number})"
    if not rows:
        what = "lines below the header" if is_table(path) else "JSON objects with the fields key, text, speaker, ..."
        raise ConfigError(f"{path} has no rows; add {what}")
    why = "; if it is not meant, a quotation mark is not closed there" if is_table(path) else ""
    notes = [f"{counted(broken, 'text has', 'texts have')} a line break, first that of {first}{why}"] if broken else []
    if empty := [field for field, has_value in valued.items() if not has_value]:
        more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
        notes.append(f"no row has a value in {', '.join(empty[:_NAMED])}{more}: left out")
    return Metadata(path, rows, "; ".join(notes), " or ".join(keyed))


def has_line_break(row: Mapping[str, Any]) -> bool:
    """Whether a text of a row has a line break."""
    return any(isinstance(value, str) and ("\n" in value or "\r" in value) for value in row.values())


def text_fault(row: Mapping[str, Any]) -> str:
    """What is wrong with the texts of a row: half of a surrogate pair, which UTF-8 does not have; "" if nothing is."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"it holds half of a surrogate pair, which is not valid text ({error.reason}); correct it"
    return ""


def _objects(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except ValueError as exc:
            array = line.lstrip(b"\xef\xbb\xbf \t")[:1] == b"["
            hint = "; it begins an array: write one object per line, as jq -c '.[]' does" if array else ""
            raise ConfigError(f"{path}, line {number}, is not a valid JSON object: {exc}{hint}") from exc
