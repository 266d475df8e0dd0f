"""A job on a file system that is too small for it. Run as a process of its own, which may mount: see test_small_disk.

Reads a job as JSON from its first argument: what JobConfig.build takes, with the mount point's folder as the output.
Prints a line of JSON for each size: its share of the need, and how the run ended.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.faults.injection import Injection, Operation
from support.faults.invariant import Reference, assert_invariant, assert_readable

from pipeline.config import JobConfig
from pipeline.errors import MelmillError, StorageError
from pipeline.jobs.run import run

PAGE = os.sysconf("SC_PAGE_SIZE")


def mount(place: Path, size: int, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "none", str(place)], check=True)


@contextmanager
def mounted(place: Path, size: int) -> Iterator[None]:
    mount(place, size)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def used(place: Path) -> int:
    """Bytes that are taken."""
    there = os.statvfs(place)
    return (there.f_blocks - there.f_bfree) * there.f_frsize


def need(config: JobConfig, place: Path) -> int:
    """Bytes that a run takes at its peak."""
    peak = 0

    def look(operation: Operation) -> None:
        nonlocal peak
        peak = max(peak, used(place))

    with mounted(place, 2**30), Injection(place, after=look):
        run(config)
    return peak


def in_process(config: JobConfig) -> tuple[int, str]:
    """Exit code and words of a run in this process."""
    try:
        run(config)
    except StorageError as error:
        return error.exit_code, str(error)
    return 0, ""


def by_command(config: JobConfig) -> tuple[int, str]:
    """Exit code and words of the command, with two local workers."""
    job = Path(config.output.url).parents[1] / "job.yaml"
    local = {**config.model_dump(mode="json"), "cluster": {"kind": "local", "workers": 2}}
    job.write_text(json.dumps(local))
    done = subprocess.run([sys.executable, "-m", "pipeline", "run", str(job)], capture_output=True, text=True)
    return done.returncode, done.stderr


def trial(
    config: JobConfig, place: Path, size: int, act: Callable[[JobConfig], tuple[int, str]], reference: Reference
) -> tuple[int, str]:
    """How the run on so small a disk ended. With room, the next one makes the rest."""
    out = Path(config.output.url)
    with mounted(place, size):
        code, words = act(config)
        assert_readable(out)
        if code:
            mount(place, 2**30, "remount")
            run(config)
        assert_invariant(out, reference)
    return code, words


def main(job: dict[str, Any]) -> None:
    config = JobConfig.build(job["config"])
    reference = Reference(job["digests"])
    place = Path(config.output.url).parent
    whole = need(config, place)
    for act, shares in ((in_process, job["in_process"]), (by_command, job["by_command"])):
        for percent in shares:
            size = -(-whole * percent // 100 // PAGE) * PAGE
            code, words = trial(config, place, size, act, reference)
            told = {"how": act.__name__, "percent": percent, "bytes": size, "code": code, "words": words}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except MelmillError as error:
        sys.exit(f"no fault was injected here: {error}")
