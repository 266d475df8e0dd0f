"""A page to listen to: a table of players for each kind of mel, utterances by systems, with the figures of each.

It is a file without a script, and the audio lies beside it. `melmill report --compare` makes a better page to decide
between two outputs; this one is for looking over all systems at once.
"""

import html
import math
import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.quality_metrics import NAMES
from tools.quality.kinds import CLEAN, KINDS
from tools.quality.paired import FIGURES
from tools.quality.systems import LIFT_ITERATIONS, RECORDING, SYSTEMS

Row = dict[str, Any]
_PAGE = string.Template((Path(__file__).parent / "listening.html").read_text())
_ORDER = list(dict.fromkeys([*SYSTEMS, *LIFT_ITERATIONS]))


def audio_path(kind: str, system: str, voice: str, name: str) -> Path:
    """Where the audio of an utterance lies in the folder of the page."""
    return Path("audio", _slug(kind), _slug(system), f"{_slug(voice)}-{_slug(name)}.flac")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write_page(folder: Path, rows: Sequence[Row]) -> Path:
    """Writes the page of the rows whose audio lies in its folder."""
    heard = [row for row in rows if (folder / _path(row)).exists()]
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in heard)]
    links = "\n".join(f'<li><a href="#{_slug(kind)}">{html.escape(kind)}</a></li>' for kind in kinds)
    parts = "\n".join(_section(kind, [row for row in heard if row["kind"] == kind]) for kind in kinds)
    page = folder / "index.html"
    page.write_text(_PAGE.substitute(links=links, sections=parts, figures=", ".join(NAMES[each] for each in FIGURES)))
    return page


def _path(row: Row) -> Path:
    return audio_path(row["kind"], row["system"], row["voice"], row["utterance"])


def _section(kind: str, rows: list[Row]) -> str:
    systems = [system for system in _ORDER if any(row["system"] == system for row in rows)]
    found = {(row["voice"], row["utterance"], row["system"]): row for row in rows}
    utterances = dict.fromkeys((row["voice"], row["utterance"]) for row in rows)
    head = "".join(f'<th scope="col">{html.escape(system)}</th>' for system in systems)
    lines = []
    for voice, name in utterances:
        cells = "".join(_cell(found.get((voice, name, system))) for system in systems)
        lines.append(f'<tr><th scope="row">{html.escape(voice)}<br>{html.escape(name)}</th>{cells}</tr>')
    title = html.escape(kind)
    return (
        f'<section aria-labelledby="{_slug(kind)}"><h2 id="{_slug(kind)}">{title}</h2>\n'
        f'<div class="wide" role="region" aria-labelledby="{_slug(kind)}" tabindex="0"><table>\n'
        f'<thead><tr><th scope="col">utterance</th>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div></section>"
    )


def _cell(row: Row | None) -> str:
    if row is None:
        return "<td>not made</td>"
    label = html.escape(f"{row['system']}, {row['utterance']} of {row['voice']}, {row['kind']}")
    figures = (
        ""
        if row["system"] == RECORDING and row["kind"] == CLEAN
        else ", ".join(map(_figure, (row[each] for each in FIGURES)))
    )
    source = html.escape(_path(row).as_posix())
    return f'<td><audio controls preload="none" src="{source}" aria-label="{label}"></audio><p>{figures}</p></td>'


def _figure(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.2f}"
