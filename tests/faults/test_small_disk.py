"""A real file system that is full before the job is done."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.faults.invariant import Reference
from support.faults.scale import spread, trials
from support.paths import TESTS

import pipeline
from pipeline.config import JobConfig

Build = Callable[..., JobConfig]
SIZES = range(5, 106, 5)
"""Shares of what the job needs at its peak [%]. With a hundred and more there is room."""


def may_mount() -> list[str]:
    """The command before another that lets it mount, out of everyone's sight."""
    as_root = ["unshare", "--mount"]
    refused = subprocess.run([*as_root, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
    return ["unshare", "--mount", "--map-root-user"] if refused else as_root


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_full_disk_ends_the_run_with_exit_6_and_room_lets_it_resume(
    small_job: Build, reference: Reference, tmp_path: Path, container: str
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    config = small_job(output__url=str(place / "audio"), output__container=container)
    sizes = list(SIZES)
    commands = {"tar": [45, 15, 75], "files": [60, 30]}[container]
    job = {
        "config": config.model_dump(mode="json"),
        "digests": reference.digests,
        "in_process": sorted({*spread(sizes, trials(len(sizes), 3)), 100}),
        "by_command": commands[: trials(len(commands), container == "tar")],
    }
    path = os.pathsep.join([str(Path(pipeline.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [*may_mount(), sys.executable, "-m", "support.faults.on_small_disk", json.dumps(job)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(job["in_process"]) + len(job["by_command"])
    for each in told:
        if each["percent"] >= 100:
            assert (each["code"], each["words"]) == (0, "")
        else:
            assert each["code"] == 6
            assert "No space left on device (make room, then run again to resume)" in each["words"]
            assert str(place) in each["words"]
            assert "Traceback" not in each["words"]
