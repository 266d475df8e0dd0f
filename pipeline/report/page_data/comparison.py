"""All that the page that compares two outputs is given, as values; see `page`.

Clips have neutral names, `clips/0001-1.flac` and `clips/0001-2.flac`. Which of both is A's is drawn for each utterance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.report.page_data.page import OutputShown, Summary
from pipeline.report.page_data.rows import ClipAudio, ClipList, TableOfRows


@dataclass(frozen=True)
class ComparedOutput:
    """One of the two outputs.

    Args:
        output: which output it is.
        summary: what was made.
        versions: name -> version of what it was made with.
    """

    output: OutputShown
    summary: Summary
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ComparedFigure:
    """A figure of all utterances that both outputs have. The difference is that of B minus that of A.

    Args:
        field: name of the figure; the table has `a_FIELD` and `b_FIELD`.
        label: name of the figure for people.
        unit: its unit; "" if it has none.
        help: what it means, as a sentence.
        better: which value is better: lower, or None if neither is.
        a_median, b_median: medians over the utterances that both have and measured.
        difference_median, difference_p05, difference_p95: percentiles of the differences.
        a_better, b_better, same: number of utterances; of those that differ None if `better` is None.
        edges: edges of the bins of the differences, `[bins + 1]`.
        counts: number of utterances in each bin, `[bins]`. The first and the last bin hold what lies beyond, too.
        missing: number of utterances for which one of both did not measure it.
    """

    field: str
    label: str
    unit: str
    help: str
    better: Literal["lower"] | None
    a_median: float
    b_median: float
    difference_median: float
    difference_p05: float
    difference_p95: float
    a_better: int | None
    b_better: int | None
    same: int | None
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int


@dataclass(frozen=True)
class KeysOfOne:
    """Utterances that one output has and the other has not.

    Args:
        count: the number of them.
        keys: the first twenty keys.
    """

    count: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class ComparedExample:
    """An utterance of both outputs.

    Args:
        row: key, text, speaker, language, and for each figure `a_FIELD` and `b_FIELD`.
        a, b: the audio of both.
        same: whether both have the same samples.
    """

    row: Mapping[str, Any]
    a: ClipAudio
    b: ClipAudio
    same: bool


@dataclass(frozen=True)
class ComparisonData:
    """All of the page that compares two outputs.

    Args:
        format: FORMAT of `page`.
        kind: "compare".
        made: time when the report was made.
        melmill: version of the melmill that made it.
        a, b: the two outputs.
        matched: number of utterances that both have.
        same: number of them with the same samples in both.
        texts_changed: number of them with another text.
        only_in_a, only_in_b: utterances that only one of both has.
        notes: what makes them hard to compare, as sentences: other sample rates, another loudness, ...
        fields: figures.
        rows: the table of utterances that both have, those that changed most first; see `TableOfRows`.
        lists: utterances that deserve a look: those that changed most by each figure, and some at random.
        clips: the utterances of `lists`.
    """

    format: int
    kind: Literal["compare"]
    made: str
    melmill: str
    a: ComparedOutput
    b: ComparedOutput
    matched: int
    same: int
    texts_changed: int
    only_in_a: KeysOfOne
    only_in_b: KeysOfOne
    notes: tuple[str, ...]
    fields: tuple[ComparedFigure, ...]
    rows: TableOfRows
    lists: tuple[ClipList, ...]
    clips: tuple[ComparedExample, ...]
