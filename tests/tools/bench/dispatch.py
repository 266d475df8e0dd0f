"""Handing shards over to Dask: what the driver takes, with its scheduler in it, while workers make rows up or sleep."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.paths import ROOT, TESTS
from tools.bench import made_up
from tools.bench.corpora import free_vocoder
from tools.bench.measuring import ONE_THREAD, Row

WORKERS = 2
MEAN_SECONDS = 0.35
SHARDS = {10: 500, 1714: 60}
"""Utterances of a shard, few or as many as by default -> number of shards."""
SLEEPERS, SLEEPERS_SHARDS, SLEEPERS_UTTERANCES = 1_000, 4_000, 70
"""Workers that sleep, their shards, and the utterances of a shard: of 0.35 s, as long as shards of 25 s."""
NAPS = (25.0, 1.0)
"""Seconds that a worker sleeps for a shard."""
MANY_SHARDS_SECONDS = 35.0
"""Length of a shard of which a million short utterances are 10,000."""


def rows(folder: Path, rounds: int, largest: int) -> Iterator[Row]:
    """A row for the dispatch of a shard of each size, and one for the memory of the driver at the largest corpus.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
        largest: number of utterances of the corpus for which the driver's memory is measured, in one run each.
    """
    folder.mkdir(parents=True)
    vocoder = free_vocoder(folder / "free.onnx")
    found = {each: Row(f"dispatch of a shard of {each} utterances", "driver and scheduler") for each in SHARDS}
    stores = {each: made_up.store(folder / f"{each}.zarr", each * shards) for each, shards in SHARDS.items()}
    for number in range(rounds):
        for each, row in found.items():
            print(f"dispatch of shards of {each} utterances", file=sys.stderr)
            out = folder / f"{each}-{number}"
            taken = _driver(made_up.job_file(folder / "job.json", stores[each], out, vocoder, each * MEAN_SECONDS))
            row.cpu.append(taken["cpu_of_shards"] / taken["counted_shards"])
            row.wall.append(taken["wall"] / taken["shards"])
            row.memory.append(taken["memory"])
    yield from found.values()
    for seconds in NAPS:
        yield _sleepers(seconds, rounds)
    corpus = made_up.store(folder / "largest.zarr", largest)
    for seconds in (600.0, MANY_SHARDS_SECONDS):
        out = folder / f"largest-{seconds:.0f}"
        taken = _driver(made_up.job_file(folder / "job.json", corpus, out, vocoder, seconds))
        what = f"whole run of {largest} made-up utterances in {taken['shards']} shards, once"
        yield Row(what, "driver and scheduler", [taken["cpu"]], [taken["wall"]], memory=[taken["memory"]])


def _sleepers(seconds: float, rounds: int) -> Row:
    """The dispatch to workers that sleep: CPU and wall-clock time of a shard."""
    what = f"dispatch to {SLEEPERS} workers that sleep {seconds:.0f} s a shard, of a shard"
    row, busy = Row(what, "driver and scheduler"), []
    for _ in range(rounds):
        print(what, file=sys.stderr)
        taken = _printed("sleeping_workers", SLEEPERS, seconds, SLEEPERS_SHARDS, SLEEPERS_UTTERANCES)
        row.cpu.append(taken["cpu"])
        row.wall.append(taken["wall"])
        row.memory.append(taken["memory"])
        busy.append(taken["busy"])
    row.compared["of the time a worker is busy (by wall clock)"] = busy
    row.compared["shards a second (by wall clock)"] = [1 / each for each in row.wall]
    return row


def _driver(job: Path) -> dict[str, Any]:
    """What `made_up` prints of a run, and its wall-clock time [s]."""
    begun = time.perf_counter()
    found = _printed("made_up", job, WORKERS)
    return {**found, "wall": time.perf_counter() - begun}


def _printed(module: str, *arguments: object) -> dict[str, Any]:
    """What a program of the bench prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"tools.bench.{module}", *map(str, arguments)],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)])},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout))
