"""The command `melmill status`."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import typer

from pipeline.cli.options import Access, Json, Output, output_access
from pipeline.cli.printing import LINES_SHOWN, duration, hours, superseded_line
from pipeline.cli.progress import can_redraw
from pipeline.output.exports import ExportState
from pipeline.output.status import RunStatus, Status, read_status
from pipeline.wording import counted

_WATCH_SECONDS = 2.0
"""Time between two looks [s]. A run writes its status every five seconds."""
_AT_WORK = ("running", "silent")


def status(
    output: Output,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again whenever it changes, until the run ends.")] = (
        False
    ),
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """Show how far a run is, or how the last run ended.

    The run may be on another machine. Writes nothing.

    Example:
        melmill status audio
    """
    options = output_access(output, settings).options

    def look() -> Status:
        return read_status(output, options)

    def text(found: Status) -> str:
        return json.dumps(found.to_dict()) if as_json else "\n".join(status_lines(found))

    if not watch:
        print(text(look()))
        return
    with contextlib.suppress(KeyboardInterrupt):  # it ends the watch, and leaves the run alone
        _watch(look, text)


def _watch(look: Callable[[], Status], text: Callable[[Status], str]) -> None:
    """Print a status, and again when it has changed, until no run is at work. A terminal shows the last one alone."""
    redraw = can_redraw(sys.stdout)
    shown = ""
    height = 0
    while True:
        found = look()
        if (now := text(found)) != shown:
            lines = [line[: shutil.get_terminal_size().columns - 1] if redraw else line for line in now.splitlines()]
            up = f"\x1b[{height}F\x1b[J" if redraw and height else ""
            print(up + "\n".join(lines), flush=True)
            shown, height = now, len(lines)
        if found.state not in _AT_WORK:
            return
        time.sleep(_WATCH_SECONDS)


def status_lines(status: Status) -> Iterator[str]:
    """A status for people."""
    run = status.run
    silence = f"no sign of life for {duration(status.age or 0)}"
    words = {"killed": f"killed, {silence}", "silent": silence, "unknown": "no run has written its status"}
    yield f"state      {words.get(status.state, status.state)}"
    if status.parts:
        yield from _parts_lines(status.parts)
    elif run is not None:
        yield from _run_lines(run, status.state == "running")
    if run is not None:
        yield f"last sign  {run.written}, {duration(status.age or 0)} ago; progress {run.progressed}"
    if status.holder is not None and (run is None or run.run_id not in status.holder):
        yield f"now        {status.holder}"
    if (manifest := status.manifest) is not None:
        failed = f", {manifest.failed} failed" if manifest.failed else ""
        there = f"{counted(manifest.utterances, 'utterance')}, {hours(manifest.seconds)}{failed}"
        yield f"manifest   {there}: {', '.join(status.manifests)}"
    else:
        yield "manifest   none yet"
    if status.superseded.shards:
        yield superseded_line(status.superseded, status.output)
    yield from (f"export     {_export_line(each)}" for each in status.exports[:LINES_SHOWN])
    if len(status.exports) > LINES_SHOWN:
        yield f"... and {len(status.exports) - LINES_SHOWN} more"


def _export_line(export: ExportState) -> str:
    note = export.note
    place = note.target or "in the output"
    words = {
        "out of date": "out of date: run the same melmill export again",
        "gone": "gone, or moved",
        "not visible from here": f"not visible from here; it was written on {note.host}, {note.made}",
    }
    return f"{note.format} {place}: {words.get(export.age, export.age)}"


def _parts_lines(parts: Sequence[RunStatus]) -> Iterator[str]:
    speed = sum(part.speed for part in parts if part.state == "running")
    states = ", ".join(f"{count} {state}" for state, count in Counter(part.state for part in parts).items())
    fast = f"; {speed:.1f} x real time" if speed else ""
    yield f"parts      {parts[0].part.partition('/')[2]}, {len(parts)} of them started: {states}{fast}"
    yield from (f"part       {_part_line(part)}" for part in parts[:LINES_SHOWN])
    if len(parts) > LINES_SHOWN:
        yield f"... and {len(parts) - LINES_SHOWN} more"


def _part_line(part: RunStatus) -> str:
    """How far one part is. What it makes for other parts is included in what it planned."""
    made = part.done.utterances + part.in_flight.utterances
    failed = f", {part.failed} failed" if part.failed else ""
    error = f": {part.error}" if part.error else ""
    planned = counted(part.planned.utterances, "utterance")
    return f"{part.part} on {part.host}: {part.state}, {made} of {planned}{failed}{error}"


def _run_lines(run: RunStatus, running: bool) -> Iterator[str]:
    if run.error:
        yield f"error      {run.error}"
    yield f"run        {run.run_id} on {run.host}, process {run.process}, since {run.started}"
    if not run.planned.shards:
        return  # it had nothing to make, and published
    amounts = {"planned": run.planned, "done": run.done} | ({"in flight": run.in_flight} if running else {})
    for name, each in amounts.items():
        of = "of " if name == "in flight" else ""
        made = f"{counted(each.utterances, 'utterance')}, {hours(each.seconds)}"
        yield f"{name:10} {made}, {of}{counted(each.shards, 'shard')}"
    yield f"failed     {counted(run.failed, 'utterance')}"
    left = f", {duration(run.left)} left" if running and run.left is not None else ""
    if run.speed:  # audio is not made, but copied, otherwise
        yield f"speed      {run.speed:.1f} x real time{left}"
