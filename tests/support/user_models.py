"""Small mel-to-waveform models as other tools export them: one convolution, whose halo is known, in any usual shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.melspec import MelSpec

SPEC = MelSpec(
    sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=20, fmin=0.0, fmax=4000.0, mel_scale="slaney",
    mel_norm="slaney", power=1, log="ln", floor=1e-5, framing="same",
)  # fmt: skip


def user_model(
    left: int = 3,
    right: int = 1,
    *,
    frames_first: bool = False,
    axes: int = 2,
    batch: int | str = "batch",
    cut: int = 0,
    names: tuple[str, str] = ("spectrogram", "audio"),
    hop: int = 16,
) -> onnx.ModelProto:
    """From a mel of 20 bands to a waveform.

    Args:
        left: frames to its left that a frame's samples look at.
        right: the same to its right.
        frames_first: whether it takes `[batch, frames, 20]`.
        axes: of its waveform: 1 for `[samples]`, 2 for `[batch, samples]`, 3 for `[batch, 1, samples]`.
        batch: size of that axis.
        cut: samples that are left out at the end.
        names: of its input and its output.
        hop: samples of a frame.
    """
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 0.02, (hop, 20, left + 1 + right)).astype(np.float32)
    shape = {1: [-1], 2: [0, -1], 3: [0, 1, -1]}[axes]
    weights = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(np.array(shape, np.int64), "shape"),
        numpy_helper.from_array(np.array([0], np.int64), "start"),
        numpy_helper.from_array(np.array([-cut], np.int64), "stop"),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
    ]
    mel, audio = names
    begin = [helper.make_node("Transpose", [mel], ["x"], perm=[0, 2, 1])] if frames_first else []
    nodes = [
        *begin,
        helper.make_node("Conv", ["x" if frames_first else mel, "weight"], ["y"], pads=[left, right]),
        helper.make_node("Tanh", ["y"], ["loud"]),
        helper.make_node("Transpose", ["loud"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["frames", "shape"], ["long" if cut else audio]),
        *([helper.make_node("Slice", ["long", "start", "stop", "last"], [audio])] if cut else []),
    ]
    takes = [batch, "frames", 20] if frames_first else [batch, 20, "frames"]
    gives: dict[int, list[Any]] = {1: ["n"], 2: [batch, "n"], 3: [batch, 1, "n"]}
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info(mel, TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info(audio, TensorProto.FLOAT, gives[axes])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def run_theirs(path: Path, mel: NDArray[np.float32], frames_first: bool = False) -> NDArray[np.float32]:
    """What their model gives for a mel `[20, frames]`, by onnxruntime alone: `[samples]`."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = mel.T[None] if frames_first else mel[None]
    waveform: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: given})[0]
    return waveform.reshape(-1)


def appended(operator: str, *inputs: str, **attributes: Any) -> Callable[[onnx.ModelProto], None]:
    """A change that puts a node between a model's last node and its output."""

    def change(model: onnx.ModelProto) -> None:
        last = model.graph.node[-1]
        output, last.output[0] = last.output[0], "before"
        model.graph.node.append(helper.make_node(operator, ["before", *inputs], [output], **attributes))

    return change
