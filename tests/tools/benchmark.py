"""Times real time of each stage on the demo's prompts; run by `make bench`. Best of three, this machine, now."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.packs import pack_audio
from support.paths import PROMPTS

import pipeline
from pipeline.dsp.mel import log_mel

SPEC = pipeline.PRESETS["hifigan-22k"]
ROUNDS = 3


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few rounds."""
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    print("| what | seconds of audio | times real time |\n|---|---|---|")

    def row(what: str, seconds: float, elapsed: float) -> None:
        print(f"| {what} | {seconds:.1f} | {seconds / elapsed:.1f} |", flush=True)

    speech = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sorted(PROMPTS.glob("*/*.flac"))])
    row("log-mel analysis, one core", len(speech) / 22050, best(lambda: log_mel(speech, SPEC)))
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "mels.zarr")
        begun = time.perf_counter()
        packed = pack_audio(str(PROMPTS), store, SPEC)
        row(f"pack, {cores} cores, start of processes included", packed.seconds, time.perf_counter() - begun)
        opened = pipeline.open_store(store)
        mels = [opened.read(each) for each in opened.catalogue()][:6]
        seconds = sum(SPEC.seconds(mel.shape[1]) for mel in mels)
        for name in ("hifigan-universal", "griffin-lim"):
            pipeline.vocode(mels[0], name, SPEC)
            elapsed = best(lambda name=name: [pipeline.vocode(mel, name, SPEC) for mel in mels])
            row(f"{name}, one thread", seconds, elapsed)
        values = {"input": {"store": store}, "output": {"url": f"{folder}/audio", "shard_seconds": 5}}
        report = pipeline.run(pipeline.JobConfig.build(values))
        row(f"run, hifigan-universal, {cores} workers, their start included", report.made_seconds, report.elapsed)
        begun = time.perf_counter()
        pipeline.verify(f"{folder}/audio")
        row(f"verify, {cores} cores", report.totals.seconds, time.perf_counter() - begun)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
