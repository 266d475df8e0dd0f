"""What an .onnx file says of itself, read without the library `onnx`, so that a run need not import it.

An ONNX model is a protobuf message. The numbers of its fields are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Weights are passed over and never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.vocoders.protobuf import Field, fields, joined, messages, text

FLOAT32 = 1
"""The number of float32 in TensorProto.DataType."""

OnnxPort = tuple[str, int, tuple[int | None, ...]]
"""An input or an output: its name, the number of its element type, and its shape; None for an axis of any size."""

# ModelProto, GraphProto, ValueInfoProto, TypeProto, TypeProto.Tensor, TensorShapeProto, Dimension, TensorProto.
_GRAPH, _METADATA = 7, 14
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TYPE, _TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _AXIS, _SIZE, _SIZE_NAME = 2, 1, 1, 2, 1, 1, 2
_TENSOR_NAME, _DATA_LOCATION, _EXTERNAL = 8, 14, 1
# Where a message holds others in which a tensor may lie: its kind -> number of a field -> kind of the inner message.
_INSIDE = {
    "model": {_GRAPH: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", _INITIALIZER: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


@dataclass(frozen=True)
class OnnxFile:
    """What the file says of its model.

    Args:
        metadata: key and value of every entry.
        inputs: inputs of the graph, except weights, which old models list as inputs.
        outputs: outputs of the graph.
        external: whether a tensor, also one in an inner graph or in a function, lies in another file.
    """

    metadata: tuple[tuple[str, str], ...]
    inputs: tuple[OnnxPort, ...]
    outputs: tuple[OnnxPort, ...]
    external: bool


def read_onnx_file(content: bytes) -> OnnxFile:
    """Reads the content of an .onnx file.

    Raises:
        ValueError: if it is not a protobuf message, or a damaged one.
    """
    model = fields(memoryview(content))
    graph = fields(joined(model, _GRAPH))
    weights = {text(fields(tensor), _TENSOR_NAME) for tensor in messages(graph, _INITIALIZER)}
    inputs = [_port(fields(value)) for value in messages(graph, _INPUT)]
    entries = map(fields, messages(model, _METADATA))
    return OnnxFile(
        metadata=tuple((text(entry, 1), text(entry, 2)) for entry in entries),
        inputs=tuple(each for each in inputs if each[0] not in weights),
        outputs=tuple(_port(fields(value)) for value in messages(graph, _OUTPUT)),
        external=_has_external_tensor(model),
    )


def _port(value: Sequence[Field]) -> OnnxPort:
    tensor = fields(joined(fields(joined(value, _TYPE)), _TENSOR_TYPE))
    sizes: list[int | None] = []
    for axis in messages(fields(joined(tensor, _SHAPE)), _AXIS):
        size: int | None = None
        for number, found in fields(axis):
            if number == _SIZE and isinstance(found, int):
                size = found
            elif number == _SIZE_NAME:  # one of the two: the last one counts
                size = None
        sizes.append(size)
    numbers = [found for number, found in tensor if number == _ELEMENT_TYPE and isinstance(found, int)]
    return text(value, 1), numbers[-1] if numbers else 0, tuple(sizes)


def _has_external_tensor(model: Sequence[Field]) -> bool:
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        for number, value in message:
            if kind == "tensor" and (number, value) == (_DATA_LOCATION, _EXTERNAL):
                return True
            if (inner := _INSIDE[kind].get(number)) is not None and isinstance(value, memoryview):
                waiting.append((inner, fields(value)))
    return False
