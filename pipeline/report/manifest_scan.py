"""Reads all rows of a manifest once, and keeps of each its figures, its speaker, its language and its shard.

A million rows take about 150 MB. Their texts and keys are not kept: rows that are shown are read again by number.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.output.not_measured import NO_DISTANCE
from pipeline.output.published_manifest import PlainRow, PublishedManifest
from pipeline.report.coded_column import CodedColumn
from pipeline.report.figures import FIGURES, Values
from pipeline.report.metadata_by_field import MetadataByField
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


def scan_manifest(manifest: PublishedManifest) -> ScannedManifest:
    """Read all rows.

    Raises:
        StorageError: if a row is not valid, or it cannot be read.
    """
    scan = _Scan()
    for number, line in enumerate(manifest.lines()):
        try:
            scan.add(len(line), manifest.plain_row(number, line))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise manifest.bad_row(number, error) from error
    return scan.finish(manifest.sha256)


def row_figures(row: PlainRow) -> tuple[float, ...]:
    """The figures of a row, in the order of FIGURES; NaN for what was not measured."""
    duration, peak, text = row["duration"], row["peak"], row["text"]
    distance, relative, loudness = row["mel_distance"], row["mel_distance_relative"], row.get("loudness")
    over, unrefined = row.get("over_full_scale"), row.get("mel_distance_unrefined", NO_DISTANCE)
    return (
        duration,
        row["rms_dbfs"],
        20 * math.log10(max(peak, _LEAST_PEAK)),
        _NAN if distance is None else distance,
        _NAN if relative is None else relative,
        _NAN if unrefined == NO_DISTANCE else unrefined,
        len(text) / duration if text and duration > 0 else _NAN,
        _NAN if loudness is None else loudness,
        _NAN if loudness is None else row.get("gain_db", 0.0),
        row["clipped"],
        _NAN if over is None else over,
    )


class _Scan:
    def __init__(self) -> None:
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

    def add(self, size: int, row: PlainRow) -> None:
        self._starts.append(self._size)
        self._size += size
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

    def finish(self, sha256: str) -> ScannedManifest:
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
            sha256,
        )
