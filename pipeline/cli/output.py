"""The commands about an output: verify, status and gc."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from pipeline.cli.progress import LINES_SHOWN, duration, hours, print_some, size
from pipeline.config import OutputConfig, load_job
from pipeline.errors import ConfigError
from pipeline.output.audit import VerifyReport, repair
from pipeline.output.audit import verify as verify_output
from pipeline.output.garbage import GarbageReport, collect_garbage, find_garbage
from pipeline.output.status import RunStatus, Status, read_status
from pipeline.storage import open_output

Output = Annotated[str, typer.Argument(metavar="OUT", help="Folder that a run wrote to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Access = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="output.options.NAME=VALUE",
        help="For an object store's client, as in the job; or output.single_writer=true.",
    ),
]


def verify(
    output: Output,
    mend: Annotated[bool, typer.Option("--repair", help="Have the next run make anew what is damaged.")] = False,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """Read an output again, all of it, and check it.

    Exit codes: 0 whole, 10 something is missing, 11 corrupt, 12 unexpected objects.
    """
    begun = time.monotonic()
    access = output_access(output, settings)
    report = verify_output(output, options=access.options)
    holder = open_output(access).holder()
    if as_json:
        repaired = repair(output, report.findings, access.options, access.single_writer) if mend else ()
        print(json.dumps({**report.to_dict(), "holder": holder, "repaired": repaired}))
    else:
        _print_verdict(report, output, time.monotonic() - begun)
        if holder is not None and report.findings:
            print(f"{output} is being worked on by {holder}: verify it again when that has ended")
        repaired = repair(output, report.findings, access.options, access.single_writer) if mend else ()
        print_some(repaired)
        if repaired:
            print("now run the job again")
        elif holder is None and any(
            finding.kind == "corrupt" or finding.shard is not None for finding in report.findings
        ):
            print(f"melmill verify {output} --repair has the next run mend this")
    raise typer.Exit(report.exit_code)


def status(output: Output, settings: Access = None, as_json: Json = False) -> None:
    """Show how far a run is, also one on another machine, or how the last one ended. Writes nothing."""
    found = read_status(output, output_access(output, settings).options)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        _print_status(found)


def gc(
    output: Output,
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """List what no manifest needs any more: superseded shards, and what killed runs left; delete it with --yes.

    Readers that still hold an older manifest can read everything in it until then.
    """
    access = output_access(output, settings)
    if yes:
        report = collect_garbage(output, access.options, access.single_writer)
    else:
        report = find_garbage(output, access.options)
    if as_json:
        print(json.dumps({"output": output, "deleted": yes, **report.to_dict()}))
    else:
        _print_garbage(report, output, yes)


def output_access(output: str, settings: list[str] | None) -> OutputConfig:
    """An output, and how to get at it.

    Raises:
        ConfigError: if the settings are of anything else.
    """
    for setting in settings or ():
        if not setting.startswith(("output.options.", "output.single_writer=")):
            raise ConfigError(f"--set {setting}: here it can be output.options.NAME=VALUE or output.single_writer=true")
    return load_job({"input": {"store": ""}, "output": {"url": output}}, settings=settings or ()).output


def _print_verdict(report: VerifyReport, output: str, elapsed: float) -> None:
    print_some([f"{finding.kind}: {finding.name}: {finding.what}" for finding in report.findings])
    verdict = f"{len(report.findings)} findings" if report.findings else "whole"
    failed = f", {report.failed} failed" if report.failed else ""
    print(f"{output} is {verdict}: " if not report.findings else f"{output}: {verdict}; ", end="")
    print(f"{report.utterances} utterances, {hours(report.seconds)}{failed}, read again in {duration(elapsed)}")


def _print_status(status: Status) -> None:
    run = status.run
    silence = f"no sign of life for {duration(status.age or 0)}"
    words = {"killed": f"killed, {silence}", "silent": silence, "unknown": "no run has told how it goes"}
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


def _print_parts(parts: Sequence[RunStatus]) -> None:
    speed = sum(part.speed for part in parts if part.state == "running")
    states = ", ".join(f"{count} {state}" for state, count in Counter(part.state for part in parts).items())
    print(
        f"parts      {parts[0].part.partition('/')[2]}, of which {len(parts)} began: {states}; {speed:.1f} x real time"
    )
    print_some([f"part       {_part_line(part)}" for part in parts])


def _part_line(part: RunStatus) -> str:
    """How one part goes. What it does for others is among what it planned."""
    made, planned = part.done.utterances + part.in_flight.utterances, part.planned.utterances
    failed = f", {part.failed} failed" if part.failed else ""
    error = f": {part.error}" if part.error else ""
    return f"{part.part} on {part.host}: {part.state}, {made} of {planned} utterances{failed}{error}"


def _print_run(run: RunStatus, running: bool) -> None:
    if run.error:
        print(f"error      {run.error}")
    print(f"run        {run.run_id} on {run.host}, process {run.process}, since {run.started}")
    if not run.planned.shards:
        return  # it published what was there
    print(f"planned    {run.planned.utterances} utterances, {hours(run.planned.seconds)}, {run.planned.shards} shards")
    print(f"done       {run.done.utterances} utterances, {hours(run.done.seconds)}, {run.done.shards} shards")
    if running:
        flying = run.in_flight
        print(f"in flight  {flying.utterances} utterances, {hours(flying.seconds)}, of {flying.shards} shards")
    print(f"failed     {run.failed} utterances")
    print(f"speed      {run.speed:.1f} x real time", end="")
    print(f", {duration(run.left)} left" if running and run.left is not None else "")


def _print_garbage(report: GarbageReport, output: str, deleted: bool) -> None:
    width = max((len(each.name) for each in report.garbage), default=0)
    print_some([f"{each.name:{width}}  {size(each.bytes):>10}  {each.why}" for each in report.garbage])
    amount = f"{len(report.garbage)} objects, {size(report.bytes)}"
    if report.holder is not None:
        print(f"{output} is being worked on by {report.holder}: what that makes is not listed, nor can gc delete now")
    if not report.garbage:
        print(f"nothing to delete: {output} holds nothing that its manifest or an unfinished run does not need")
    elif deleted:
        print(f"deleted {amount}")
    else:
        more = " (--json lists all)" if len(report.garbage) > LINES_SHOWN else ""
        print(f"{amount} can be deleted{more}: melmill gc {output} --yes")
