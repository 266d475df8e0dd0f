"""What an utterance costs beside its vocoder: melmill in one process, a careful plain loop, and the bare kernel.

    PYTHONPATH=tests python -m tools.bench.beside_vocoder [--rounds 5] [--utterances 1500] [WHAT ...]

prints the CPU time of an utterance and the ratios, in alternating rounds. WHAT is `short`, for short utterances whose
vocoder costs next to nothing (an .onnx of one mean and a reshape), or the name of a vocoder, for utterances of 3 s.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import soundfile
import zarr
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tools.bench import speech
from tools.bench.speech import SPEC

import pipeline
from pipeline.config import JobConfig
from pipeline.pack.writer import ShardWriter, write_metadata
from pipeline.planning.prepare import prepare
from pipeline.stores import open_store
from pipeline.stores.digests import MelDigest
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.windows import decode_windows
from pipeline.worker.convert import convert_shard
from pipeline.workshop.import_onnx import import_onnx

SHORT = (20, 40)
"""Frames of an utterance of 0.35 s on average: the least and the most."""
LONG = (258, 259)
"""Frames of an utterance of 3 s."""
_BLOCK = 4096
"""Number of rows that the plain loop reads at once."""


def make_store(path: Path, utterances: int, lengths: tuple[int, int]) -> Path:
    """A ragged store of stretches of speech.

    Args:
        path: place of the store.
        utterances: number of utterances.
        lengths: the least and the most frames of an utterance.
    """
    rng = np.random.default_rng(0)
    mels = [np.ascontiguousarray(mel.T) for mel in speech.mels()]
    writer = ShardWriter(path, SPEC.n_mels, 0, lambda shards: None)
    frames, digests = [], []
    for _ in range(utterances):
        mel = mels[rng.integers(len(mels))]
        count = min(int(rng.integers(lengths[0], lengths[1] + 1)), len(mel))
        start = int(rng.integers(len(mel) - count + 1))
        digest = MelDigest()
        digest.push(mel[start : start + count])
        writer.append(mel[start : start + count])
        frames.append(count)
        digests.append(digest.finish())
    writer.finish()
    keys = [f"speaker{index % 97:03d}/{index:07d}" for index in range(utterances)]
    write_metadata(path, SPEC, keys, frames, digests, [""] * utterances)
    return path


def make_costless(path: Path) -> Path:
    """A vocoder of one mean and a reshape: each frame is the same noise, as loud as the mean of the frame's mel."""
    noise = np.random.default_rng(1).normal(0, 3, SPEC.hop_length).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["mel"], ["level"], axes=[1], keepdims=0),
        helper.make_node("Exp", ["level"], ["loud"]),
        helper.make_node("Unsqueeze", ["loud", "last"], ["each"]),
        helper.make_node("Mul", ["each", "noise"], ["hops"]),
        helper.make_node("Reshape", ["hops", "flat"], ["audio"]),
    ]
    weights = [
        numpy_helper.from_array(noise, "noise"),
        numpy_helper.from_array(np.array([2], np.int64), "last"),
        numpy_helper.from_array(np.array([0, -1], np.int64), "flat"),
    ]
    takes = helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", SPEC.n_mels, "frames"])
    gives = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", "samples"])
    graph = helper.make_graph(nodes, "costless", [takes], [gives], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    theirs = path.with_suffix(".theirs.onnx")
    onnx.save(model, theirs)
    onnx.save(import_onnx(theirs, SPEC).model, path)
    return path


def plain_loop(store: Path, vocoder: Path, out: Path) -> None:
    """What a careful person writes without melmill: blocks of rows, onnxruntime, FLAC, a tar, digests and levels."""
    group = zarr.open_group(str(store), mode="r")
    offsets, keys, mel = group["offsets"][:], [str(key) for key in group["keys"][:]], group["mel"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(vocoder, options, providers=["CPUExecutionProvider"])
    out.mkdir(parents=True)
    with tarfile.open(out / "shard.tar", "w") as tar, open(out / "manifest.jsonl", "w") as manifest:
        for key, rows in zip(keys, _rows_of_each(mel, offsets), strict=True):
            waveform = session.run(None, {"mel": np.ascontiguousarray(rows.T)[None]})[0][0]
            peak, power = float(np.abs(waveform).max()), float(np.square(waveform, dtype=np.float64).mean())
            pcm = np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)
            encoded = io.BytesIO()
            soundfile.write(encoded, pcm, SPEC.sample_rate, format="FLAC", subtype="PCM_16")
            row = {
                "key": key,
                "num_samples": len(pcm),
                "pcm_sha256": hashlib.sha256(pcm.tobytes()).hexdigest(),
                "peak": peak,
                "rms_dbfs": 10 * np.log10(power),
            }
            name = key.replace("/", "%2F")
            _add(tar, f"{name}.flac", encoded.getvalue())
            _add(tar, f"{name}.json", json.dumps({"key": key, "duration": len(pcm) / SPEC.sample_rate}).encode())
            manifest.write(json.dumps(row) + "\n")


def _rows_of_each(mel: zarr.Array, offsets: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    begin, block = 0, mel[:0]
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if stop > begin + len(block):
            begin, block = start, mel[start : max(stop, start + _BLOCK)]
        yield block[start - begin : stop - begin]


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def run(store: Path, vocoder: str, out: Path, **quality: bool) -> None:
    """A job of melmill in this process."""
    pipeline.run(_job(store, vocoder, out, quality))


def shards(store: Path, vocoder: str, out: Path, **quality: bool) -> float:
    """The shards of such a job, with their commits, without what plans and publishes them: CPU time [s]."""
    prepared = prepare(_job(store, vocoder, out, quality))
    tasks = list(prepared.plan.tasks(prepared.catalogue))
    begun = time.process_time()
    for task in tasks:
        convert_shard(task, prepared.job)
    return time.process_time() - begun


def _job(store: Path, vocoder: str, out: Path, quality: dict[str, bool]) -> JobConfig:
    settings = {
        "input": {"store": str(store)},
        "vocoder": {"name": vocoder},
        "output": {"url": str(out), "shard_seconds": 300},
        "cluster": {"kind": "synchronous"},
        "quality": quality,
    }
    return JobConfig.build(settings)


def bare_kernel(mels: list[NDArray[np.float32]], vocoder: Vocoder, out: Path) -> None:
    """The same windows decoded in a loop, and nothing else."""
    for mel in mels:
        for _ in decode_windows(vocoder, lambda start, stop, mel=mel: mel[:, start:stop], mel.shape[1]):
            pass


def alternated(work: dict[str, Callable[[Path], float | None]], rounds: int) -> dict[str, list[float]]:
    """CPU time of each piece of work in each round [s], after a round that does not count.

    Args:
        work: what is measured, by name; it is given a folder, and may say what part of its time counts.
        rounds: number of rounds.
    """
    found: dict[str, list[float]] = {name: [] for name in work}
    for done in range(rounds + 1):
        for name, each in work.items():
            with tempfile.TemporaryDirectory() as folder:
                begun = time.process_time()
                counted = each(Path(folder) / "out")
                if done:
                    found[name].append(time.process_time() - begun if counted is None else counted)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", nargs="*", default=["short", "lift"])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--utterances", type=int, default=1500)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "short" in given.what:
            costless = make_costless(folder / "costless.onnx")
            store = make_store(folder / "short.zarr", given.utterances, SHORT)
            plain = "careful plain loop"
            work = {
                plain: functools.partial(plain_loop, store, costless),
                "melmill": functools.partial(run, store, str(costless)),
                "melmill without mel_distance": functools.partial(run, store, str(costless), mel_distance=False),
                "its shards alone": functools.partial(shards, store, str(costless)),
                "its shards alone, without mel_distance": functools.partial(
                    shards, store, str(costless), mel_distance=False
                ),
            }
            _print(alternated(work, given.rounds), plain, given.utterances)
        for name in given.what:
            if name == "short":
                continue
            count = max(10, given.utterances // 100)
            store = make_store(folder / f"{name}.zarr", count, LONG)
            opened = open_store(str(store))
            mels = [opened.read(each) for each in opened.catalogue()]
            vocoder = load_vocoder(name, SPEC)
            kernel = f"{name}, bare kernel, utterances of 3 s"
            work = {
                kernel: functools.partial(bare_kernel, mels, vocoder),
                "melmill": functools.partial(run, store, name),
                "its shards alone": functools.partial(shards, store, name),
            }
            _print(alternated(work, given.rounds), kernel, count)


def _print(found: dict[str, list[float]], base: str, count: int) -> None:
    for name, times in found.items():
        ratios = [each / other for each, other in zip(times, found[base], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        microseconds = statistics.median(times) / count * 1e6
        print(f"{name}: {microseconds:.0f} us an utterance, x {statistics.median(ratios):.2f} ({spread})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
