"""The command `melmill report`, and the report at the end of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.next_steps import LOOK, STEPS, step_line
from pipeline.cli.options import Access, Json, output_access
from pipeline.config import JobConfig, OutputConfig
from pipeline.errors import ClippedError, ConfigError, HopelessRunError, MelmillError, TooManyFailuresError
from pipeline.output.published_rows import last_part
from pipeline.report import (
    CLIPS,
    ROWS,
    ReportOptions,
    WrittenReport,
    is_current,
    published_just_now,
    write_comparison,
    write_report,
)
from pipeline.report.folder import INDEX_HTML
from pipeline.wording import counted

_ENDED_WITH_A_PUBLICATION = (0, 3, 7)
_MOST_CLIPS = 1000

Places = Annotated[
    list[str],
    typer.Argument(
        metavar="OUT [DEST]", help="Output folder of a run, and the folder for the report (default: OUT-report)."
    ),
]
Compare = Annotated[bool, typer.Option("--compare", help="Compare two outputs of the same utterances: A B [DEST].")]
RowsShown = Annotated[
    str,
    typer.Option("--rows", metavar="N|all", help="Number of rows in the page; 'all' puts all of them beside it."),
]
Clips = Annotated[
    int, typer.Option("--clips", min=0, max=_MOST_CLIPS, help="Number of utterances in each list of those to look at.")
]
WithoutStore = Annotated[
    bool, typer.Option("--without-store", help="Do not read the mels that went in from their store.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn at random.")]


def report(
    places: Places,
    compare: Compare = False,
    rows: RowsShown = str(ROWS),
    clips: Clips = CLIPS,
    without_store: WithoutStore = False,
    seed: Seed = 0,
    settings: Access = None,
    as_json: Json = False,
) -> None:
    """Write a page to look at and listen to.

    It shows what was made, whether it is good, and which utterances deserve a look.

    DEST is a folder with an index.html that a browser opens without a server. A report that is there is replaced.

    Example:
        melmill report audio
    """
    wanted = ReportOptions(_rows(rows), clips, not without_store, seed)
    if compare:
        first, second, folder = _two_outputs(places)
        options = output_access(first, settings).options
        written = write_comparison(first, second, folder, options, wanted)
    else:
        output, folder = _one_output(places)
        written = write_report(output, folder, output_access(output, settings).options, wanted)
    if as_json:
        print(json.dumps(written.to_dict()))
        return
    print(written.text)
    print(_place_line(written))


def _rows(rows: str) -> int | Literal["all"]:
    if rows == "all":
        return "all"
    if rows.isascii() and rows.isdecimal():
        return int(rows)
    raise ConfigError(f"--rows {rows}: give a number of rows, or 'all'")


def _one_output(places: list[str]) -> tuple[str, Path]:
    if len(places) > 2:
        given = counted(len(places), "place")
        raise ConfigError(f"report takes OUT and DEST, and was given {given}. To compare two outputs, pass --compare")
    return places[0], Path(places[1]) if len(places) == 2 else report_folder(places[0])


def _two_outputs(places: list[str]) -> tuple[str, str, Path]:
    if len(places) not in (2, 3):
        given = counted(len(places), "place")
        raise ConfigError(f"report --compare takes two outputs, and DEST, and was given {given}")
    first, second, *folder = places
    names = last_part(first), last_part(second)
    beside = f"{names[0]}-and-{names[1]}-report" if names[0] != names[1] else "comparison-report"
    return first, second, Path(folder[0] if folder else beside)


def report_folder(output: str) -> Path:
    """Where the report of an output lies: beside it, or in the current folder if that is an object store.

    >>> report_folder("runs/audio/"), report_folder("s3://corpora/audio")
    (PosixPath('runs/audio-report'), PosixPath('audio-report'))
    """
    if "://" in output and not output.startswith("file://"):
        return Path(f"{last_part(output)}-report")
    return Path(f"{output.removeprefix('file://').rstrip('/')}-report")


def _place_line(written: WrittenReport) -> str:
    return step_line(LOOK, f"open {written.folder / INDEX_HTML}")


@contextlib.contextmanager
def report_after(config: Callable[[], JobConfig | None], quiet: bool) -> Iterator[None]:
    """Write the report of what a run has published, once the run has ended. The run never fails because of it.

    Args:
        config: gives the job of the run; None if it could not be read.
        quiet: print nothing about a report that is there already.
    """
    try:
        yield
    except typer.Exit as end:
        if end.exit_code in _ENDED_WITH_A_PUBLICATION:
            _report_on(config(), quiet)
        raise
    except HopelessRunError:
        raise
    except (TooManyFailuresError, ClippedError):
        _report_on(config(), quiet)
        raise
    _report_on(config(), quiet)


def _report_on(config: JobConfig | None, quiet: bool) -> None:
    if config is None:
        return
    output: OutputConfig = config.output
    folder = report_folder(output.url)
    try:
        if not published_just_now(output.url, output.options):  # another part of the job is at work, and publishes
            return
        if is_current(output.url, folder, output.options):
            if not quiet:
                print(f"the report is up to date: {folder / INDEX_HTML}")
            return
        print(_place_line(write_report(output.url, folder, output.options)))
    except MelmillError as error:
        print(f"there is no report: {error}. Once that is mended: {STEPS[LOOK](config.public().output)}")
