"""Stores of real speech for whole jobs: the shipped prompts again and again, whole or cut into short utterances."""

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import soundfile
import soxr
import zarr
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.packs import pack_npy
from support.paths import PROMPTS
from tools.bench.speech import SPEC

from pipeline.dsp.mel import log_mel
from pipeline.stores.digests import MelDigest
from pipeline.workshop.import_onnx import import_onnx

Kind = Literal["speech", "short"]
FEWEST, MOST = 20, 40
"""Frames of the shortest and of the longest short utterance: 0.35 s in the mean."""
_STRIDE = 7
"""Short utterances are cut at every seventh frame, so that they are different from each other."""


@dataclass(frozen=True)
class Corpus:
    """A store, and how much is in it.

    Args:
        path: path of the store.
        utterances: number of utterances.
        seconds: length of their audio [s].
    """

    path: Path
    utterances: int
    seconds: float


def store(path: Path, kind: Kind, seconds: float) -> Corpus:
    """A store of `speech` or of `short` utterances that last at least so long, made by `melmill pack`.

    Args:
        path: path of the store.
        kind: `speech` for whole prompts of 3 s in the mean, `short` for pieces of them of 0.35 s in the mean.
        seconds: length of the audio [s].
    """
    folder = path.with_suffix(".npy")
    folder.mkdir(parents=True)
    count, frames = 0, 0
    for mel in itertools.cycle(_prompts()) if kind == "speech" else _pieces():
        np.save(folder / f"{count:07d}.npy", mel)
        count, frames = count + 1, frames + mel.shape[1]
        if SPEC.seconds(frames) >= seconds:
            break
    packed = pack_npy(str(folder), str(path), SPEC, workers=1)
    assert (packed.utterances, packed.failures) == (count, ())
    return Corpus(path, count, packed.seconds)


@functools.cache
def _prompts() -> list[NDArray[np.float32]]:
    """The mels of all prompts, `[n_mels, frames] float32`."""
    read = (soundfile.read(path, dtype="float32") for path in sorted(PROMPTS.glob("*/*.flac")))
    return [log_mel(soxr.resample(waveform, rate, SPEC.sample_rate), SPEC) for waveform, rate in read]


def _pieces() -> Iterable[NDArray[np.float32]]:
    """Pieces of 20 to 40 frames, without end."""
    whole = np.concatenate(_prompts(), axis=1)
    lengths = itertools.cycle(range(FEWEST, MOST + 1))
    for number, frames in enumerate(lengths):
        start = number * _STRIDE % (whole.shape[1] - frames)
        yield np.ascontiguousarray(whole[:, start : start + frames])


def change(corpus: Corpus, count: int) -> None:
    """Make mels of a store a little louder, evenly spread over it, and state their new digests.

    Args:
        corpus: the store, as `store` made it.
        count: number of mels to change.
    """
    group: Any = zarr.open_group(corpus.path, mode="r+")
    offsets, digests = group["offsets"][:], group["digests"][:]
    for index in np.linspace(0, corpus.utterances - 1, count).astype(int).tolist():
        rows = group["mel"][offsets[index] : offsets[index + 1]] + np.float32(0.05)
        group["mel"][offsets[index] : offsets[index + 1]] = rows
        digest = MelDigest()
        digest.push(rows)
        digests[index] = np.frombuffer(digest.finish(), np.uint8)
    group["digests"][:] = digests


def free_vocoder(path: Path) -> str:
    """The path of a vocoder that costs nothing: the mean of a frame, times a wave, reshaped; imported as users do."""
    wave = (0.01 * np.sin(2 * np.pi * np.arange(SPEC.hop_length) / 64)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["mel"], ["frames"], perm=[0, 2, 1]),
            helper.make_node("ReduceMean", ["frames"], ["mean"], axes=[2], keepdims=1),
            helper.make_node("Mul", ["mean", "wave"], ["hops"]),
            helper.make_node("Reshape", ["hops", "shape"], ["waveform"]),
        ],
        "free",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", SPEC.n_mels, "frames"])],
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])],
        [numpy_helper.from_array(wave, "wave"), numpy_helper.from_array(np.array([0, -1], np.int64), "shape")],
    )
    theirs = path.with_suffix(".theirs.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), theirs)
    path.write_bytes(import_onnx(theirs, SPEC).model.SerializeToString())
    return str(path)
