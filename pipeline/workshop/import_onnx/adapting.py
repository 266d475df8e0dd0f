"""Gives a mel-to-waveform graph of any usual shape the inputs and outputs that melmill's models have."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ConfigError
from pipeline.workshop.import_onnx.reading import graphs
from pipeline.workshop.model_geometry import Port, port

Axis = Literal["auto", "mels-first", "frames-first"]
"""The axis of a mel that comes first after the batch; "auto" finds it by its size."""
_OURS = ("mel", "waveform", "mel_waveform_shape", "mel_waveform_scale", "mel_waveform_unscaled")
_LEAST_IR = 4  # before that, weights are inputs: onnx/docs/IR.md


def adapt(model: onnx.ModelProto, n_mels: int, axis: Axis = "auto", scale: float = 1.0) -> onnx.ModelProto:
    """A copy of the model from `mel [batch, n_mels, frames] float32` to `waveform [batch, samples] float32`.

    The batch is 1 if the model takes no other, or if its waveform has no axis for the batch.

    Args:
        model: the model, from a mel `[batch, n_mels, frames]` or `[batch, frames, n_mels]` to a waveform
            `[batch, samples]`, `[batch, 1, samples]` or `[samples]`.
        n_mels: number of bands of the mels that the model takes.
        axis: the axis that comes first, if the shapes do not tell.
        scale: factor for the samples of the waveform.

    Raises:
        ConfigError: if the model is not valid ONNX, has other inputs or outputs, or takes mels of one length only; or
            if either axis may be that of the bands and `axis` is "auto".
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    takes = [port(value) for value in model.graph.input if value.name not in weights]
    gives = [port(value) for value in model.graph.output]
    if len(takes) != 1 or len(gives) != 1:
        raise ConfigError(
            f"it takes {_listed(takes)} and gives {_listed(gives)}; a vocoder takes one mel and gives one waveform: "
            "export it with everything else (speaker, noise, lengths) as constants"
        )
    (mel,), (waveform,) = takes, gives
    for found in (mel, waveform):
        if found.dtype != "float32":
            raise ConfigError(f"{found} is not float32; export it in float32")
    frames_first = _frames_first(mel, n_mels, axis)
    single = _single(mel, waveform)
    adapted = onnx.ModelProto()
    adapted.CopyFrom(model)
    adapted.ir_version = max(adapted.ir_version, _LEAST_IR)
    _rename(adapted, {name: _unused(adapted, name) for name in _OURS})
    _connect(adapted, n_mels, frames_first, single, scale)
    try:
        # Not earlier: onnx requires shapes of inputs and outputs that runtimes do not need.
        onnx.checker.check_model(adapted)
    except onnx.checker.ValidationError as error:
        raise ConfigError(f"it is not valid ONNX: {error}") from error
    return adapted


def _frames_first(mel: Port, n_mels: int, axis: Axis) -> bool:
    if mel.shape is None or len(mel.shape) != 3:
        raise ConfigError(
            f"it takes {mel}; a mel has three axes: [batch, {n_mels}, frames] or [batch, frames, {n_mels}]"
        )
    first, second = (size if isinstance(size, int) else None for size in mel.shape[1:])
    if first is not None and second is not None and n_mels in (first, second):
        length = second if first == n_mels else first
        raise ConfigError(
            f"it takes {mel}, mels of {length} frames only; export it with an axis of variable length for the frames"
        )
    possible = {"mels-first": first in (None, n_mels), "frames-first": second in (None, n_mels)}
    possible["mels-first"] &= second is None
    possible["frames-first"] &= first is None
    if not any(possible.values()):
        raise ConfigError(f"it takes {mel}; none of its axes has the {n_mels} bands of the mel contract")
    if axis == "auto":
        if all(possible.values()):
            raise ConfigError(
                f"it takes {mel}: either axis may be that of the {n_mels} bands; pass --axis mels-first or frames-first"
            )
        return possible["frames-first"]
    if not possible[axis]:
        raise ConfigError(f"it takes {mel}, which cannot be {axis} with {n_mels} bands")
    return axis == "frames-first"


def _single(mel: Port, waveform: Port) -> bool:
    """Whether the model decodes one mel at a time."""
    batch = mel.shape[0] if mel.shape else None
    if isinstance(batch, int) and batch != 1:
        raise ConfigError(f"it takes {mel}, {batch} mels at a time; export it with a batch of one or of any size")
    shape = waveform.shape
    if shape is not None and (
        not 1 <= len(shape) <= 3 or (len(shape) == 3 and isinstance(shape[1], int) and shape[1] != 1)
    ):
        raise ConfigError(f"it gives {waveform}; a waveform is [batch, samples], [batch, 1, samples] or [samples]")
    return batch == 1 or shape is None or len(shape) == 1


def _unused(model: onnx.ModelProto, name: str) -> str:
    used = {
        each
        for graph in graphs(model)
        for each in (
            *(name for node in graph.node for name in (*node.input, *node.output)),
            *(tensor.name for tensor in graph.initializer),
            *(value.name for value in graph.input),
        )
    }
    while name in used:
        name += "_"
    return name


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Gives values of the graph, and of the graphs inside it, other names."""
    for graph in graphs(model):
        for node in graph.node:
            for side in (node.input, node.output):
                for index, name in enumerate(side):
                    side[index] = names.get(name, name)
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = names.get(value.name, value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)


def _connect(model: onnx.ModelProto, n_mels: int, frames_first: bool, single: bool, scale: float) -> None:
    """Puts melmill's input before the model's own, and melmill's output after the model's own."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    (theirs,) = [value.name for value in graph.input if value.name not in weights]
    begin = (
        helper.make_node("Transpose", ["mel"], [theirs], perm=[0, 2, 1])
        if frames_first
        else helper.make_node("Identity", ["mel"], [theirs])
    )
    # 0 keeps the batch's axis: onnx/docs/Operators.md, Reshape.
    shape = np.array([1 if single else 0, -1], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, "mel_waveform_shape"))
    flat = "waveform" if scale == 1 else "mel_waveform_unscaled"
    ends = [helper.make_node("Reshape", [graph.output[0].name, "mel_waveform_shape"], [flat])]
    if scale != 1:
        graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), "mel_waveform_scale"))
        ends.append(helper.make_node("Mul", [flat, "mel_waveform_scale"], ["waveform"]))
    body = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend([begin, *body, *ends])
    batch = 1 if single else "batch"
    graph.input.append(helper.make_tensor_value_info("mel", TensorProto.FLOAT, [batch, n_mels, "frames"]))
    graph.output.append(
        helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch" if not single else "one", "samples"])
    )


def _listed(ports: list[Port]) -> str:
    return ", ".join(map(str, ports[:5])) or "nothing"
