"""Differences of two systems, utterance by utterance, with intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.quality_metrics import NAMES, median_interval
from tools.quality.systems import HIFIGAN

Row = dict[str, Any]
FIGURES = ("pesq", "dnsmos", "plcmos", "mel_distance")


@dataclass(frozen=True)
class Difference:
    """Mean of the differences of a figure, its 95 % interval (a seeded bootstrap over utterances), and their number."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return ""
        return f"{self.mean:+.3f}" + (f" ({self.low:+.3f} to {self.high:+.3f})" if self.count > 1 else " (one)")


def key(row: Row) -> tuple[str, str, str]:
    return row["voice"], row["utterance"], row["kind"]


def paired(rows: Iterable[Row], system: str, base: str, kind: str) -> list[tuple[Row, Row]]:
    """The rows of a system on a kind of mel, with the base's rows of the same utterances; others are left out."""
    ours, theirs = (
        {key(row): row for row in rows if (row["system"], row["kind"]) == (each, kind)} for each in (system, base)
    )
    return [(row, theirs[each]) for each, row in ours.items() if each in theirs]


def difference(pairs: Sequence[tuple[Row, Row]], figure: str) -> Difference:
    """How much more of a figure the first of each pair has. Pairs in which one has no value are left out."""
    found = [row[figure] - other[figure] for row, other in pairs]
    found = [each for each in found if not math.isnan(each)]
    if not found:
        return Difference(math.nan, math.nan, math.nan, 0)
    return Difference(*median_interval(found, statistic=np.mean), len(found))


def paired_table(
    rows: Sequence[Row],
    kinds: Iterable[str],
    systems: Iterable[str],
    base: str = HIFIGAN,
    figures: Sequence[str] = FIGURES,
) -> str:
    """A Markdown table of what each system has more than the base, by kind of mel; empty if there is no pair."""
    names = [NAMES[figure] for figure in figures]
    lines = [f"| mel | system | utterances | {' | '.join(names)} |", "|---" * (len(names) + 3) + "|"]
    for kind in kinds:
        for system in systems:
            if system != base and (pairs := paired(rows, system, base, kind)):
                cells = [str(difference(pairs, figure)) for figure in figures]
                lines.append(f"| {kind} | {system} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""]) if len(lines) > 2 else ""
