"""The command `melmill`, also started by `python -m pipeline`."""

import io
import os
import signal
import sys

from pipeline.processes.collector import collect_later

collect_later()  # worker processes, too, begin with the main module of their command


def _read_names_as_utf8() -> None:
    """Begin again in Python's UTF-8 mode if this locale has another encoding, as C has where that mode is switched off.

    Python decodes names of files by the locale. The key of a recording, and with it the name of its audio, would depend
    on the machine, and a file that a list names in UTF-8 could not be opened. Standard streams keep their encoding.
    """
    if sys.getfilesystemencoding() != "utf-8":
        if sys.stdout is not None:
            os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _escape_what_cannot_be_shown() -> None:
    """Print \\u65e5 for a character that standard output or standard error has no bytes for, whatever its encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it is None if it was closed
            stream.reconfigure(errors="backslashreplace")


def _leave_pending_tasks() -> None:
    """Let Python end without words about reads that an interrupt left in an event loop, such as zarr's."""
    if "asyncio" in sys.modules:
        import logging

        logging.getLogger("asyncio").disabled = True


def main() -> None:
    """Run the command line. From start to end, Ctrl-C and SIGTERM end it with one line on standard error."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _read_names_as_utf8()
    _escape_what_cannot_be_shown()
    try:
        from pipeline.processes.interrupts import interrupt, interrupts_after_import

        signal.signal(signal.SIGTERM, interrupt)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background jobs ignore it
            signal.signal(signal.SIGINT, interrupt)
        with interrupts_after_import():
            from pipeline import cli
        cli.main()
    except KeyboardInterrupt:
        print("melmill: interrupted; run the same command again", file=sys.stderr)  # noqa: T201
        sys.exit(75)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # the exit code is settled; Python takes a moment to end
            signal.signal(number, signal.SIG_IGN)
        _leave_pending_tasks()
        # If a KeyboardInterrupt passes through an `exec` of text (an import of a dataclass runs one), CPython ends by
        # SIGINT, even if the interrupt is caught later. The next `exec` of text undoes that.
        exec("")  # noqa: S102


if __name__ == "__main__":
    main()
