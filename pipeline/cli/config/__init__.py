"""The commands `melmill config ...`: what a job file may hold, from an installed melmill.

Each command is a function in a module of this folder, and is imported when it is called. They print what
`pipeline.config` knows of its own keys; they read no job.
"""

from __future__ import annotations

import typer

from pipeline.cli.lazy import LazyCommand, LazyGroup


class _Commands(LazyGroup):
    lazy = (
        LazyCommand("keys", "pipeline.cli.config.keys:keys", "List every key of a job, with its values and default."),
        LazyCommand("schema", "pipeline.cli.config.schema:schema", "Print the JSON Schema of a job file."),
    )


_HELP = """Show what a job file may hold.

Example:
    melmill config keys
"""

app = typer.Typer(cls=_Commands, help=_HELP, no_args_is_help=True)
