"""The table of a bench, in Markdown, from what it wrote as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

HEAD = (
    "what",
    "by",
    "CPU [s]",
    "wall [s]",
    "x real time",
    "compared by CPU time, unless it says otherwise",
    "largest difference",
)
MEMORY = "memory of its first process [MiB]"
"""The last column, where a row says it."""


def table(bench: Mapping[str, Any]) -> list[str]:
    """The lines of the table: medians of all rounds, and in brackets the least and the most.

    x real time is the length of the audio divided by CPU time.
    """
    measured = rows(bench)
    head = HEAD if not any("memory" in row for row in measured) else (*HEAD, MEMORY)
    return [_line(head), "|---" * len(head) + "|", *(_line(_cells(row)[: len(head)]) for row in measured)]


def rows(bench: Mapping[str, Any]) -> list[Any]:
    """The rows of all parts."""
    return [row for part in bench["parts"].values() for row in part["rows"]]


def median(row: Mapping[str, Any], field: str = "cpu") -> float:
    """The median of one field of a row [s]."""
    return statistics.median(row[field])


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    audio, difference = row.get("audio_seconds", 0.0), row.get("largest_difference")
    compared = [f"{_spread(values)} {label}" for label, values in row.get("compared", {}).items()]
    return (
        row["what"],
        row["by"],
        _spread(row["cpu"]),
        _figure(median(row, "wall")),
        _figure(audio / median(row)) if audio else "",
        "; ".join(compared),
        "" if difference is None else f"{difference:.0e}" if difference else "none",
        _figure(median(row, "memory") / 2**20) if "memory" in row else "",
    )


def _spread(values: Sequence[float]) -> str:
    middle = _figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_figure(min(values))} to {_figure(max(values))})"


def _figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
