"""HiFi-GAN checkpoints (`g_########`, `generator*.pth.tar`) to ONNX models of ours."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.torch_file import CheckpointError, read_torch_file
from pipeline.vocoders.checkpoints.cache import cached
from pipeline.vocoders.checkpoints.card import Card
from pipeline.vocoders.checkpoints.hifigan_layers import Generator, HifiganConfig, Layer, generator

# Part of a cached model's name: raise it when the same checkpoint is to give another model.
_BUILDER_VERSION = 1
# ONNX operators of 2021, which every onnxruntime that pyproject.toml allows can run.
_OPSET, _IR_VERSION = 17, 8
# models.py: LRELU_SLOPE, and F.leaky_relu's default, which the code leaves before conv_post.
_SLOPE, _LAST_SLOPE = 0.1, 0.01
# Memory of a frame in onnxruntime's arena, in tensors as large as the largest activation: measured on V1, rounded up.
_LIVE_TENSORS = 8

State = Mapping[str, NDArray[Any]]


def cached_hifigan(checkpoint: Path, config: Path) -> Path:
    """The ONNX model of a checkpoint, converted now or taken from the cache folder.

    Args:
        checkpoint: a file of torch that holds {"generator": state dict}.
        config: its config.json.

    Raises:
        CheckpointError: if the checkpoint cannot be read, or does not fit its config.
        ConfigError: if the config is wrong, or the cache folder that `MELMILL_CACHE` names cannot be written.
    """
    settings = HifiganConfig.read(config)
    try:
        with checkpoint.open("rb") as file:
            source = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{checkpoint}: cannot be read: {error}") from error
    identity = json.dumps([_BUILDER_VERSION, source, dataclasses.asdict(settings)])
    name = f"hifigan-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.onnx"

    def build() -> bytes:
        state = generator_state(read_torch_file(checkpoint), str(checkpoint))
        content: bytes = build_hifigan(state, settings, source).SerializeToString(deterministic=True)
        return content

    return cached(name, build)


def generator_state(content: Any, where: str) -> dict[str, NDArray[Any]]:
    """The generator's state dict in what a checkpoint holds.

    Raises:
        CheckpointError: if there is none.
    """
    state = content.get("generator") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, np.ndarray) for value in state.values()):
        raise CheckpointError(f"{where}: holds no HiFi-GAN generator: no state dict under the key 'generator'")
    return state


def build_hifigan(state: State, config: HifiganConfig, source: str) -> onnx.ModelProto:
    """A generator as an ONNX model: mel `[1, n_mels, frames] float32` -> waveform `[samples] float32`.

    The same arguments give the same bytes (`SerializeToString(deterministic=True)`) on any machine.

    Args:
        state: the generator's state dict, weight norm in any of its three spellings.
        config: its config.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for.
    """
    layers = generator(config)
    weights = _fold_weight_norm(state, layers)
    graph = _Graph(weights)
    height = graph.constant("height_axis", np.array([2], np.int64))
    x = graph.layer(layers.pre, graph.node("Unsqueeze", "mel", height))
    for stage in layers.stages:
        x = graph.layer(stage.up, graph.leaky_relu(x, _SLOPE))
        ends = []
        for branch in stage.branches:
            end = x
            for unit in branch:
                inner = end
                for layer in unit:
                    inner = graph.layer(layer, graph.leaky_relu(inner, _SLOPE))
                end = graph.node("Add", inner, end)
            ends.append(end)
        x = graph.node("Mean", *ends)
    x = graph.node("Tanh", graph.layer(layers.post, graph.leaky_relu(x, _LAST_SLOPE)))
    flat = graph.constant("flat", np.array([-1], np.int64))
    graph.nodes.append(helper.make_node("Reshape", [x, flat], ["waveform"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "hifigan",
            [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [1, config.num_mels, "frames"])],
            [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["samples"])],
            graph.initializers,
        ),
        producer_name="melmill",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    Card(
        family="hifigan",
        spec=config.mel_spec(),
        halo=layers.halo(),
        extra_samples=layers.samples(1) - config.hop_size,
        frame_bytes=_frame_bytes(layers),
        source=source,
    ).write(model)
    return model


class _Graph:
    """ONNX nodes in order, each with one output.

    Time is the second axis of an image of height 1: onnxruntime has a faster kernel (blocked channels, "NCHWc") for
    two-dimensional convolutions, and none for one-dimensional ones. V1 gains 15 % by it on a core with AVX2.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def leaky_relu(self, x: str, slope: float) -> str:
        return self.node("LeakyRelu", x, alpha=slope)

    def layer(self, layer: Layer, x: str) -> str:
        weight = self.constant(f"{layer.name}.weight", self.weights[f"{layer.name}.weight"][:, :, None, :])
        bias = self.constant(f"{layer.name}.bias", self.weights[f"{layer.name}.bias"])
        pads = [0, layer.padding, 0, layer.padding]
        if layer.rate is None:
            return self.node("Conv", x, weight, bias, pads=pads, dilations=[1, layer.dilation])
        return self.node("ConvTranspose", x, weight, bias, pads=pads, strides=[1, layer.rate])


def _fold_weight_norm(state: State, layers: Generator) -> dict[str, NDArray[np.float32]]:
    """`NAME.weight` and `NAME.bias` of every layer, float32, each of the shape that the config asks for."""
    used: set[str] = set()
    missing: list[str] = []

    def take(key: str, shape: tuple[int, ...]) -> NDArray[Any]:
        used.add(key)
        if key not in state:
            missing.append(key)
            return np.ones(shape)
        if state[key].shape != shape or state[key].dtype.kind != "f":
            raise CheckpointError(
                f"HiFi-GAN: {key} is {state[key].dtype} {state[key].shape}; the config asks for floats {shape}"
            )
        return state[key]

    weights = {}
    for layer in layers.layers():
        name, shape = f"{layer.name}.weight", layer.weight_shape
        per_row = (shape[0], 1, 1)
        parametrized = f"{layer.name}.parametrizations.weight.original"
        if f"{parametrized}0" in state:
            weight = _normed(take(f"{parametrized}0", per_row), take(f"{parametrized}1", shape))
        elif name in state:
            weight = take(name, shape)
        else:
            weight = _normed(take(f"{name}_g", per_row), take(f"{name}_v", shape))
        weights[name] = weight.astype(np.float32)
        weights[f"{layer.name}.bias"] = take(f"{layer.name}.bias", (layer.outputs,)).astype(np.float32)
    if missing or (unexpected := sorted(set(state) - used)):
        wrong = (
            f"misses {_some(missing)}" if missing else f"has keys that its config does not explain: {_some(unexpected)}"
        )
        raise CheckpointError(f"HiFi-GAN: the checkpoint {wrong}")
    if bad := sorted(name for name, weight in weights.items() if not np.isfinite(weight).all()):
        raise CheckpointError(f"HiFi-GAN: {_some(bad)} not finite (NaN, infinity, or a weight norm of zero)")
    return weights


def _normed(g: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float64]:
    """w = g v / ||v||, the norm over all axes but the first: torch.nn.utils.weight_norm with dim 0.

    The squares are summed one position after the other: numpy's sum along a contiguous axis depends on the machine's
    vector width, and the model's digest must not.
    """
    direction = v.astype(np.float64)
    squares = np.ascontiguousarray(np.square(direction).reshape(len(v), -1).T)
    norm = np.sqrt(np.add.reduce(squares, axis=0)).reshape(-1, 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight: NDArray[np.float64] = g.astype(np.float64) * direction / norm
    return weight


def _some(names: list[str]) -> str:
    return ", ".join(name[:60] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _frame_bytes(layers: Generator) -> int:
    length, largest = 1, 0
    for stage in layers.stages:
        length *= stage.up.rate or 1
        largest = max(largest, length * stage.up.outputs)
    return _LIVE_TENSORS * largest * np.dtype(np.float32).itemsize
