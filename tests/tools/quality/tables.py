"""The tables of the bench, in Markdown."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from support.quality_metrics import NAMES, median_interval
from tools.quality.kinds import CLEAN, KINDS
from tools.quality.paired import difference, paired, paired_table
from tools.quality.speech import GIVEN
from tools.quality.systems import AT, HIFIGAN, RECORDING, SYSTEMS

Row = dict[str, Any]


def report(rows: list[Row]) -> str:
    """All tables."""
    own = [row for row in rows if row["voice"] != GIVEN]
    others = [row for row in rows if row["voice"] == GIVEN]
    parts = [table(own), "### iterations of lift, on clean mels\n", iterations_table(own)]
    if differences := compared(own):
        parts += [f"### what each system has more than {HIFIGAN}: means of differences\n", differences]
    if others:
        names = ", ".join(sorted({row["utterance"] for row in others}))
        parts.append(table(others, (CLEAN,), f"{CLEAN}, {names}"))
        parts.append(iterations_table(others))
        parts.append(compared(others))
    return "\n".join(parts)


def table(rows: list[Row], kinds: Iterable[str] = KINDS, title: str = "") -> str:
    """A Markdown table for each kind of mel: medians with 95 % intervals."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["system"]].append(row)
    lines = []
    for kind in kinds:
        if not any(kind == each for each, _ in groups):
            continue
        lines += [
            f"### {title or kind}",
            "",
            f"| system | {' | '.join(NAMES.values())} |",
            "|---" * (len(NAMES) + 1) + "|",
        ]
        for system in SYSTEMS:
            if not (found := groups.get((kind, system))):
                continue
            cells = [_cell([row[name] for row in found]) for name in NAMES]
            lines.append(f"| {system} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if np.isnan(values).all():
        return ""
    median, low, high = median_interval(values)
    digits = 0 if median >= 20 else 2 if median >= 1 else 3
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def compared(rows: list[Row]) -> str:
    """A Markdown table of every system beside hifigan-universal, utterance by utterance, for each kind of mel."""
    return paired_table(rows, KINDS, [system for system in SYSTEMS if system != RECORDING])


def iterations_table(rows: list[Row]) -> str:
    """A Markdown table of numbers of iterations of lift: what each is worth, utterance by utterance, over the first."""
    least = min(AT)
    lines = [f"| iterations | PESQ | PESQ over {least}, mean | mel_distance |", "|---" * 4 + "|"]
    for iterations, system in sorted(AT.items()):
        ours = [row for row in rows if (row["system"], row["kind"]) == (system, CLEAN)]
        if not ours:
            continue
        gain = "" if iterations == least else str(difference(paired(rows, system, AT[least], CLEAN), "pesq"))
        pesq, distance = (np.nanmedian([row[name] for row in ours]) for name in ("pesq", "mel_distance"))
        lines.append(f"| {iterations} | {pesq:.2f} | {gain} | {distance:.3f} |")
    return "\n".join([*lines, ""])
