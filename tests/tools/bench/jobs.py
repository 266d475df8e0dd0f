"""Whole jobs, as `melmill run` does them: what their start takes, and what an hour of audio takes."""

import shutil
import sys
from pathlib import Path

from support.packs import pack_audio
from support.paths import PROMPTS
from tools.bench.measuring import Row, Usage, command, speeds
from tools.bench.speech import SPEC, corpus

FIRST, SECOND, LONG = "start, first on a machine", "start, second", "whole run, without its start"
CONTENDERS = {
    ("hifigan-universal", "onnxruntime"): (FIRST, SECOND),
    ("hifigan-universal", "native"): (FIRST, SECOND, LONG),
    ("lift", "native"): (FIRST, SECOND, LONG),
}
"""Vocoder and runtime -> what is measured of their runs."""


def rows(folder: Path, rounds: int) -> list[Row]:
    """Rows for the start of a job of 2.2 s of audio, with an empty cache and again, and for what a longer job adds.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
    """
    short, long = folder / "short", folder / "long"
    short.mkdir(parents=True)
    shutil.copy(PROMPTS / "fr_CA_f_June" / "all-circuits-busy-now.flac", short)
    corpus(long, 1)
    packed = {each: pack_audio(str(each), f"{each}.zarr", SPEC).seconds for each in (short, long)}
    lengths = {FIRST: 0.0, SECOND: 0.0, LONG: packed[long] - packed[short]}
    found = {
        (vocoder, runtime, what): Row(f"{vocoder}, {what}", runtime, audio_seconds=lengths[what])
        for (vocoder, runtime), parts in CONTENDERS.items()
        for what in parts
    }
    for done in range(rounds):
        print(f"jobs, round {done + 1} of {rounds}", file=sys.stderr)
        for (vocoder, runtime), parts in CONTENDERS.items():
            cache = folder / "cache"
            shutil.rmtree(cache, ignore_errors=True)
            cpu, wall = 0.0, 0.0
            for what, store in zip(parts, (short, short, long), strict=False):
                before = (cpu, wall) if what == LONG else (0.0, 0.0)
                taken = _run(store, vocoder, runtime, cache)
                cpu, wall = taken.cpu, taken.wall
                found[vocoder, runtime, what].cpu.append(cpu - before[0])
                found[vocoder, runtime, what].wall.append(wall - before[1])
    for what in (FIRST, SECOND):
        native, theirs = (found["hifigan-universal", runtime, what] for runtime in ("native", "onnxruntime"))
        native.compared["x the speed of onnxruntime"] = speeds(native, theirs)
    return list(found.values())


def _run(store: Path, vocoder: str, runtime: str, cache: Path) -> Usage:
    """A run with one worker."""
    out = store.parent / "audio"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["run", "--store", f"{store}.zarr", "--out", str(out), "--workers", "1", "--vocoder", vocoder]
    arguments += ["--set", f"vocoder.runtime={'auto' if vocoder == 'lift' else runtime}"]
    return command(*arguments, environment={"MELMILL_CACHE": str(cache)})
