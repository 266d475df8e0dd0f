"""The commands `melmill vocoder ...`.

Each command is a function in a module of this folder, and is imported when it is called. They are the face of
`pipeline.workshop`, which makes, lists, checks and trains vocoders; a run needs nothing of it.
"""

from __future__ import annotations

import typer

from pipeline.cli.lazy import LazyCommand, LazyGroup


class _Commands(LazyGroup):
    lazy = (
        LazyCommand("list", "pipeline.cli.vocoder.listing:list_", "List the vocoders that there are."),
        LazyCommand(
            "import", "pipeline.cli.vocoder.imports:import_", "Make an ONNX model from a vocoder's checkpoint."
        ),
        LazyCommand(
            "check", "pipeline.cli.vocoder.check:check", "Try a vocoder, and say whether it does what it states."
        ),
        LazyCommand(
            "train", "pipeline.cli.vocoder.train:train", "Train a lift vocoder for a mel contract from speech."
        ),
    )


_HELP = """List, import, check and train vocoders.

Example:
    melmill vocoder list
"""

app = typer.Typer(cls=_Commands, help=_HELP, no_args_is_help=True)
