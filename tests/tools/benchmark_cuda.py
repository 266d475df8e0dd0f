"""Times real time on a CUDA card: of decoding, by batch, with the memory it took, and of whole runs, by workers.

Run by `make bench-cuda`; the second of two rounds, this machine, now.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.corpora import SPEC
from support.cuda_card import free_bytes
from support.packs import pack_audio, pack_npy
from support.paths import DATA, PROMPTS

import pipeline
from pipeline.kernels.hifigan.shape import Precision
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.registry import model_path

NAME = "hifigan-universal"
SECONDS = 120.0
BATCHES = (1, 2, 4, 8, 16, 32, 64)
WORKERS = (1, 4)
COPIES = 40
REFERENCE = DATA / "reference" / "fr_CA_f_June__queue-youarenext.npz"


def rate(vocoder: Vocoder, seconds: float) -> float:
    """Times real time of one long mel; the kernels are loaded in the first of two rounds."""
    with np.load(REFERENCE) as arrays:
        mel = arrays["mel"]
    mel = np.tile(mel, (1, 1 + round(seconds / vocoder.spec.seconds(mel.shape[1]))))
    for _ in range(2):
        begun = time.perf_counter()
        for _ in decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1]):
            pass
        elapsed = time.perf_counter() - begun
    return vocoder.spec.seconds(mel.shape[1]) / elapsed


def many(folder: str) -> str:
    """A store of the demo's prompts, many times over."""
    pack_audio(str(PROMPTS), f"{folder}/prompts.zarr", SPEC)
    store = pipeline.open_store(f"{folder}/prompts.zarr")
    for each in store.catalogue():
        mel = store.read(each)
        for copy in range(COPIES):
            target = Path(folder) / "mels" / f"{copy:03d}" / f"{each.key}.npy"
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, mel)
    pack_npy(f"{folder}/mels", f"{folder}/many.zarr", SPEC)
    return f"{folder}/many.zarr"


def main() -> None:
    print("| what | times real time | memory of the card [GiB] |\n|---|---|---|")
    print(f"| {NAME}, one thread of the CPU | {rate(load_vocoder(NAME), 12):.1f} | |", flush=True)
    precisions: tuple[Precision, ...] = ("float32", "mixed")
    for precision, batch in itertools.product(precisions, BATCHES):
        before = free_bytes()
        vocoder = OnnxVocoder(OnnxModel(model_path(NAME), device="cuda", batch=batch, precision=precision))
        found = rate(vocoder, SECONDS)
        took = (before - free_bytes()) / 2**30
        print(f"| {NAME}, {precision}, batches of {batch} | {found:.0f} | {took:.2f} |", flush=True)
        del vocoder
    with tempfile.TemporaryDirectory() as folder:
        store = many(folder)
        for workers in WORKERS:
            values = {
                "input": {"store": store},
                "vocoder": {"name": NAME, "device": "cuda"},
                "output": {"url": f"{folder}/{workers}", "shard_seconds": 120},
                "cluster": {"workers": workers},
            }
            report = pipeline.run(pipeline.JobConfig.build(values))
            speed = report.made_seconds / report.elapsed
            print(
                f"| run, {workers} workers, {report.made_seconds / 60:.0f} min, their start included | {speed:.0f} | |",
                flush=True,
            )


if __name__ == "__main__":
    main()
