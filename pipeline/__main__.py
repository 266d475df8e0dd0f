"""The command `melmill`, and python -m pipeline."""

import signal
import sys


def main() -> None:
    """Runs the command line. Ctrl-C and SIGTERM end it in one line, from its first moment to its last."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from pipeline.interrupts import interrupts_after_import

        with interrupts_after_import():
            from pipeline import cli
        cli.main()
    except KeyboardInterrupt:
        print("melmill: interrupted; run the same command again", file=sys.stderr)  # noqa: T201
        sys.exit(75)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # how it ended is settled; Python's own end takes a moment
            signal.signal(number, signal.SIG_IGN)
        # A KeyboardInterrupt that passed through an `exec` of text, as dataclasses do it when they are imported, makes
        # CPython end by SIGINT, whoever caught it later; the next such `exec` takes that back.
        exec("")  # noqa: S102


if __name__ == "__main__":
    main()
