"""What run, retry and publish do alike: carry out a job, show how it goes, say how it ended."""

from __future__ import annotations

import contextlib
import shlex
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.cli.next_steps import LOOK, next_steps
from pipeline.cli.options import Detail
from pipeline.cli.printing import duration, hours, made_line, size, superseded_line
from pipeline.cli.run_view import logged_to, run_view
from pipeline.config import JobConfig
from pipeline.errors import MelmillError, UtteranceError
from pipeline.events import Event, Listener, RunFailed, RunFinished
from pipeline.jobs.report import RunReport
from pipeline.jobs.run_part import PartReport
from pipeline.output.layout import FAILURES, MANIFEST
from pipeline.output.totals import FAR_OFF, Totals
from pipeline.redaction import redacted
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.events.prometheus import MetricsFile


def carry_out(
    configured: Callable[[], JobConfig],
    work: Callable[[JobConfig, Listener], RunReport | PartReport],
    log_json: bool,
    if_changed: bool = False,
    metrics: Path | None = None,
    detail: Detail = "usual",
    reported: bool = False,
) -> None:
    """Do the work of a command, show its progress, and print how it ended.

    Args:
        configured: reads the job.
        work: does the work, and tells a listener what happens.
        log_json: show progress as JSON lines.
        if_changed: show no progress, and print nothing if there was nothing to do.
        metrics: file for the figures of the run.
        detail: how much is printed.
        reported: whether a report is written afterwards, which says itself how to look at it.
    """
    view = run_view(log_json, progress=not if_changed, detail=detail)
    figures: MetricsFile | None = None

    def listen(event: Event) -> None:
        if figures is not None:
            figures(event)
        if not (if_changed and isinstance(event, RunFinished) and not event.run_id):
            view(event)

    try:
        config = configured()
        with contextlib.ExitStack() as stack:
            if metrics is not None:
                from pipeline.events.prometheus import MetricsFile  # takes a tenth of a second

                figures = stack.enter_context(MetricsFile(metrics, config.output.url))
            stack.enter_context(view)
            stack.enter_context(logged_to(view))
            report = work(config, listen)
    except Exception as error:
        if not log_json:
            raise
        code = error.exit_code if isinstance(error, MelmillError) else MelmillError.exit_code
        words = str(error) if isinstance(error, MelmillError) else redacted(traceback.format_exc())
        view(RunFailed(type(error).__name__, words, code))
        raise typer.Exit(code) from error
    if isinstance(report, PartReport):
        if report.published is None:
            made = made_line(report.made_seconds, report.repacked)
            if detail != "quiet":
                print(
                    f"done in {duration(report.elapsed)}: this part {made}; other parts are still at work, and the "
                    "last of them publishes"
                )
            return
        report = report.published
    if if_changed and not report.run_id and not report.deleted.shards:
        return  # the run that quarantined utterances has already said so
    _summarize(report, config.public(), detail == "quiet", reported)
    if report.totals.failed:
        raise typer.Exit(UtteranceError.exit_code)


def _summarize(report: RunReport, config: JobConfig, quiet: bool, reported: bool) -> None:
    """Print how a run ended. What is wrong is printed in any case."""
    totals, url = report.totals, config.output.url
    there = f"{counted(totals.utterances, 'utterance')}, {hours(totals.seconds)}"
    if not quiet:
        if not report.run_id:
            print(f"nothing to do: {url} already holds {there}")
        else:
            made = made_line(report.made_seconds, report.repacked, report.elapsed)
            print(f"done in {duration(report.elapsed)}: {made}; {url}/{MANIFEST} lists {there}")
        if report.deleted.shards:
            print(f"deleted {counted(report.deleted.shards, 'superseded shard')}, {size(report.deleted.bytes)}")
        if report.superseded.shards:
            print(superseded_line(report.superseded, url))
    if report.run_id:  # a run that finds nothing to do repeats no figures
        _print_quality(totals, config, quiet)
    if totals.failed:
        print(
            f"{counted(totals.failed, 'utterance')} failed; {url}/{FAILURES} says why for each. When the cause is "
            f"mended, run: melmill retry {shlex.quote(url)}"
        )
    if report.run_id and totals.utterances and not quiet:
        print(*next_steps(config.output, LOOK if reported else ""), sep="\n")


def _print_quality(totals: Totals, config: JobConfig, quiet: bool) -> None:
    if totals.mel_distance_median is not None:
        if not quiet:
            print(
                f"mel_distance: median {totals.mel_distance_median:.3f}, relative "
                f"{totals.mel_distance_relative_median:.2f}, worst {totals.mel_distance_worst:.3f} in "
                f"{totals.mel_distance_worst_key}"
            )
        if (totals.mel_distance_relative_median or 0.0) > FAR_OFF:
            print(
                "the audio does not match its mels: the weights may be untrained, or the mels may follow another "
                f"contract than the vocoder's. Listen to it, and try: melmill vocoder check {config.vocoder.name}"
            )
    if totals.over_full_scale:
        kept = config.output.subtype == "FLOAT"
        print(
            f"{counted(totals.over_full_scale, 'utterance has', 'utterances have')} samples over full scale, "
            f"{totals.over_full_scale_samples} in all, with a peak of {totals.peak:.3f} in {totals.peak_key}: "
            + ("they are kept as they are" if kept else "they are clipped; codec wav with subtype FLOAT keeps them")
        )
