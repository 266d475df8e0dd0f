"""The command `melmill gc`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.cli.options import Access, Json, Output, output_access
from pipeline.cli.printing import LINES_SHOWN, others_line, print_some, size
from pipeline.output.garbage import GarbageReport, collect_garbage, find_garbage
from pipeline.wording import counted


def gc(
    output: Output,
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """List, and with --yes delete, what no manifest needs any more.

    That is superseded shards, and what killed runs have left. Until it is deleted, readers that still have an older
    manifest can read everything in it.

    Example:
        melmill gc audio
        melmill gc audio --yes
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


def _print_garbage(report: GarbageReport, output: str, deleted: bool) -> None:
    width = max((len(each.name) for each in report.garbage), default=0)
    print_some([f"{each.name:{width}}  {size(each.bytes):>10}  {each.why}" for each in report.garbage])
    amount = f"{counted(len(report.garbage), 'object')}, {size(report.bytes)}"
    if report.holder is not None:
        print(
            f"{output} is in use by {report.holder}: what that makes is not listed, and nothing can be deleted until "
            "it has ended"
        )
    if report.others:
        print(others_line(report.others))
    if not report.garbage:
        print(f"nothing to delete: everything that melmill wrote to {output} is still needed")
    elif deleted:
        print(f"deleted {amount}")
    else:
        more = " (--json lists all)" if len(report.garbage) > LINES_SHOWN else ""
        print(f"{amount} can be deleted{more}: melmill gc {output} --yes")
