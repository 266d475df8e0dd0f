"""From a store of mels to audio files in the ways that people write, and by melmill: what `loops` measures.

Each reads a ragged store, as `melmill pack` makes it, by itself, and writes below a folder that is deleted after.
"""

import contextlib
import hashlib
import io
import itertools
import json
import math
import multiprocessing
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import zarr
from numpy.typing import NDArray
from tools.bench.speech import SPEC

import pipeline
from pipeline.vocoders import decode_mels, load_vocoder
from pipeline.vocoders.registry import model_path
from pipeline.vocoders.windows import Mel

Arrays = list[NDArray[np.float32]]
Work = Callable[[], Arrays]
Decode = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Store = tuple[Any, NDArray[np.int64], list[str]]
"""The array of mels, the offsets of utterances, and their keys."""
WORKERS = 2
BLOCK = 64
"""Number of utterances whose rows the careful loop reads at once."""
TASKS_OF_A_CHILD = 5
"""img2dataset's pool replaces a process after so many shards."""


def _opened(store: str) -> Store:
    group = zarr.open_group(store, mode="r")
    arrays: Any = [group[name] for name in ("mel", "offsets", "keys")]
    return arrays[0], arrays[1][:], [str(key) for key in arrays[2][:]]


def torch_loop(store: str, vocoder: str, generator: Callable[[str], Any]) -> Work:
    """The loop that people write: PyTorch's generator, one utterance at a time, a file each."""
    import torch

    net = generator(vocoder)

    def decode(mel: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            samples: NDArray[np.float32] = net(torch.from_numpy(mel)[None])[0, 0].numpy()
            return samples

    return _files_loop(store, decode)


def onnxruntime_loop(store: str, vocoder: str) -> Work:
    """The same with onnxruntime."""
    return _files_loop(store, _session(vocoder))


def _session(vocoder: str) -> Decode:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = vocoder if vocoder.endswith(".onnx") else str(model_path(vocoder))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda mel: session.run(None, {"mel": mel[None]})[0][0]


def _files_loop(store: str, decode: Decode) -> Work:
    def work() -> Arrays:
        mels, offsets, keys = _opened(store)
        with tempfile.TemporaryDirectory() as out:
            for index, key in enumerate(keys):
                mel = np.ascontiguousarray(mels[offsets[index] : offsets[index + 1]].T)
                soundfile.write(f"{out}/{key}.flac", decode(mel), SPEC.sample_rate, subtype="PCM_16")
        return []

    return work


@cache
def _decode(vocoder: str) -> Decode:
    """What decodes: onnxruntime for a path, melmill's own kernels for a name. Made once in a process."""
    return _session(vocoder) if vocoder.endswith(".onnx") else load_vocoder(vocoder, SPEC).decode


def _made(store: Store, vocoder: str, first: int, last: int) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Key, FLAC and row of utterances, with all that melmill says of audio except its mel distance."""
    (mels, offsets, keys), decode = store, _decode(vocoder)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        rows = mels[offsets[start] : offsets[stop]]
        for index in range(start, stop):
            mel = rows[offsets[index] - offsets[start] : offsets[index + 1] - offsets[start]]
            samples = decode(np.ascontiguousarray(mel.T))
            pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
            encoded = io.BytesIO()
            soundfile.write(encoded, pcm, SPEC.sample_rate, format="FLAC", subtype="PCM_16")
            row = {
                "key": keys[index],
                "num_samples": len(pcm),
                "pcm_sha256": hashlib.sha256(pcm.tobytes()).hexdigest(),
                "peak": float(np.abs(samples).max()),
                "rms_dbfs": 10 * math.log10(float(np.square(samples).mean()) + 1e-20),
            }
            yield keys[index], encoded.getvalue(), row


def _written_shard(store: Store, vocoder: str, first: int, last: int, path: str) -> list[dict[str, Any]]:
    """One tar of the careful loop, and its rows."""
    rows = []
    with tarfile.open(path, "w") as tar:
        for key, encoded, row in _made(store, vocoder, first, last):
            info = tarfile.TarInfo(f"{key}.flac")
            info.size = len(encoded)
            tar.addfile(info, io.BytesIO(encoded))
            rows.append(row)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return [{**row, "shard": path, "shard_sha256": digest} for row in rows]


def _shards(store: Store, shard_seconds: float) -> list[tuple[int, int]]:
    """The first utterance, and the one after the last, of shards of so many seconds."""
    _, offsets, keys = store
    count = max(1, round(SPEC.seconds(int(offsets[-1])) / shard_seconds))
    edges = [len(keys) * number // count for number in range(count + 1)]
    return list(itertools.pairwise(edges))


def careful_loop(store: str, vocoder: str, shard_seconds: str) -> Work:
    """A plain loop as well as it can be written in one process: rows in blocks, FLAC in tars, digests and levels."""
    _decode(vocoder)

    def work() -> Arrays:
        opened = _opened(store)
        with tempfile.TemporaryDirectory() as out:
            rows: list[dict[str, Any]] = []
            for number, (first, last) in enumerate(_shards(opened, float(shard_seconds))):
                rows += _written_shard(opened, vocoder, first, last, f"{out}/{number:06d}.tar")
            _write_rows(Path(out), rows)
        return []

    return work


def _write_rows(out: Path, rows: list[dict[str, Any]]) -> None:
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _shard_of_bag(store: str, vocoder: str, out: str, shard: tuple[int, int, int]) -> list[dict[str, Any]]:
    number, first, last = shard
    return _written_shard(_opened(store), vocoder, first, last, f"{out}/{number:06d}.tar")


def dask_bag(store: str, vocoder: str, shard_seconds: str) -> Work:
    """dask.bag with the careful loop for each shard, in processes, as bags do unless they are told otherwise."""
    import dask.bag

    def work() -> Arrays:
        shards = [(number, *edges) for number, edges in enumerate(_shards(_opened(store), float(shard_seconds)))]
        with tempfile.TemporaryDirectory() as out:
            bag = dask.bag.from_sequence(shards, partition_size=1)
            made = bag.map(lambda shard: _shard_of_bag(store, vocoder, out, shard))
            _write_rows(Path(out), made.flatten().compute(scheduler="processes", num_workers=WORKERS))
        return []

    return work


def _shard_of_pool(task: tuple[str, str, str, int, int, int]) -> int:
    import webdataset

    store, vocoder, out, number, first, last = task
    rows = []
    with contextlib.redirect_stdout(None):  # it prints the name of each shard
        writer = webdataset.ShardWriter(f"{out}/{number:06d}-%d.tar", maxcount=last - first)
        with writer:
            for key, encoded, row in _made(_opened(store), vocoder, first, last):
                writer.write({"__key__": key, "flac": encoded, "json": row})
                rows.append(row)
    Path(out, f"{number:06d}_stats.json").write_text(json.dumps({"count": len(rows)}))
    return len(rows)


def webdataset_pool(store: str, vocoder: str, shard_seconds: str) -> Work:
    """img2dataset's way: a pool of new processes, each of which writes whole shards with webdataset."""

    def work() -> Arrays:
        shards = _shards(_opened(store), float(shard_seconds))
        with tempfile.TemporaryDirectory() as out:
            tasks = [(store, vocoder, out, number, *edges) for number, edges in enumerate(shards)]
            context = multiprocessing.get_context("spawn")
            with context.Pool(WORKERS, maxtasksperchild=TASKS_OF_A_CHILD) as pool:
                list(pool.imap_unordered(_shard_of_pool, tasks))
                pool.close()
                pool.join()
        return []

    return work


def melmill_job(store: str, vocoder: str, shard_seconds: str, workers: str, mel_distance: str) -> Work:
    """A job of melmill in this process, or with so many workers."""
    cluster = {"kind": "synchronous"} if workers == "0" else {"kind": "local", "workers": int(workers)}

    def work() -> Arrays:
        with tempfile.TemporaryDirectory() as out:
            values = {
                "input": {"store": store},
                "vocoder": {"name": vocoder},
                "output": {"url": f"{out}/audio", "shard_seconds": float(shard_seconds)},
                "cluster": cluster,
                "quality": {"mel_distance": mel_distance == "yes"},
            }
            pipeline.run(pipeline.JobConfig.build(values))
        return []

    return work


class _Held:
    """A mel in memory that is read in windows."""

    def __init__(self, mel: NDArray[np.float32]) -> None:
        self.frames = mel.shape[1]
        self.read: Callable[[int, int], NDArray[np.float32]] = lambda start, stop: mel[:, start:stop]


def bare_kernel(store: str, vocoder: str, part: str) -> Work:
    """The vocoder alone on the windows of a job, or of the part I/N of its utterances; the mels are in memory."""
    number, _, parts = part.partition("/")
    opened = pipeline.open_store(store)
    held: list[Mel] = [_Held(np.ascontiguousarray(opened.read(each))) for each in opened.catalogue()]
    made = load_vocoder(vocoder, SPEC)

    def work() -> Arrays:
        for _, pieces in decode_mels(made, held[int(number) :: int(parts)]):
            for _ in pieces:
                pass
        return []

    return work


def reading(store: str) -> Work:
    """A store that is opened, listed and read, utterance by utterance."""

    def work() -> Arrays:
        opened = pipeline.open_store(store, mel=SPEC)
        return [opened.read(each) for each in opened.catalogue()]

    return work
