"""The net of lift in small, of several contracts, made from the weights that are shipped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.vocoders.registry import LIFTS

BANDS = 20
_SIZES = {7 * 80: 7 * BANDS, 80: BANDS, 256: 32, 512: 48}
_BY_BAND = np.linspace(1, 2, BANDS, dtype=np.float32)
# Nodes that `workshop.training.export` writes for such a contract: before the division by the logarithms' scale, and
# after it. A pair is an operator and its constant.
_Nodes = tuple[tuple[str, np.ndarray | None], ...]
CONTRACTS: dict[str, tuple[_Nodes, float, _Nodes]] = {
    "natural logarithms": ((), 1.0, ()),
    "decadic logarithms, normalized by band": ((("Mul", _BY_BAND), ("Add", -_BY_BAND)), float(np.log10(np.e)), ()),
    "normalized as a whole, floor added": (
        (("Mul", np.array([1.5], np.float32)), ("Add", np.array([-2], np.float32))),
        1.0,
        (("Exp", None), ("Sub", np.array(1e-5, np.float32)), ("Max", np.array(1e-5, np.float32)), ("Log", None)),
    ),
}


@cache
def small_lift(contract: str = "natural logarithms") -> onnx.ModelProto:
    """A model of one of the contracts; not to be changed."""
    model = onnx.load_model(LIFTS["lift"][0])
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(
            numpy_helper.from_array(array[tuple(slice(_SIZES.get(n, n)) for n in array.shape)], tensor.name)
        )
    bins = 1 + 1024 // 2
    model.graph.input[0].CopyFrom(_value("mel", [1, BANDS, "frames"]))
    model.graph.output[0].CopyFrom(_value("levels", ["frames", bins + BANDS]))
    card = json.loads(model.metadata_props[0].value)
    card["mel"]["n_mels"] = BANDS
    model.metadata_props[0].value = json.dumps(card)
    before, scale, after = CONTRACTS[contract]
    position = next(at for at, node in enumerate(model.graph.node) if node.op_type == "Div")
    division = model.graph.node[position]
    scale_of = next(each for each in model.graph.initializer if each.name == division.input[1])
    scale_of.CopyFrom(numpy_helper.from_array(np.array(scale, np.float32), scale_of.name))
    if after:  # what follows takes its last output in place of that of the division
        last, division.output[0] = division.output[0], "divided"
        _insert(model, position + 1, "divided", after, last)
    if before:
        division.input[0] = _insert(model, position, division.input[0], before)
    return model


def write_small_lift(path: Path, contract: str = "natural logarithms") -> Path:
    """The .onnx of a small model."""
    path.write_bytes(small_lift(contract).SerializeToString(deterministic=True))
    return path


def _insert(model: onnx.ModelProto, position: int, x: str, nodes: _Nodes, last: str | None = None) -> str:
    for number, (operator, constant) in enumerate(nodes):
        inputs = [x]
        if constant is not None:
            inputs.append(f"{operator} at {position + number}")
            model.graph.initializer.append(numpy_helper.from_array(constant, inputs[1]))
        x = last if last is not None and number == len(nodes) - 1 else f"{operator} {position + number}"
        model.graph.node.insert(position + number, helper.make_node(operator, inputs, [x]))
    return x


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
