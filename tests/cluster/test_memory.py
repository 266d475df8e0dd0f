"""What a run keeps of finished work, and whether its memory is what the plan said. With real workers."""

import gc
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.corpora import SPEC
from support.packs import pack_npy

from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import plan, run

Build = Callable[..., JobConfig]
SHARDS = 8
"""Number of shards between two counts."""


def workers() -> list[psutil.Process]:
    """The worker processes that this process has started."""
    return [each for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())]


def most_resident(process: int) -> int:
    """Largest resident memory of a process so far [bytes]."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_neither_driver_nor_scheduler_keeps_anything_of_a_finished_shard_and_a_worker_takes_what_was_planned(
    job: Build,
) -> None:
    """Objects are counted after each third of the shards: a kind that grows by two a shard is kept by somebody."""
    config = job(output__shard_seconds=1, cluster__kind="local", cluster__workers=1)
    planned = plan(config)
    counts: list[Counter[str]] = []
    peaks: list[int] = []
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        done += isinstance(event, ShardCommitted)
        if isinstance(event, ShardCommitted) and done % SHARDS == 0:
            gc.collect()
            counts.append(Counter(type(each).__qualname__ for each in gc.get_objects()))
            peaks.extend(most_resident(each.pid) for each in workers())

    run(config, listen)
    assert len(planned.todo) == done == 3 * SHARDS
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert {kind for kind in first if min(first[kind], second[kind]) >= 2 * SHARDS} == set()
    need = planned.memory.worker + planned.memory.shared
    assert len(peaks) == 3
    assert max(peaks) < need < 1.5 * max(peaks)


def test_what_a_worker_keeps_of_a_large_store_is_planned(job: Build, tmp_path: Path) -> None:
    """Decoded chunks, and rows that it reads ahead."""
    (tmp_path / "long").mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        np.save(tmp_path / "long" / f"{number}.npy", rng.uniform(-8, 0, (80, 2000)).astype(np.float32))
    pack_npy(str(tmp_path / "long"), str(tmp_path / "long.zarr"), SPEC, workers=1)
    config = job(
        input__store=str(tmp_path / "long.zarr"), output__shard_seconds=200, cluster__kind="local", cluster__workers=1,
        input__check_values=False,
    )  # fmt: skip
    need = plan(config).memory
    peaks: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            peaks.extend(most_resident(each.pid) for each in workers())

    run(config, listen)
    assert len(peaks) > 3
    assert max(peaks) < need.worker + need.shared < 1.5 * max(peaks)


def test_a_driver_takes_what_was_planned(job: Build) -> None:
    """In a process of its own, since this one has run other tests."""
    config = job(cluster__kind="local", cluster__workers=1)
    need = plan(config).memory
    command = [sys.executable, "-m", "pipeline", "run", "--store", config.input.store, "--out", config.output.url]
    command += ["--vocoder", config.vocoder.name, "--workers", "1"]
    # The peak of a process counts that of the one it was forked from, so a small one lies between.
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=sys.stderr, check=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    ran = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    peak = int(ran.stdout) * 1024  # that of the driver or of its worker, whichever is larger
    assert peak < max(need.driver, need.worker + need.shared) < 2 * peak


def test_a_job_that_takes_more_memory_than_it_may_is_refused_with_both_numbers(job: Build) -> None:
    config = job(cluster__kind="local", cluster__workers=50, cluster__memory_limit="1 GB")
    with pytest.raises(
        ConfigError, match=r"takes up to \d{4,} MiB .* cluster\.memory_limit, 1 GB \(954 MiB\).*workers"
    ):
        run(config)
    assert not Path(config.output.url).exists()
    assert plan(job(cluster__kind="local", cluster__workers=1, cluster__memory_limit="1 GB")).todo
