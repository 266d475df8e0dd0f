"""The command line, `melmill`: the only code that prints or exits.

Each command is a function in a module of its own name; `gc` is in garbage.py and `inspect` in inspect_store.py, since
the standard library has these names. Options and arguments go in; text, JSON and an exit code come out. A command is
imported when it is called, so that `melmill --help` starts without NumPy, Zarr, ONNX Runtime and Dask.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, TextIO

import typer

from pipeline.cli.config import app as config
from pipeline.cli.lazy import LazyCommand, LazyGroup
from pipeline.cli.vocoder import app as vocoder
from pipeline.errors import InterruptedRunError, MelmillError, StorageError
from pipeline.redaction import redacted
from pipeline.wording import meant

__all__ = ["app", "main"]


_TYPERS_INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Storage raises errors of its own, so an OSError with one of these numbers comes from a standard stream."""


class _Commands(LazyGroup):
    """The commands. Turns errors of melmill into a message and their exit code."""

    lazy = (
        LazyCommand("init", "pipeline.cli.init:init", "Write a commented job file, for a store or with defaults."),
        LazyCommand("pack", "pipeline.cli.pack:pack", "Make a mel store from audio, or from mels in other formats."),
        LazyCommand("inspect", "pipeline.cli.inspect_store:inspect", "Show what a mel store holds."),
        LazyCommand("plan", "pipeline.cli.plan:plan", "Show what `melmill run` would do, and why."),
        LazyCommand("run", "pipeline.cli.run:run", "Convert a mel store into audio shards and a manifest."),
        LazyCommand("retry", "pipeline.cli.retry:retry", "Make the quarantined utterances of an output again."),
        LazyCommand("publish", "pipeline.cli.publish:publish", "Publish what the parts of a job have made."),
        LazyCommand("export", "pipeline.cli.export:export", "Write an output in the format of another tool."),
        LazyCommand("status", "pipeline.cli.status:status", "Show how far a run is, or how the last run ended."),
        LazyCommand("verify", "pipeline.cli.verify:verify", "Read a whole output again and check it."),
        LazyCommand("report", "pipeline.cli.report:report", "Write a page to look at and listen to."),
        LazyCommand("serve", "pipeline.cli.serve:serve", "Serve that page, with the audio of every utterance."),
        LazyCommand("gc", "pipeline.cli.garbage:gc", "List, and with --yes delete, what no manifest needs any more."),
        LazyCommand(
            "doctor", "pipeline.cli.doctor:doctor", "Show what melmill has to work with here, and how fast it is."
        ),
        LazyCommand("demo", "pipeline.cli.demo:demo", "Vocode real speech that comes with melmill."),
    )

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _usage_errors_escaped():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_errors_escaped():
                result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except MelmillError as error:
            _fail(f"melmill: {error}", error.exit_code)
        except KeyboardInterrupt:
            _fail("melmill: interrupted; run the same command again", InterruptedRunError.exit_code)
        except BrokenPipeError:  # as in `| head`, which stops reading
            raise typer.Exit(128 + signal.SIGPIPE) from None  # the code that a shell gives for any command
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except OSError as error:
            if error.errno not in _FULL:
                _defect()
            _fail(f"melmill: what it prints could not be written: {error.strerror}", StorageError.exit_code)
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise
            _defect()


@contextlib.contextmanager
def _usage_errors_escaped() -> Iterator[None]:
    """Errors of typer as melmill words them, without the characters that standard error cannot show.

    On ASCII, typer would print UTF-8.
    """
    try:
        yield
    except Exception as error:
        said: Any = error
        if type(error).__module__.startswith("typer.") and isinstance(getattr(said, "message", None), str):
            encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
            said.message = _worded(said.message).encode(encoding, "backslashreplace").decode(encoding)
        raise


def _worded(message: str) -> str:
    """A message of typer about a value that is not one of several, with the one that was probably meant."""
    found = re.fullmatch(r"Value error, '(.*)' is not one of (.+)\.", message)
    if found is None:
        return message
    names = re.findall(r"'([^']*)'", found[2])
    return f"'{found[1]}' is not one of {', '.join(names)}{meant(found[1], names)}."


def _defect() -> None:
    with contextlib.suppress(OSError):
        print(redacted(traceback.format_exc()), file=sys.stderr, end="")
    _fail("melmill: this is a defect in melmill; please report it with the lines above", MelmillError.exit_code)


def _fail(message: str, exit_code: int) -> None:
    with contextlib.suppress(OSError):  # the exit code tells the same
        print(message, file=sys.stderr)
    raise typer.Exit(exit_code)


def _let_go(stream: TextIO) -> None:
    """Discard what a stream does not accept: otherwise it fails again when Python ends, with another exit code."""
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


_HELP = """Turn mel spectrograms kept in Zarr into verified audio shards and a manifest.

Example:
    melmill pack recordings mels.zarr --mel hifigan-22k
    melmill run --store mels.zarr --out audio --vocoder lift
    melmill verify audio
"""

app = typer.Typer(
    cls=_Commands,
    name="melmill",
    help=_HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # as slow as all else that --help needs

        print(f"melmill {importlib.metadata.version('melmill')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.add_typer(config, name="config")
app.add_typer(vocoder, name="vocoder")


def main() -> None:
    """The command `melmill`.

    Raises:
        KeyboardInterrupt: if it was interrupted outside of all commands.
    """
    try:
        app()
    except SystemExit as end:
        if end.code == _TYPERS_INTERRUPTED:
            raise KeyboardInterrupt from end
        raise
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)
