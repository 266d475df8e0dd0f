"""The tables of a bench, in Markdown, from what it wrote as JSON."""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEAD = (
    "what",
    "by",
    "CPU [s]",
    "wall [s]",
    "x real time",
    "compared by CPU time, unless it says otherwise",
    "largest difference",
    "memory of its first process [MiB]",
)
TITLES = {
    "decoding": "Nets and mels",
    "packing": "Packing",
    "sharing": "Two workers on two cores",
    "jobs": "A job's start, and a whole run",
    "loops": "An utterance from the store to the shard, beside loops that people write",
    "overhead": "The same with a vocoder that costs nothing",
    "kernel": "A whole job beside its vocoder alone",
    "reading": "Reading a store",
    "start": "Commands",
    "scale": "Small and large corpora",
    "dispatch": "Handing shards to workers",
    "views": "Exports, reports and comparisons",
}
"""Part -> its title."""


def table(bench: Mapping[str, Any]) -> list[str]:
    """The lines of a table for each part: medians of all rounds, and in brackets the least and the most.

    x real time is the length of the audio divided by CPU time. A column that says nothing is left out.
    """
    return "\n\n".join("\n".join(_of_part(name, part)) for name, part in bench["parts"].items()).splitlines()


def _of_part(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    on, (least, _, _), (most, _, _) = part["machine"], *part["load_average"].values()
    loads = " to ".join(f"{load:.1f}" for load in sorted((least, most)))
    cells = [_cells(row) for row in part["rows"]]
    said = [any(row[column] for row in cells) for column in range(len(HEAD))]
    yield f"### {TITLES[name]}"
    yield ""
    yield f"{on['processor']} ({on['kind']}), {on['cores']} cores, {part['rounds']} rounds, load average {loads}."
    yield ""
    yield _line(list(itertools.compress(HEAD, said)))
    yield "|---" * sum(said) + "|"
    yield from (_line(list(itertools.compress(row, said))) for row in cells)


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
