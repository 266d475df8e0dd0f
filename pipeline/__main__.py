"""The command `melmill`, and python -m pipeline."""

import sys


def main() -> None:
    """Runs the command line; Ctrl-C while it is still being loaded ends it in one line too."""
    try:
        from pipeline import cli
    except KeyboardInterrupt:
        print("melmill: interrupted; run the same command again", file=sys.stderr)  # noqa: T201
        sys.exit(75)
    cli.main()


if __name__ == "__main__":
    main()
