"""The command `melmill status`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from pipeline.cli.options import Access, Json, Output, output_access
from pipeline.cli.printing import duration, hours, print_some, superseded_line
from pipeline.output.status import RunStatus, Status, read_status


def status(output: Output, settings: Access = None, as_json: Json = False) -> None:
    """Show how far a run is, or how the last run ended.

    The run may be on another machine. Writes nothing.
    """
    found = read_status(output, output_access(output, settings).options)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        _print_status(found)


def _print_status(status: Status) -> None:
    run = status.run
    silence = f"no sign of life for {duration(status.age or 0)}"
    words = {"killed": f"killed, {silence}", "silent": silence, "unknown": "no run has written its status"}
    print(f"state      {words.get(status.state, status.state)}")
    if status.parts:
        _print_parts(status.parts)
    elif run is not None:
        _print_run(run, status.state == "running")
    if run is not None:
        print(f"last sign  {run.written}, {duration(status.age or 0)} ago; progress {run.progressed}")
    if status.holder is not None and (run is None or run.run_id not in status.holder):
        print(f"now        {status.holder}")
    if (manifest := status.manifest) is not None:
        failed = f", {manifest.failed} failed" if manifest.failed else ""
        print(f"manifest   {manifest.utterances} utterances, {hours(manifest.seconds)}{failed}")
    else:
        print("manifest   none yet")
    if status.superseded.shards:
        print(superseded_line(status.superseded, status.output))


def _print_parts(parts: Sequence[RunStatus]) -> None:
    speed = sum(part.speed for part in parts if part.state == "running")
    states = ", ".join(f"{count} {state}" for state, count in Counter(part.state for part in parts).items())
    print(
        f"parts      {parts[0].part.partition('/')[2]}, {len(parts)} of them started: {states}; {speed:.1f} x real time"
    )
    print_some([f"part       {_part_line(part)}" for part in parts])


def _part_line(part: RunStatus) -> str:
    """How far one part is. What it makes for other parts is included in what it planned."""
    made, planned = part.done.utterances + part.in_flight.utterances, part.planned.utterances
    failed = f", {part.failed} failed" if part.failed else ""
    error = f": {part.error}" if part.error else ""
    return f"{part.part} on {part.host}: {part.state}, {made} of {planned} utterances{failed}{error}"


def _print_run(run: RunStatus, running: bool) -> None:
    if run.error:
        print(f"error      {run.error}")
    print(f"run        {run.run_id} on {run.host}, process {run.process}, since {run.started}")
    if not run.planned.shards:
        return  # it had nothing to make, and published
    print(f"planned    {run.planned.utterances} utterances, {hours(run.planned.seconds)}, {run.planned.shards} shards")
    print(f"done       {run.done.utterances} utterances, {hours(run.done.seconds)}, {run.done.shards} shards")
    if running:
        flying = run.in_flight
        print(f"in flight  {flying.utterances} utterances, {hours(flying.seconds)}, of {flying.shards} shards")
    print(f"failed     {run.failed} utterances")
    print(f"speed      {run.speed:.1f} x real time", end="")
    print(f", {duration(run.left)} left" if running and run.left is not None else "")
