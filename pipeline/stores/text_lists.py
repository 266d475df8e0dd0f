"""Lists in text files, read line by line with a limit on their size: JSON lines, tables, Kaldi's .scp."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import math
import os
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import ConfigError

MAX_LINE_BYTES = 1 << 20
"""Longest line [bytes], ten times as long as the transcript of an hour."""
MAX_LIST_BYTES = 8 << 30
"""Largest list, unpacked [bytes], twice as large as ten million lines of a manifest."""
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Encodings by the byte order mark that a file begins with. That of UTF-32 begins with that of UTF-16."""


def read_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a text file, which may be packed as .gz, each with its number from 1.

    A file that begins with the byte order mark of UTF-16 or UTF-32 is given as UTF-8.

    Raises:
        ConfigError: if the file cannot be read, it or a line is too long, or it seems to be UTF-16 without a byte order
            mark.
    """
    with _opened(path) as file:
        number = total = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            if not number and b"\0" in line:
                raise ConfigError(
                    f"{path}: line 1 holds NUL bytes, as UTF-16 without a byte order mark does; save it as UTF-8"
                )
            number, total = number + 1, total + len(line)
            if len(line) > MAX_LINE_BYTES:
                raise ConfigError(f"{path}: line {number} has more than {MAX_LINE_BYTES} bytes; shorten it")
            if total > MAX_LIST_BYTES:
                raise ConfigError(f"{path} has more than {MAX_LIST_BYTES} bytes; split it into several lists")
            yield number, line


class _Lines(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class _Recoded:
    """The lines of a text in another encoding, as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readline(self, limit: int, /) -> bytes:
        return self._text.readline(limit).encode()


@contextmanager
def _opened(path: str) -> Iterator[_Lines]:
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: there is no such file")
    try:
        opener: Any = gzip.open if path.endswith(".gz") else open
        with opener(path, "rb") as file:
            mark = file.peek(4)[:4]
            encoding = next((name for begin, name in _MARKS.items() if mark.startswith(begin)), None)
            yield file if encoding is None else _Recoded(io.TextIOWrapper(file, encoding, newline="\n"))
    except UnicodeError as exc:
        raise ConfigError(f"{path} cannot be read: {exc}; save it as UTF-8") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise ConfigError(f"{path} cannot be read: {exc}") from exc


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line. NaN and infinity, which JSON does not have, are null: pandas writes them for no value.

    Raises:
        ValueError: if the line is not a JSON object, or a name occurs twice in it.
    """
    try:
        value = json.loads(line, parse_constant=lambda _: None, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}, not a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice!r} occurs more than once in an object")
    return found


def _finite(digits: str) -> float | None:
    number = float(digits)  # 1e999 is infinite
    return number if math.isfinite(number) else None


def listed_path(named: str, listed_in: str) -> str:
    """The path of a file that a list names.

    Args:
        named: path as the list names it. A relative one is below the folder of the list, or if there is no such file,
            below the current folder. If there is none either, a file whose name differs only in its Unicode
            normalization is taken: macOS writes decomposed file names.
        listed_in: path of the list.
    """
    for form in (None, "NFC", "NFD"):
        each = named if form is None else unicodedata.normalize(form, named)
        for path in (Path(listed_in).parent / each, Path(each)):
            if path.exists():
                return os.path.abspath(path)
    return os.path.abspath(named)
