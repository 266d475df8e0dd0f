"""Reads all rows of a manifest once, and keeps of each its figures, its speaker, its language and its shard.

A million rows take about 150 MB. Their texts and keys are not kept: rows that are shown are read again by number.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, StorageError
from pipeline.output.common_fields import common_fields
from pipeline.output.layout import MANIFEST
from pipeline.output.not_measured import with_nulls
from pipeline.report.coded_column import CodedColumn
from pipeline.report.figures import FIGURES, Values
from pipeline.report.metadata_by_field import MetadataByField
from pipeline.report.published_output import PublishedOutput
from pipeline.report.text_counts import TextCounts

_AT_ONCE = 4096
"""Number of rows whose texts wait to be counted."""
_MOST_SPEAKERS = 100_000
_MOST_LANGUAGES = 1000
_MOST_SHARDS = 10_000_000
_LEAST_PEAK = 1e-10
"""-200 dBFS, as levels say of silence."""
_NAN = math.nan
_TEXTS = ("key", "text", "speaker", "language", "shard", "member")

ManifestRow = dict[str, Any]
"""A row as `json.loads` gives it, with None for what was not measured."""


@dataclass(frozen=True)
class ScannedManifest:
    """What is kept of all rows.

    Args:
        figures: field of each figure -> its values.
        speakers, languages, shards: columns of these; "" is the value of a row that names none.
        keys, texts_said: hash of each row's key and of its text, `[rows] int64`; in one process, equal if they are.
        pcm: first 8 bytes of the digest of each row's PCM, `[rows] uint64`.
        starts: offset of each row's line in the manifest [bytes], `[rows] int64`.
        sample_rates: sample rate [Hz] -> number of rows.
        bytes: size of all encoded audio [bytes].
        metadata: the metadata by field.
        texts: counts of the texts.
        sha256: digest of the manifest, as hexadecimal.
    """

    figures: dict[str, Values]
    speakers: CodedColumn
    languages: CodedColumn
    shards: CodedColumn
    keys: NDArray[np.int64]
    texts_said: NDArray[np.int64]
    pcm: NDArray[np.uint64]
    starts: NDArray[np.int64]
    sample_rates: dict[int, int]
    bytes: int
    metadata: MetadataByField
    texts: TextCounts
    sha256: str

    def __len__(self) -> int:
        return len(self.pcm)


def scan_manifest(output: PublishedOutput, file: IO[bytes]) -> ScannedManifest:
    """Read all rows.

    Args:
        output: the output, for texts.
        file: its manifest, at the first byte.

    Raises:
        ConfigError: if a row is not valid.
        StorageError: if it cannot be read.
    """
    scan = _Scan()
    for number, line in enumerate(file):
        try:
            scan.add(line, parsed_row(output, number, line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _bad_row(output, number, error) from error
    return scan.finish()


def read_rows(
    output: PublishedOutput, file: IO[bytes], sha256: str, wanted: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, ManifestRow]]:
    """Rows of a manifest that was scanned, each with its number from 0, in the order of the manifest.

    Args:
        output: the output, for texts.
        file: its manifest, at the first byte.
        sha256: digest that the scan gave.
        wanted: numbers of rows, ascending, `[rows] int64`; None for all.

    Raises:
        StorageError: if it cannot be read, or is not the one that was scanned.
    """
    digest = hashlib.sha256()
    numbers = iter(wanted.tolist() if wanted is not None else ())
    following = next(numbers, -1)
    for number, line in enumerate(file):
        digest.update(line)
        if wanted is None or number == following:
            following = next(numbers, -1)
            yield number, parsed_row(output, number, line)
    if digest.hexdigest() != sha256:
        raise StorageError(
            f"{output.url}/{MANIFEST} was replaced while it was read: a run has published. Make the report again"
        )


def parsed_row(output: PublishedOutput, number: int, line: bytes) -> ManifestRow:
    """A line of a manifest as a row. Rows of early versions of melmill get the fields that they lack.

    Raises:
        ConfigError: if it is not valid.
    """
    try:
        row = with_nulls(json.loads(line))
        return row if "text" in row else {**common_fields(row["meta"]), **row}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad_row(output, number, error) from error


def _bad_row(output: PublishedOutput, number: int, error: Exception) -> ConfigError:
    return ConfigError(
        f"line {number + 1} of {output.url}/{MANIFEST} is not a valid row of a manifest ({error!r}). `melmill verify "
        f"{output.url}` finds all that is damaged"
    )


def row_figures(row: ManifestRow) -> tuple[float, ...]:
    """The figures of a row, in the order of FIGURES; NaN for what was not measured."""
    duration, peak, text = row["duration"], row["peak"], row["text"]
    distance, relative, loudness = row["mel_distance"], row["mel_distance_relative"], row.get("loudness")
    over = row.get("over_full_scale")
    return (
        duration,
        row["rms_dbfs"],
        20 * math.log10(max(peak, _LEAST_PEAK)),
        _NAN if distance is None else distance,
        _NAN if relative is None else relative,
        len(text) / duration if text and duration > 0 else _NAN,
        _NAN if loudness is None else loudness,
        _NAN if loudness is None else row.get("gain_db", 0.0),
        row["clipped"],
        _NAN if over is None else over,
    )


class _Scan:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._starts = array("q")
        self._size = 0
        self._figures = array("d")
        self._speakers, self._languages = CodedColumn(_MOST_SPEAKERS), CodedColumn(_MOST_LANGUAGES)
        self._shards = CodedColumn(_MOST_SHARDS)
        self._keys, self._texts_said, self._pcm = array("q"), array("q"), array("Q")
        self._sample_rates: dict[int, int] = {}
        self._bytes = 0
        self._metadata = MetadataByField()
        self._texts = TextCounts()
        self._waiting: list[str] = []

    def add(self, line: bytes, row: ManifestRow) -> None:
        self._digest.update(line)
        self._starts.append(self._size)
        self._size += len(line)
        if not all(type(row[name]) is str for name in _TEXTS):
            raise TypeError(f"one of {', '.join(_TEXTS)} is not text")
        self._figures.extend(row_figures(row))
        self._speakers.add(row["speaker"])
        self._languages.add(row["language"])
        self._shards.add(row["shard"])
        self._keys.append(hash(row["key"]))
        self._texts_said.append(hash(row["text"]))
        self._pcm.append(int(row["pcm_sha256"][:16], 16))
        rate = row["sample_rate"]
        self._sample_rates[rate] = self._sample_rates.get(rate, 0) + 1
        self._bytes += row["bytes"]
        self._metadata.add(row["meta"])
        if text := row["text"]:
            self._waiting.append(text)
            if len(self._waiting) == _AT_ONCE:
                self._count_texts()

    def _count_texts(self) -> None:
        self._texts.add(self._waiting)
        self._waiting = []

    def finish(self) -> ScannedManifest:
        if self._waiting:
            self._count_texts()
        table = np.frombuffer(self._figures, np.float64) if self._figures else np.zeros(0)
        columns = np.ascontiguousarray(table.reshape(-1, len(FIGURES)).T)
        columns[~np.isfinite(columns)] = np.nan
        return ScannedManifest(
            {figure.field: column for figure, column in zip(FIGURES, columns, strict=True)},
            self._speakers,
            self._languages,
            self._shards,
            np.array(self._keys, np.int64),
            np.array(self._texts_said, np.int64),
            np.array(self._pcm, np.uint64),
            np.array(self._starts, np.int64),
            dict(sorted(self._sample_rates.items(), key=lambda each: -each[1])),
            self._bytes,
            self._metadata,
            self._texts,
            self._digest.hexdigest(),
        )
