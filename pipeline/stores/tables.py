"""Tables in text files: which character separates the columns, what names them, and the rows."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.stores.text_lists import read_lines

_SEPARATORS = {".csv": ",;\t|", ".tsv": "\t", ".txt": "\t|"}
"""What may separate the columns of a list with this extension. The first that gives a column of a known name does."""
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a |"}
_QUOTED = ",;"  # in a .csv, a tab too: spreadsheets write such files
_LJSPEECH = ("key", "text", "normalized_text")
_LOOK = 100  # number of rows that are looked at to tell LJSpeech's list from others of three columns


@dataclass(frozen=True)
class _Form:
    """How a table is written.

    Args:
        separator: character between two columns.
        quoted: whether a field may be in quotation marks.
        header: names of the columns.
        headed: whether they are in the first line.
    """

    separator: str
    quoted: bool
    header: tuple[str, ...]
    headed: bool


def is_table(path: str) -> bool:
    """Whether a list is a table, by its extension (.csv, .tsv, .txt; also as .gz). Others are JSON lines.

    A .txt that begins with an object is JSON lines, too.

    Raises:
        ConfigError: if a .txt cannot be read.
    """
    extension = _extension(path)
    if extension != ".txt":
        return extension in _SEPARATORS
    return not next((line for _, line in read_lines(path) if line.strip()), b"").lstrip().startswith(b"{")


def read_table(path: str, keys: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table, each with the number of its first line. An empty field is None.

    The first line names the columns. Only lists whose columns are separated by `|` may have no header: `key|text`, and
    LJSpeech's `key|text|normalized_text`, where the last two are equal in at least half of the rows.

    Args:
        path: path of the table.
        keys: names that the column with the utterance's key may have.

    Raises:
        ConfigError: if the table cannot be read, names no such column or a column twice, or a row has another number
            of fields.
    """
    form = _form(path, keys)
    if form is None:
        return
    if twice := [name for name, count in Counter(form.header).items() if count > 1]:
        raise ConfigError(f"{path}: the column {twice[0]!r} occurs twice in the header; remove one of them")
    lines = _quoted(path, form.separator) if form.quoted else _split(path, form.separator)
    for number, fields in itertools.islice(lines, int(form.headed), None):
        if len(fields) != len(form.header):
            quoting = (
                "; its fields cannot be quoted, so a text with a line break must be in a .csv with commas or .jsonl"
            )
            raise ConfigError(
                f"{path}, line {number}: it has {len(fields)} fields, not as many fields as the header, which has "
                f"{list(form.header)}{'' if form.quoted else quoting}"
            )
        yield number, {name: value or None for name, value in zip(form.header, fields, strict=True)}


def _extension(path: str) -> str:
    return path.lower().removesuffix(".gz")[-4:]


def _form(path: str, keys: Collection[str]) -> _Form | None:
    """How a table is written; None if it is empty."""
    first = next((line.strip("\r\n") for _, line in _text_lines(path) if line.strip()), None)
    if first is None:
        return None
    extension = _extension(path)
    for separator in _SEPARATORS[extension]:
        quoted = separator in _QUOTED or (separator == "\t" and extension == ".csv")
        header = next(csv.reader([first], delimiter=separator), []) if quoted else first.split(separator)
        if set(keys) & set(header):
            return _Form(separator, quoted, tuple(header), True)
    if "|" in _SEPARATORS[extension] and (columns := _without_header(path, first)):
        return _Form("|", False, columns, False)
    allowed = ", ".join(_NAMES[separator] for separator in _SEPARATORS[extension])
    other = [_NAMES[separator] for separator in _NAMES if separator in first and _NAMES[separator] not in allowed]
    raise ConfigError(
        f"{path}: its first line is {first[:80]!r}, with no column named {', '.join(keys)}; columns are separated by "
        f"{allowed} in a {extension}{f', not by {other[0]}' if other else ''}. Name them in the first line, as "
        f"key{_example(first, extension)}text, in a .csv, .tsv or .jsonl"
    )


def _example(first: str, extension: str) -> str:
    """The separator in the example of a header."""
    separator = next((each for each in _SEPARATORS[extension] if each in first), _SEPARATORS[extension][0])
    return "<tab>" if separator == "\t" else separator


def _without_header(path: str, first: str) -> tuple[str, ...] | None:
    """The columns of a list without a header; None if they are not known."""
    columns = first.split("|")
    if len(columns) == 2:
        return _LJSPEECH[:2]
    if len(columns) != 3:
        return None
    rows = [fields for _, fields in itertools.islice(_split(path, "|"), _LOOK) if len(fields) == 3]
    return _LJSPEECH if sum(text == spoken for _, text, spoken in rows) * 2 >= len(rows) else None


def _text_lines(path: str) -> Iterator[tuple[int, str]]:
    for number, line in read_lines(path):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{path}, line {number}, is not valid UTF-8: {exc}; save the table as UTF-8") from exc


def _split(path: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in _text_lines(path):
        if line := line.rstrip("\r\n"):
            yield number, line.split(separator)


def _quoted(path: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of a .csv after RFC 4180, each row with the number of its first line."""
    begin = 1
    reader = csv.reader((line for _, line in _text_lines(path)), delimiter=separator, strict=True)
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
