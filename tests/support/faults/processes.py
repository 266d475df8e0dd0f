"""Processes that tests start, look for and kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import JobConfig

PATIENCE = 240.0
"""Seconds after which what has not happened is taken for what never will."""


@dataclass(frozen=True)
class Process:
    """A line of the kernel's table of processes."""

    pid: int
    parent: int
    session: int
    command: bytes


def processes() -> Iterator[Process]:
    """All that live; those that have ended and wait for their parent are none."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                yield Process(int(folder.name), int(parent), int(session), (folder / "cmdline").read_bytes())


def workers_of(driver: int) -> list[int]:
    """Dask's worker processes of this process, those that are only starting too."""
    return sorted(each.pid for each in processes() if each.parent == driver and b"spawn_main" in each.command)


def session_of(leader: int) -> list[Process]:
    """All processes of the session that a process began, also when that one is gone."""
    return [each for each in processes() if each.session == leader]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} has not come"
        time.sleep(0.01)


def start(config: JobConfig, log: Path, *more: str) -> subprocess.Popen[bytes]:
    """`melmill run` of a job in a session of its own, as a shell or cron starts it; what it says goes to `log`."""
    job = log.with_suffix(".yaml")
    job.write_text(config.model_dump_json())
    with open(log, "wb") as file:
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "pipeline", "run", str(job), *more],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ,
        )


def events_in(log: Path, name: str) -> list[dict[str, Any]]:
    """The events of one kind in a log of `--log-json`, whose last line may be a part of one."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process for as long as the context lasts; nothing of its session outlives it, whatever happens."""
    try:
        yield process
    finally:
        for each in session_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        process.wait()
