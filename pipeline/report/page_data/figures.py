"""Figures over all rows, as the page is given them: shares, histograms, texts, metadata by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ValueShare:
    """How much of the output has one value of a field.

    Args:
        value: the value as text; "" for the utterances that have none.
        utterances: number of utterances.
        seconds: duration of their audio [s].
        mel_distance: mean of their `mel_distance`; None if it was not measured.
        rms_dbfs: mean of their `rms_dbfs` [dB re full scale].
    """

    value: str
    utterances: int
    seconds: float
    mel_distance: float | None
    rms_dbfs: float


@dataclass(frozen=True)
class RestOfValues:
    """The values of a field that are not listed.

    Args:
        values: the number of values; None if there were too many to count.
        utterances: number of utterances with one of them.
        seconds: duration of their audio [s].
    """

    values: int | None
    utterances: int
    seconds: float


@dataclass(frozen=True)
class FieldShares:
    """Hours by the values of a field: speaker, language, or a field of the metadata with few values.

    Args:
        field: name of the column of the table.
        label: name of the field for people.
        total_values: the number of values; None if there were too many to count.
        values: the values with the most audio, the most first.
        rest: the others; None if all are listed.
    """

    field: str
    label: str
    total_values: int | None
    values: tuple[ValueShare, ...]
    rest: RestOfValues | None


@dataclass(frozen=True)
class FigureHistogram:
    """How a figure is distributed over all rows.

    Args:
        field: name of the column of the table.
        label: name of the figure for people.
        unit: its unit; "" if it has none.
        help: what it means, as a sentence.
        edges: edges of the bins, `[bins + 1]`, ascending.
        counts: number of rows in each bin, `[bins]`. The first and the last bin hold what lies beyond, too.
        minimum, p05, median, p95, maximum: percentiles over all rows.
        missing: number of rows for which it was not measured.
    """

    field: str
    label: str
    unit: str
    help: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    minimum: float
    p05: float
    median: float
    p95: float
    maximum: float
    missing: int


@dataclass(frozen=True)
class TextStatistics:
    """What the texts of the utterances consist of.

    Args:
        utterances: number of utterances with a text.
        words: number of words, as blanks separate them.
        characters: number of characters.
        vocabulary: number of different words; None if there were too many to count.
        alphabet: characters with the number of times each occurs, the most frequent first, at most 300.
        alphabet_size: number of different characters.
        frequent: the most frequent words with the number of times each occurs, at most 100.
        seldom: number of words that occur once; None as `vocabulary`.
    """

    utterances: int
    words: int
    characters: int
    vocabulary: int | None
    alphabet: tuple[tuple[str, int], ...]
    alphabet_size: int
    frequent: tuple[tuple[str, int], ...]
    seldom: int | None


@dataclass(frozen=True)
class MetadataField:
    """A field of the utterances' metadata.

    Args:
        field: its name.
        type: its type, as job.json names it: text, integer, ...; None if job.json does not.
        present: number of utterances that have a value.
        values: number of different values; None if there were too many to count.
        examples: the most frequent values, or the first ones if there are too many, as text.
        types: type -> number of rows, if the rows have several; None if all have one.
        note: what was mixed before it was written, as a sentence; "" if nothing was.
    """

    field: str
    type: str | None
    present: int
    values: int | None
    examples: tuple[str, ...]
    types: Mapping[str, int] | None
    note: str


@dataclass(frozen=True)
class MetadataShown:
    """The utterances' metadata.

    Args:
        total: number of utterances.
        fields: its fields, sorted by name, at most 200.
        left_out: number of fields that are not listed.
        notes: what job.json says about fields that became text.
    """

    total: int
    fields: tuple[MetadataField, ...]
    left_out: int
    notes: tuple[str, ...]
