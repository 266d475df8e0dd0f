"""The command `melmill`, also started by `python -m pipeline`."""

import signal
import sys


def main() -> None:
    """Run the command line. From start to end, Ctrl-C and SIGTERM end it with one line on standard error."""
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
        for number in (signal.SIGINT, signal.SIGTERM):  # the exit code is settled; Python takes a moment to end
            signal.signal(number, signal.SIG_IGN)
        # If a KeyboardInterrupt passes through an `exec` of text (an import of a dataclass runs one), CPython ends by
        # SIGINT, even if the interrupt is caught later. The next `exec` of text undoes that.
        exec("")  # noqa: S102


if __name__ == "__main__":
    main()
