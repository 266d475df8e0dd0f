"""The command `melmill run`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.carry_out import carry_out
from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import LogJson, Quiet, Verbose, detail
from pipeline.config import JobConfig
from pipeline.events import Listener
from pipeline.jobs import run as jobs
from pipeline.jobs.run_part import PartReport, run_part
from pipeline.planning.parts import Part

PartOf = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Make part I of N of the job, counted from 0 or from 1. Each part is a process of its own, as in an array "
        "job; the last one publishes.",
    ),
]
SingleWriter = Annotated[
    bool,
    typer.Option(
        "--single-writer", help="For an object store without conditional PUT: nothing else writes to the output."
    ),
]
IfChanged = Annotated[
    bool,
    typer.Option(
        "--if-changed",
        help="For schedules: if there is nothing to do, print nothing and exit with 0; otherwise print why there is "
        "work, without progress.",
    ),
]
Metrics = Annotated[
    Path | None,
    typer.Option(
        "--metrics", metavar="FILE.prom", help="Write figures of the run to this file, for node_exporter to read."
    ),
]

Report = Annotated[
    bool,
    typer.Option("--report", help="At the end, write a page to look at and listen to, beside the output: OUT-report."),
]


@with_job_flags()
def run(
    flags: JobFlags,
    part: PartOf = None,
    single_writer: SingleWriter = False,
    if_changed: IfChanged = False,
    metrics: Metrics = None,
    report: Report = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert a mel store into audio shards and a manifest.

    A run continues where an earlier run stopped: it makes only what is missing or has changed.

    \b
    Exit code  Meaning                               What to do
    0          done, or there was nothing to do
    3          done; some utterances are quarantined  read failures.jsonl
    1          defect in melmill                     report it
    2          command line, job or store is wrong   correct it
    4          mel contract does not fit             choose another vocoder
    5          another run works on this output      wait for it
    6          storage or cluster failed             run again: it resumes
    7          too many failures or clipped samples  read the message
    75         interrupted                           run again: it resumes

    Example:
        melmill run --store mels.zarr --out audio --vocoder lift
    """

    job: JobConfig | None = None

    def configured() -> JobConfig:
        nonlocal job
        job = flags.config(None, *(["output.single_writer=true"] if single_writer else []))
        return job

    def work(config: JobConfig, listener: Listener) -> jobs.RunReport | PartReport:
        if part is None:
            return jobs.run(config, listener, flags.adopt)
        return run_part(config, Part.parse(part), listener, flags.adopt)

    with contextlib.ExitStack() as stack:
        if report:
            from pipeline.cli.report import report_after  # takes a tenth of a second

            stack.enter_context(report_after(lambda: job, quiet=if_changed or quiet))
        carry_out(configured, work, log_json, if_changed, metrics, detail(quiet, verbose), report)
