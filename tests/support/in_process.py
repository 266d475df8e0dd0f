"""Commands of melmill, called in this process."""

from typer.testing import CliRunner

from pipeline.cli import app


def melmill(*arguments: object, code: int = 0) -> str:
    """Standard output and error of a command, which must end with this exit code.

    Args:
        arguments: its name and arguments; `str` of each is passed.
        code: exit code.
    """
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output
