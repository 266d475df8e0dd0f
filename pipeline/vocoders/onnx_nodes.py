"""What the model in an .onnx file computes: its nodes and constants, read without the library `onnx`.

The numbers of the fields are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.vocoders.onnx_file import FLOAT32
from pipeline.vocoders.protobuf import Field, fields, integers, joined, messages, text

INT64, FLOAT16 = 7, 10
"""The numbers of int64 and float16 in TensorProto.DataType."""

OnnxAttribute = float | int | str | tuple[int, ...]
"""The value of an attribute of a node, of the kinds FLOAT, INT, STRING and INTS."""

# ModelProto, GraphProto, TensorProto.
_GRAPH, _INITIALIZER = 7, 5
_TENSOR_NAME, _DATA_LOCATION, _EXTERNAL = 8, 14, 1
_DIMENSION, _DATA_TYPE, _RAW_DATA = 1, 2, 9
# ModelProto.opset_import, OperatorSetIdProto; GraphProto.node, NodeProto, AttributeProto.
_OPSETS, _OPSET_DOMAIN, _OPSET_VERSION = 8, 1, 2
_NODE, _NODE_INPUT, _NODE_OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN = 1, 1, 2, 4, 5, 7
_NAME, _FLOAT, _INT, _STRING, _INTS, _KIND = 1, 2, 3, 4, 8, 20
# ModelProto.training_info and functions; GraphProto.sparse_initializer: what no model of melmill has.
_OTHERS, _OTHER_CONSTANTS = (20, 25), 15


@dataclass(frozen=True)
class OnnxNode:
    """A node of a graph.

    Args:
        operator: name of the operator.
        inputs: names of the values that it takes.
        outputs: names of the values that it gives.
        attributes: its attributes by name.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, OnnxAttribute]


@dataclass(frozen=True)
class OnnxTensor:
    """A constant of a graph, float32, float16 or int64.

    Args:
        kind: `FLOAT32`, `FLOAT16` or `INT64`.
        shape: its shape.
        raw: its values, little-endian, the last axis fastest; a view of the file's content.
    """

    kind: int
    shape: tuple[int, ...]
    raw: memoryview

    def floats(self) -> NDArray[np.float32]:
        """Its values, `[*shape] float32`; a view of the file's content."""
        if self.kind != FLOAT32:
            raise ValueError("a constant is not float32")
        return np.frombuffer(self.raw, "<f4").reshape(self.shape)

    def halves(self) -> NDArray[np.float16]:
        """Its values, `[*shape] float16`; a view of the file's content."""
        if self.kind != FLOAT16:
            raise ValueError("a constant is not float16")
        return np.frombuffer(self.raw, "<f2").reshape(self.shape)

    def integers(self) -> tuple[int, ...]:
        """Its values, in one row."""
        if self.kind != INT64:
            raise ValueError("a constant is not int64")
        return tuple(np.frombuffer(self.raw, "<i8").tolist())


@dataclass(frozen=True)
class OnnxNodes:
    """What a model computes.

    Args:
        opset: version of the standard operators.
        nodes: the nodes, in the order of the file.
        tensors: the constants by name.
    """

    opset: int
    nodes: tuple[OnnxNode, ...]
    tensors: Mapping[str, OnnxTensor]


def read_onnx_nodes(content: bytes) -> OnnxNodes:
    """Reads nodes and constants of the content of an .onnx file. Values of constants are not copied.

    Raises:
        ValueError: if it is not a protobuf message or a damaged one; or if it has anything that `OnnxNodes` cannot
            express: operators of others, functions, attributes and constants of other kinds, two constants of one name.
    """
    model = fields(memoryview(content))
    graph = fields(joined(model, _GRAPH))
    if any(number in _OTHERS for number, _ in model):
        raise ValueError("the model has functions of its own")
    if any(number == _OTHER_CONSTANTS for number, _ in graph):
        raise ValueError("the graph has sparse constants")
    tensors: dict[str, OnnxTensor] = {}
    for message in map(fields, messages(graph, _INITIALIZER)):
        if (name := text(message, _TENSOR_NAME)) in tensors:
            raise ValueError(f"two constants are named {name}")
        tensors[name] = _tensor(message, name)
    return OnnxNodes(_opset(model), tuple(_node(fields(message)) for message in messages(graph, _NODE)), tensors)


def _opset(model: Sequence[Field]) -> int:
    found = map(fields, messages(model, _OPSETS))
    opsets = [(text(each, _OPSET_DOMAIN), integers(each, _OPSET_VERSION)) for each in found]
    if len(opsets) != 1 or opsets[0][0] not in ("", "ai.onnx") or len(opsets[0][1]) != 1:
        raise ValueError(f"the operators are those of {opsets}")
    return opsets[0][1][0]


def _tensor(message: Sequence[Field], name: str) -> OnnxTensor:
    kinds, shape, raw = integers(message, _DATA_TYPE), integers(message, _DIMENSION), messages(message, _RAW_DATA)
    sizes = {FLOAT32: 4, FLOAT16: 2, INT64: 8}
    if len(kinds) != 1 or kinds[0] not in sizes or len(raw) != 1 or min(shape, default=1) < 0:
        raise ValueError(f"the constant {name} is not raw float32, float16 or int64")
    if _EXTERNAL in integers(message, _DATA_LOCATION) or len(raw[0]) != prod(shape) * sizes[kinds[0]]:
        raise ValueError(f"the constant {name} of shape {list(shape)} has {len(raw[0])} bytes")
    return OnnxTensor(kinds[0], shape, raw[0])


def _node(message: Sequence[Field]) -> OnnxNode:
    if text(message, _DOMAIN) not in ("", "ai.onnx"):
        raise ValueError(f"it has an operator of {text(message, _DOMAIN)}")
    inputs, outputs = (
        tuple(str(each, "utf-8") for each in messages(message, number)) for number in (_NODE_INPUT, _NODE_OUTPUT)
    )
    attributes = dict(_attribute(fields(each)) for each in messages(message, _ATTRIBUTE))
    return OnnxNode(text(message, _OPERATOR), inputs, outputs, attributes)


def _attribute(message: Sequence[Field]) -> tuple[str, OnnxAttribute]:
    name, kinds = text(message, _NAME), integers(message, _KIND)
    known: set[int] = {_NAME, _KIND, _FLOAT, _INT, _STRING, _INTS}
    if len(kinds) != 1 or not {number for number, _ in message} <= known:
        raise ValueError(f"the attribute {name} is of an unknown kind")
    match kinds[0]:
        case 1:  # AttributeProto.FLOAT; INT, STRING and INTS follow
            floats = [value for number, value in message if number == _FLOAT and isinstance(value, float)]
            return name, floats[-1] if floats else 0.0
        case 2:
            return name, (0, *integers(message, _INT))[-1]
        case 3:
            return name, text(message, _STRING)
        case 7:
            return name, integers(message, _INTS)
    raise ValueError(f"the attribute {name} is of an unknown kind")
