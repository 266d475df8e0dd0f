"""The command `melmill verify`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated

import typer

from pipeline.cli.options import Access, Json, Output, Quiet, output_access
from pipeline.cli.printing import duration, hours, others_line, print_some, superseded_line
from pipeline.cli.progress import Progress, progress_shown
from pipeline.events import Event
from pipeline.output import audit
from pipeline.output.ledger import Ledger
from pipeline.storage import Storage, open_output
from pipeline.wording import counted


def verify(
    output: Output,
    mend: Annotated[
        bool, typer.Option("--repair", help="Mark what is damaged, so that the next run makes it again.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Number of processes (default: one per core).")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Read only N utterances, chosen at random: a quick look."),
    ] = None,
    settings: Access = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a whole output again and check it.

    Exit codes: 0 the output is whole, 10 something is missing, 11 something is corrupt, 12 there are unexpected
    objects.

    Example:
        melmill verify audio
    """
    begun = time.monotonic()
    access = output_access(output, settings)
    with progress_shown(not as_json and not quiet) as progress:
        shown = _shown_on(progress, open_output(access), sample)
        if sample is not None:
            report = audit.look(output, sample, shown, access.options, workers)
        else:
            report = audit.verify(output, shown, access.options, workers)
    holder = open_output(access).holder()
    if as_json:
        repaired = audit.repair(output, report.findings, access.options, access.single_writer) if mend else ()
        print(json.dumps({**report.to_dict(), "holder": holder, "repaired": repaired}))
    else:
        if not quiet or report.findings:
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


def _shown_on(progress: Progress, storage: Storage, sample: int | None) -> Callable[[Event], None]:
    """Shows how many utterances were read, of those that were published."""
    publication = Ledger(storage).publication()
    there = publication.totals.utterances if publication is not None else None
    total = there if sample is None or there is None else min(sample, there)
    read = 0

    def show(event: Event) -> None:
        nonlocal read
        if isinstance(event, audit.ShardVerified):
            read += event.utterances
            progress.update(f"{read}{f' of {total}' if total is not None else ''} utterances read", read, total)

    return show


def _print_verdict(report: audit.VerifyReport, output: str, elapsed: float) -> None:
    print_some([f"{finding.kind}: {finding.name}: {finding.what}" for finding in report.findings])
    found = f": {counted(len(report.findings), 'finding')}; "
    verdict = found if report.findings else " is whole: "
    failed = f", {report.failed} failed" if report.failed else ""
    amount = f"{counted(report.utterances, 'utterance')}, {hours(report.seconds)}{failed}"
    if (look := report.look) is not None:
        verdict = found if report.findings else ": nothing wrong was found; "
        shards = f"{look.shards} of {counted(look.of_shards, 'shard')}"
        amount = f"{look.utterances} of {counted(look.of, 'utterance')}, in {shards}"
    print(f"{output}{verdict}{amount}, read again in {duration(elapsed)}")
    if look is not None:
        print("not read: all other audio, the digests of shards and lists, the rows of lists, the names of all objects")
    if report.superseded.shards:
        print(superseded_line(report.superseded, output))
    if report.others:
        print(others_line(report.others))
