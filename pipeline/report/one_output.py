"""Makes the report of one output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.output.layout import shard_of
from pipeline.output.published_manifest import PlainRow, PublishedManifest
from pipeline.output.run_records import run_records
from pipeline.planning.versions import installed
from pipeline.report.changes_shown import changes_shown, superseded_shown
from pipeline.report.choosing import ChosenRows, table_rows, worth_a_look
from pipeline.report.clip_audio import ClipWriter
from pipeline.report.failures_shown import failures_shown
from pipeline.report.figures import FIGURES, histogram
from pipeline.report.folder import ReportFolder
from pipeline.report.input_mels import InputMels
from pipeline.report.job_shown import job_shown
from pipeline.report.manifest_scan import ScannedManifest, scan_manifest
from pipeline.report.page_data.page import FORMAT, PageData
from pipeline.report.page_data.rows import ClipList, Example, TableOfRows
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput
from pipeline.report.quality_checks import Checked, quality_checks, verdict
from pipeline.report.report_options import USUAL, ReportOptions, WrittenReport
from pipeline.report.row_files import RowFiles
from pipeline.report.row_table import RowTable
from pipeline.report.run_traces import run_traces, traced_shards
from pipeline.report.shares import all_shares
from pipeline.report.shown_rows import shown_row
from pipeline.report.snippets import snippets
from pipeline.report.summaries import output_shown, summary
from pipeline.storage import NO_OPTIONS


def write_report(
    url: str, folder: Path, options: Mapping[str, Any] = NO_OPTIONS, wanted: ReportOptions = USUAL
) -> WrittenReport:
    """Write the report of an output.

    Args:
        url: path or URL of the output.
        folder: the folder to write, which need not be there. A report in it is replaced.
        options: options for the client of an object store; may name environment variables.
        wanted: what the report holds.

    Raises:
        ConfigError: if there is no output, nothing is published there, or the folder holds
            something that is no report.
        OwnedError: if another process writes this report.
        StorageError: if the output cannot be read, or the report cannot be written.
    """
    output = PublishedOutput.open(url, options)
    with ReportFolder(folder, [output.url]) as target, output.manifest() as manifest:
        made = make_report(output, manifest, target, wanted)
        target.finish(made.page, marker(made.page))
    page = made.page
    return WrittenReport(target.target, page.verdict.text, page.verdict.level, page.rows.total, len(page.clips))


@dataclass(frozen=True)
class MadeReport:
    """A report whose clips are written, and whose page is not.

    Args:
        page: data of the page.
        scan: the manifest.
        table: makes columns of further rows.
    """

    page: PageData
    scan: ScannedManifest
    table: RowTable


def make_report(
    output: PublishedOutput, manifest: PublishedManifest, folder: ReportFolder, wanted: ReportOptions
) -> MadeReport:
    """Write the clips and the rows of a report. Raises the errors of `write_report`.

    Args:
        output: the output.
        manifest: its manifest.
        folder: the report.
        wanted: what it holds.
    """
    scan = scan_manifest(manifest)
    chosen = tuple(worth_a_look(scan, wanted.clips, wanted.seed))
    numbers = list(dict.fromkeys(number for each in chosen for number in each.rows))
    rows = table_rows(scan, wanted.most_rows, np.array(sorted(numbers), np.int64), wanted.seed)
    clips = {number: clip for clip, number in enumerate(numbers)}
    table = RowTable(scan, clips)
    files = RowFiles(table, rows, clips, len(scan), _which_rows(output, wanted))
    shown = files.write(manifest.plain_rows, folder, wanted.rows == "all")
    examples = _examples(output, [(number, files.examples[number]) for number in numbers], folder, wanted.store)
    return MadeReport(page_data(output, scan, chosen, examples, shown), scan, table)


def page_data(
    output: PublishedOutput,
    scan: ScannedManifest,
    chosen: Sequence[ChosenRows],
    examples: tuple[Example, ...],
    table: TableOfRows,
) -> PageData:
    """All of the page.

    Args:
        output: the output.
        scan: its manifest.
        chosen: the rows that deserve a look.
        examples: these rows, with their clips.
        table: the table of utterances.
    """
    texts, failures = PrivateTexts.of(output), failures_shown(output)
    metadata = scan.metadata.shown(output.described.get("metadata") or {})
    failed = sum(group.count for group in failures)
    checks = quality_checks(Checked(output, scan, failed, metadata.notes))
    shards, records = traced_shards(output), {each.run_id: each for each in run_records(output.storage)}
    clip_of = {example.number: clip for clip, example in enumerate(examples)}
    return PageData(
        format=FORMAT,
        kind="report",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        melmill=installed()["melmill"],
        output=output_shown(output, scan),
        summary=summary(output, scan, failed),
        verdict=verdict(checks, len(scan), failed),
        checks=checks,
        groups=tuple(all_shares(scan)),
        histograms=tuple(
            shown
            for figure in FIGURES
            if figure.histogram and (shown := histogram(figure, scan.figures[figure.field])) is not None
        ),
        texts=scan.texts.shown(),
        lists=tuple(
            ClipList(each.id, each.label, each.note, tuple(clip_of[number] for number in each.rows)) for each in chosen
        ),
        clips=examples,
        rows=table,
        runs=run_traces(shards, records, _seconds_of_shards(scan), texts),
        failures=failures,
        metadata=metadata,
        changes=changes_shown(output, shards, records, texts),
        superseded=superseded_shown(output),
        job=job_shown(output, scan.sha256),
        snippets=snippets(output),
        serve=None,
    )


def _which_rows(output: PublishedOutput, wanted: ReportOptions) -> str:
    which = "The page begins with {included:,} rows: both ends of each figure, rows of each speaker, others at random."
    if wanted.rows == "all":
        return f"{which} All rows lie beside the page; a button loads them."
    return f"{which} For all: melmill report {output.public_url} --rows all."


def _examples(
    output: PublishedOutput, rows: Sequence[tuple[int, PlainRow]], folder: ReportFolder, store: bool
) -> tuple[Example, ...]:
    inputs = InputMels(output, (row["key"] for _, row in rows), store)
    writer = ClipWriter.of(output, inputs, folder)
    return tuple(
        Example(shown_row(row), number, writer.write(row, f"clips/{clip:04d}"))
        for clip, (number, row) in enumerate(rows)
    )


def _seconds_of_shards(scan: ScannedManifest) -> dict[str, float]:
    """Name of a commit -> duration of its audio [s]."""
    sums = np.bincount(scan.shards.codes(), scan.figures["duration"], len(scan.shards.values))
    names = (shard_of(path if path.endswith(".tar") else f"{path}/_") for path in scan.shards.values)
    return {name: seconds for name, seconds in zip(names, sums.tolist(), strict=True) if name is not None}


def marker(page: PageData) -> dict[str, Any]:
    """What report.json says of a report."""
    of = {"name": page.output.name, "run_id": page.output.run_id, "manifest_sha256": page.output.manifest_sha256}
    return {"kind": page.kind, "made": page.made, "melmill": page.melmill, "outputs": [of]}
