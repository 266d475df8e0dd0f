"""Lists in text files, read line by line with a limit on their size: JSON lines, tables, Kaldi's .scp."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import ConfigError

MAX_LINE_BYTES = 1 << 20
"""Longest line [bytes], ten times as long as the transcript of an hour."""
MAX_LIST_BYTES = 8 << 30
"""Largest list, unpacked [bytes], twice as large as ten million lines of a manifest."""


def read_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a text file, which may be packed as .gz, each with its number from 1.

    Raises:
        ConfigError: if the file cannot be read, or it or a line is too long.
    """
    with _opened(path) as file:
        number = total = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number, total = number + 1, total + len(line)
            if len(line) > MAX_LINE_BYTES:
                raise ConfigError(f"{path}: line {number} has more than {MAX_LINE_BYTES} bytes; shorten it")
            if total > MAX_LIST_BYTES:
                raise ConfigError(f"{path} has more than {MAX_LIST_BYTES} bytes; split it into several lists")
            yield number, line


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: there is no such file")
    try:
        opener: Any = gzip.open if path.endswith(".gz") else open
        with opener(path, "rb") as file:
            yield file
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
            below the current folder.
        listed_in: path of the list.
    """
    beside = Path(listed_in).parent / named
    return os.path.abspath(beside if beside.exists() else named)
