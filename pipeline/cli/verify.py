"""The command `melmill verify`."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from pipeline.cli.options import Access, Json, Output, output_access
from pipeline.cli.printing import duration, hours, others_line, print_some, superseded_line
from pipeline.output import audit
from pipeline.storage import open_output


def verify(
    output: Output,
    mend: Annotated[
        bool, typer.Option("--repair", help="Mark what is damaged, so that the next run makes it again.")
    ] = False,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """Read a whole output again and check it.

    Exit codes: 0 the output is whole, 10 something is missing, 11 something is corrupt, 12 there are unexpected
    objects.
    """
    begun = time.monotonic()
    access = output_access(output, settings)
    report = audit.verify(output, options=access.options)
    holder = open_output(access).holder()
    if as_json:
        repaired = audit.repair(output, report.findings, access.options, access.single_writer) if mend else ()
        print(json.dumps({**report.to_dict(), "holder": holder, "repaired": repaired}))
    else:
        _print_verdict(report, output, time.monotonic() - begun)
        if holder is not None and report.findings:
            print(f"{output} is in use by {holder}: verify it again when that has ended")
        repaired = audit.repair(output, report.findings, access.options, access.single_writer) if mend else ()
        print_some(repaired)
        ours = [each for each in report.findings if not each.superseded]  # gc deletes the others
        if repaired and any(each.kind != "unexpected" for each in ours):
            print("now run the job again: that mends the output")
        elif not repaired and holder is None and any(each.kind == "corrupt" or each.shard is not None for each in ours):
            print(f"to have the next run mend this: melmill verify {output} --repair")
    raise typer.Exit(report.exit_code)


def _print_verdict(report: audit.VerifyReport, output: str, elapsed: float) -> None:
    print_some([f"{finding.kind}: {finding.name}: {finding.what}" for finding in report.findings])
    verdict = f": {len(report.findings)} findings; " if report.findings else " is whole: "
    failed = f", {report.failed} failed" if report.failed else ""
    amount = f"{report.utterances} utterances, {hours(report.seconds)}{failed}"
    print(f"{output}{verdict}{amount}, read again in {duration(elapsed)}")
    if report.superseded.shards:
        print(superseded_line(report.superseded, output))
    if report.others:
        print(others_line(report.others))
