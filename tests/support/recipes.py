"""The recipes of configs/schedules, with the places of a test instead of /srv."""

import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path

from support.paths import CONFIGS

import pipeline

RECIPES = CONFIGS / "schedules"
METRICS = "/var/lib/prometheus/node-exporter/melmill.prom"
PACKAGE = Path(pipeline.__file__).parents[1]


def recipe(name: str, corpus: Path) -> str:
    """A recipe for the job.yaml in this folder; figures go to melmill.prom there."""
    text = (RECIPES / name).read_text()
    command = shlex.join(["env", f"PYTHONPATH={PACKAGE}", sys.executable, "-m", "pipeline"])
    return (
        text.replace(METRICS, str(corpus / "melmill.prom"))
        .replace("/srv/melmill/.venv/bin/melmill", command)
        .replace("/srv/corpus", str(corpus))
    )


def cron_line(corpus: Path) -> str:
    """The command of the nightly line, as cron gives it to the shell."""
    (line,) = [line for line in recipe("crontab", corpus).splitlines() if line.startswith("0 3 * * *")]
    command = line.split(maxsplit=5)[5]
    assert "%" not in command, "a newline for cron"
    return command


def start_by_cron(corpus: Path) -> subprocess.Popen[str]:
    """Start the nightly line as Debian's cron does: its bare environment, /bin/sh, at home, in a session of its own."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    environment = {"HOME": home, "LOGNAME": "anna", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "MAILTO": "root"}
    return subprocess.Popen(
        ["/bin/sh", "-c", cron_line(corpus)],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )


def mail_of(started: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and what cron would mail; it mails nothing if that is empty."""
    said = started.communicate(timeout=300)[0]
    return started.returncode, said
