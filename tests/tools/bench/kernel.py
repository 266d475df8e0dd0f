"""A whole job beside its bare kernel: the vocoder alone on the same windows and cores, with the mels in memory."""

import contextlib
import shutil
import sys
import time
from pathlib import Path

from tools.bench.corpora import Corpus, store
from tools.bench.measuring import Process, Row, Usage, command, process

VOCODERS = ("lift", "hifigan-universal")
SECONDS = 600
CORES = (1, 2)
BARE, JOB = "bare kernel", "melmill run"


def rows(folder: Path, rounds: int) -> list[Row]:
    """A row for the kernel and one for the job, by vocoder and number of cores.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
    """
    folder.mkdir(parents=True)
    long, start = store(folder / "long.zarr", "speech", SECONDS), store(folder / "start.zarr", "speech", 1)
    found = []
    for vocoder in VOCODERS:
        for cores in CORES:
            print(f"job and bare kernel: {vocoder}, {cores} cores", file=sys.stderr)
            found += _rows(long, start, vocoder, cores, rounds)
    return found


def _rows(long: Corpus, start: Corpus, vocoder: str, cores: int, rounds: int) -> list[Row]:
    what = (
        f"{long.seconds / 60:.0f} minutes in utterances of 3 s, {vocoder}, {cores} {'core' if cores == 1 else 'cores'}"
    )
    bare, job = (Row(what, by, audio_seconds=long.seconds) for by in (BARE, JOB))
    by_cpu, by_wall, beyond = [], [], []
    with contextlib.ExitStack() as stack:
        kernels = [
            stack.enter_context(process(("bare_kernel", str(long.path), vocoder, f"{number}/{cores}")))
            for number in range(cores)
        ]
        for _ in range(rounds):
            kernel, whole, begun = _together(kernels), _job(long, vocoder, cores), _job(start, vocoder, cores)
            for row, usage in ((bare, kernel), (job, whole)):
                row.cpu.append(usage.cpu)
                row.wall.append(usage.wall)
            by_cpu.append(kernel.cpu / whole.cpu)
            by_wall.append(kernel.wall / whole.wall)
            beyond.append(kernel.cpu / (whole.cpu - begun.cpu))
    job.compared["x the speed of its kernel"] = by_cpu
    job.compared["x the speed of its kernel, beyond the job's start"] = beyond
    job.compared["x the speed of its kernel by wall clock"] = by_wall
    return [bare, job]


def _together(kernels: list[Process]) -> Usage:
    """Processes that work at the same time; memory is not measured."""
    begun = time.perf_counter()
    for each in kernels:
        each.order("run")
    answers = [each.answer() for each in kernels]
    times = kernels[0].times
    return Usage(sum(each["cpu"] for each in answers), (time.perf_counter() - begun) / times, 0)


def _job(corpus: Corpus, vocoder: str, workers: int) -> Usage:
    """A job as a user starts it, with the settings that it has by itself."""
    out = corpus.path.with_suffix(".audio")
    shutil.rmtree(out, ignore_errors=True)
    arguments = ("--store", str(corpus.path), "--out", str(out), "--vocoder", vocoder, "--workers", str(workers))
    return command("run", *arguments)
