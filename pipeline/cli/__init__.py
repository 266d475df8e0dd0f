"""The command line. The only code that prints or exits."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import signal
import sys
import traceback
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from pipeline.cli.convert import plan, publish, retry, run
from pipeline.cli.output import gc, status, verify
from pipeline.cli.pack import pack
from pipeline.cli.stores import inspect
from pipeline.cli.vocoder import app as vocoder
from pipeline.errors import InterruptedRunError, MelmillError, StorageError
from pipeline.redaction import redacted

__all__ = ["app", "main"]


_TYPERS_INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Storage has errors of its own: these, as they are, come from a standard stream."""


class _Commands(TyperGroup):
    """Turns our errors into a message and their exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except MelmillError as error:
            _fail(f"melmill: {error}", error.exit_code)
        except KeyboardInterrupt:
            _fail("melmill: interrupted; run the same command again", InterruptedRunError.exit_code)
        except BrokenPipeError:  # `| head` has read enough
            raise typer.Exit(128 + signal.SIGPIPE) from None  # as a shell tells it of any command
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except OSError as error:
            if error.errno not in _FULL:
                _defect()
            _fail(f"melmill: what was to be printed could not be written: {error.strerror}", StorageError.exit_code)
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise
            _defect()


def _defect() -> None:
    with contextlib.suppress(OSError):
        print(redacted(traceback.format_exc()), file=sys.stderr, end="")
    _fail("melmill: this is a defect of melmill; please report it with the lines above", MelmillError.exit_code)


def _fail(message: str, exit_code: int) -> None:
    with contextlib.suppress(OSError):  # the exit code says it too
        print(message, file=sys.stderr)
    raise typer.Exit(exit_code)


def _let_go(stream: TextIO) -> None:
    """What a stream does not take goes nowhere, instead of failing once more when Python ends, with another code."""
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


app = typer.Typer(
    cls=_Commands,
    name="melmill",
    help="Mel-spectrogram corpora in Zarr become verified audio shards and a manifest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"melmill {importlib.metadata.version('melmill')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (pack, inspect, plan, run, retry, publish, status, verify, gc):
    app.command()(command)
app.add_typer(vocoder, name="vocoder")


def main() -> None:
    """The command `melmill`. KeyboardInterrupt if it was interrupted outside of all commands."""
    try:
        app()
    except SystemExit as end:
        if end.code == _TYPERS_INTERRUPTED:
            raise KeyboardInterrupt from end
        raise
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)
