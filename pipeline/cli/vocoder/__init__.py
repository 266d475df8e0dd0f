"""The commands `melmill vocoder ...`."""

from __future__ import annotations

import typer

from pipeline.cli.vocoder.imports import import_
from pipeline.cli.vocoder.train import train

app = typer.Typer(help="Vocoders.", no_args_is_help=True)


@app.callback()
def _vocoder() -> None:
    pass


app.command("import")(import_)
for command in (train,):
    app.command()(command)
