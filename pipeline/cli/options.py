"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pipeline.config import OutputConfig, load_job
from pipeline.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Print progress as JSON lines on standard error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, and at the end only what is wrong.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each shard, too.")]
Detail = Literal["quiet", "usual", "verbose"]
Output = Annotated[str, typer.Argument(metavar="OUT", help="Output folder of a run.")]
Access = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="output.options.NAME=VALUE",
        help="Option of the object store's client, as in the job; or output.single_writer=true.",
    ),
]


def detail(quiet: bool, verbose: bool) -> Detail:
    """How much a command prints.

    Raises:
        ConfigError: if it is to print less and more.
    """
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose contradict each other; pass one of them")
    return "quiet" if quiet else "verbose" if verbose else "usual"


def output_access(output: str, settings: list[str] | None) -> OutputConfig:
    """The section of a job that says where an output is and how to reach it.

    Args:
        output: path or URL of the output.
        settings: values of `--set`.

    Raises:
        ConfigError: if a setting is not about the place of the output or the access to it.
    """
    for setting in settings or ():
        if not setting.startswith(("output.options.", "output.single_writer=")):
            raise ConfigError(
                f"--set {setting}: this command takes output.options.NAME=VALUE and output.single_writer=true only"
            )
    return load_job({"input": {"store": ""}, "output": {"url": output}}, settings=settings or ()).output
