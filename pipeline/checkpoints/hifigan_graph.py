"""A generator's layers and weights as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from pipeline.checkpoints.card_in_onnx import write_card
from pipeline.checkpoints.hifigan_layers import Generator, Layer, Stage
from pipeline.checkpoints.model_card import Card
from pipeline.checkpoints.onnx_graph import Graph, PadMode
from pipeline.checkpoints.state_dict import State, StateReader
from pipeline.melspec import MelSpec

# jik876/hifi-gan models.py: LRELU_SLOPE, and F.leaky_relu's default, which the code leaves before conv_post.
SLOPE, _LAST_SLOPE = 0.1, 0.01
# Memory of a frame in onnxruntime's arena, in tensors of the size of the largest activation; measured on V1, rounded.
_LIVE_TENSORS = 8


def build_generator(
    state: State,
    layers: Generator,
    spec: MelSpec,
    family: str,
    title: str,
    source: str,
    *,
    mode: PadMode = "constant",
    slope: float = SLOPE,
    before: Callable[[Graph, StateReader, str], str] = lambda graph, reader, mel: mel,
    activate: Callable[[Graph, StateReader, Layer, str], str] | None = None,
    finish: Callable[[Graph, str], str] = lambda graph, x: graph.node("Tanh", x),
    live_tensors: int = _LIVE_TENSORS,
) -> onnx.ModelProto:
    """A generator as an ONNX model: mel `[batch, n_mels, frames] float32` -> waveform `[batch, samples] float32`.

    The same arguments give the same bytes (`SerializeToString(deterministic=True)`) on any machine.

    Args:
        state: the generator's state dict, weight norm in any of its three spellings.
        layers: layers of the generator.
        spec: contract of the mels that the generator takes.
        family: name of the family, for the card.
        title: name of the family, for messages.
        source: sha256 of the checkpoint file, hexadecimal, for the card.
        mode: mode of the convolutions' padding.
        slope: slope of every leaky ReLU except the last.
        before: function from the mel as a signal to the input of the first layer.
        activate: function (graph, reader, layer, x) -> the input of the layer, used instead of the leaky ReLUs.
        finish: function from the output of the last layer with weights to the waveform as a signal.
        live_tensors: memory that a frame takes, in tensors of the size of the largest activation.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for.
    """
    reader, graph = StateReader(state, title), Graph()

    def layer(found: Layer, x: str) -> str:
        if activate is not None:
            x = activate(graph, reader, found, x)
        elif found is not layers.pre:
            x = graph.leaky_relu(x, _LAST_SLOPE if found is layers.post else slope)
        return _layer(graph, reader, found, x, mode)

    x = layer(layers.pre, before(graph, reader, graph.signal()))
    for stage in layers.stages:
        x = _stage(graph, stage, layer, x)
    x = finish(graph, layer(layers.post, x))
    reader.close()
    graph.waveform(x)
    model = graph.model(family, spec.n_mels)
    card = Card(
        family=family,
        spec=spec,
        halo=layers.halo(),
        extra_samples=layers.samples(1) - spec.hop_length,
        frame_bytes=_frame_bytes(layers, live_tensors),
        source=source,
        least_frames=1 if mode != "reflect" else layers.least_frames(),
    )
    write_card(model, card)
    return model


def _stage(graph: Graph, stage: Stage, layer: Callable[[Layer, str], str], x: str) -> str:
    x = layer(stage.up, x)
    ends = []
    for branch in stage.branches:
        end = x
        for unit in branch:
            inner = end
            for each in unit:
                inner = layer(each, inner)
            end = graph.node("Add", inner, end)
        ends.append(end)
    # The mean as a sum and a division: onnxruntime's CUDA provider has no Mean and would leave it to the CPU.
    total = ends[0]
    for end in ends[1:]:
        total = graph.node("Add", total, end)
    return graph.node("Div", total, graph.number(len(ends)))


def _layer(graph: Graph, reader: StateReader, layer: Layer, x: str, mode: PadMode) -> str:
    weight = reader.weight(layer.name, layer.weight_shape)
    bias = reader.take(f"{layer.name}.bias", (layer.outputs,)) if layer.bias else None
    if reader.incomplete:  # `close` reports it, once all keys were asked for
        return x
    if layer.rate is not None:
        return graph.transposed_convolution(x, layer.name, weight, bias, rate=layer.rate, padding=layer.sides)
    x = graph.pad(x, layer.mirrored, 0, "reflect")
    return graph.convolution(x, layer.name, weight, bias, padding=layer.sides, mode=mode, dilation=layer.dilation)


def _frame_bytes(layers: Generator, live_tensors: int) -> int:
    length, largest = 1, 0
    for stage in layers.stages:
        length *= stage.up.rate or 1
        largest = max(largest, length * stage.up.outputs)
    return live_tensors * largest * np.dtype(np.float32).itemsize
