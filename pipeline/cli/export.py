"""The command `melmill export`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.cli.options import Access, Json, Output, output_access
from pipeline.cli.printing import hours
from pipeline.errors import ConfigError
from pipeline.views.formats import FORMATS
from pipeline.views.options import ONE_SPLIT, ExportOptions, parse_map, parse_split
from pipeline.views.run import ExportReport
from pipeline.views.run import export as make_export
from pipeline.wording import counted, meant


def export(
    output: Output,
    target: Annotated[str, typer.Argument(metavar="DEST", help="Folder of the export, which is replaced whole.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")],
    where: Annotated[
        str, typer.Option("--where", metavar="EXPRESSION", help="Only utterances that this SQL expression is true for.")
    ] = "",
    split: Annotated[
        str, typer.Option("--split", metavar="NAME=SHARE,...", help="Splits and their shares: train=0.95,dev=0.05.")
    ] = "",
    by: Annotated[
        str | None, typer.Option("--by", metavar="FIELD", help="Utterances with one value get one split [key].")
    ] = None,
    renamed: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=NAME", help="Rename a field of the metadata.")
    ] = None,
    shuffle: Annotated[
        int | None, typer.Option("--shuffle", metavar="SEED", help="Shuffle the order of shards in lists of shards.")
    ] = None,
    base: Annotated[
        str, typer.Option("--base", metavar="URL", help="Where readers find OUT: s3://..., https://...; no links.")
    ] = "",
    audio: Annotated[
        bool, typer.Option("--audio", help="Copy the audio into the export; its bytes stay the same.")
    ] = False,
    allow_empty_text: Annotated[
        bool, typer.Option("--allow-empty-text", help="Export utterances without text to formats that need one.")
    ] = False,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """Write an output in the format of another tool.

    The audio stays where it is, unless --audio copies it. The same command brings the export up to date.

    Example:
        melmill export audio --to wids dataset
        melmill export audio --to audiofolder --audio --split train=0.9,dev=0.1 folder
    """
    if to not in FORMATS:
        raise ConfigError(_unknown_format(to))
    if by is not None and not split:
        raise ConfigError(f"--by {by}: it needs --split, as in --split train=0.95,dev=0.05 --by {by}")
    options = ExportOptions(
        to=to,
        where=where,
        split=parse_split(split) if split else ONE_SPLIT,
        by=by or "key",
        renamed=parse_map(renamed or ()),
        shuffle=shuffle,
        base=base,
        audio=audio,
        allow_empty_text=allow_empty_text,
    )
    report = make_export(output, target, options, output_access(output, settings).options)
    if as_json:
        print(json.dumps(report.to_dict()))
    else:
        _print_report(report)


def _unknown_format(name: str) -> str:
    return f"--to {name}: there is no such format{meant(name, FORMATS)}. Formats: {', '.join(FORMATS)}"


def _print_report(report: ExportReport) -> None:
    counts = report.receipt.counts
    amount = f"{counts['utterances']:,} of {counted(counts['of'], 'utterance')}, {hours(counts['seconds'])}"
    if not report.made:
        print(f"{report.target} is up to date: {report.receipt.format}, {amount}")
        return
    for note in report.receipt.notes:
        print(f"note: {note}")
    if not report.noted:
        print(f"note: {report.output} cannot be written, so melmill status {report.output} does not show this export")
    taken = counted(report.reused, "file was taken over as it was", "files were taken over as they were")
    reused = f"; {taken}" if report.reused else ""
    print(f"{report.target}: {report.receipt.format}, {amount}{reused}")
    if len(counts["splits"]) > 1:
        for name, found in counts["splits"].items():
            print(f"  {name}: {counted(found['utterances'], 'utterance')}, {hours(found['seconds'])}")
