"""Two workers on two cores against one: how much more audio they make, and how much more memory they take."""

import os
import time

from tools.bench import speech
from tools.bench.measuring import Row, process

PIECE = ("melmill", "hifigan-universal")


def rows(rounds: int) -> list[Row]:
    """A row for each runtime; nothing if this process may use one core only.

    Wall-clock time says what two cores make together, if nothing else runs. CPU time says what workers take from each
    other (caches, memory) whatever else runs.
    """
    if len(os.sched_getaffinity(0)) < 2:
        return []
    return [_row(runtime, rounds) for runtime in ("native", "onnxruntime")]


def _row(runtime: str, rounds: int) -> Row:
    row = Row("hifigan-universal, two workers at once", runtime, audio_seconds=2 * speech.seconds())
    by_wall, by_cpu = [], []
    with process((*PIECE, runtime)) as first:
        first.run()
        alone = first.proportional_memory()
        with process((*PIECE, runtime)) as second:
            second.run()
            together = first.proportional_memory() + second.proportional_memory()
            for _ in range(rounds):
                begun = time.perf_counter()
                one = first.run()
                one_wall = time.perf_counter() - begun
                begun = time.perf_counter()
                for each in (first, second):
                    each.order("run")
                two = [each.answer() for each in (first, second)]
                row.wall.append(time.perf_counter() - begun)
                row.cpu.append(sum(each["cpu"] for each in two))
                by_wall.append(2 * one_wall / row.wall[-1])
                by_cpu.append(4 * one["cpu"] / row.cpu[-1])
    row.compared["x the speed of one by wall clock"] = by_wall
    row.compared["x the speed of one by CPU time"] = by_cpu
    row.compared[f"x the memory of one, {alone >> 20} MiB (PSS)"] = [together / alone]
    return row
