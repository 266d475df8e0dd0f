"""What an .onnx file says of itself, read without the library `onnx`, so that a run need not import it.

An ONNX model is a protobuf message. The wire format is short (https://protobuf.dev/programming-guides/encoding): a
message is a sequence of fields, each with a number, a wire type and a value. The numbers of the fields are those of
onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Weights are passed over and never copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FLOAT32 = 1
"""The number of float32 in TensorProto.DataType."""

OnnxPort = tuple[str, int, tuple[int | None, ...]]
"""An input or an output: its name, the number of its element type, and its shape; None for an axis of any size."""

_Field = tuple[int, int | memoryview]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT = 10  # bytes of a 64-bit number
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
    model = memoryview(content)
    graph = _joined(model, _GRAPH)
    weights = {_text(tensor, _TENSOR_NAME) for tensor in _messages(graph, _INITIALIZER)}
    inputs = [_port(value) for value in _messages(graph, _INPUT)]
    return OnnxFile(
        metadata=tuple((_text(entry, 1), _text(entry, 2)) for entry in _messages(model, _METADATA)),
        inputs=tuple(each for each in inputs if each[0] not in weights),
        outputs=tuple(_port(value) for value in _messages(graph, _OUTPUT)),
        external=_has_external_tensor(model),
    )


def _port(value: memoryview) -> OnnxPort:
    tensor = _joined(_joined(value, _TYPE), _TENSOR_TYPE)
    sizes: list[int | None] = []
    for axis in _messages(_joined(tensor, _SHAPE), _AXIS):
        size: int | None = None
        for number, found in _fields(axis):
            if number == _SIZE and isinstance(found, int):
                size = found
            elif number == _SIZE_NAME:  # one of the two: the last one counts
                size = None
        sizes.append(size)
    numbers = [found for number, found in _fields(tensor) if number == _ELEMENT_TYPE and isinstance(found, int)]
    return _text(value, 1), numbers[-1] if numbers else 0, tuple(sizes)


def _has_external_tensor(model: memoryview) -> bool:
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        for number, value in _fields(message):
            if kind == "tensor" and (number, value) == (_DATA_LOCATION, _EXTERNAL):
                return True
            if (inner := _INSIDE[kind].get(number)) is not None and isinstance(value, memoryview):
                waiting.append((inner, value))
    return False


def _messages(message: memoryview, number: int) -> list[memoryview]:
    """The inner messages, or texts, in the fields of that number."""
    return [value for found, value in _fields(message) if found == number and isinstance(value, memoryview)]


def _joined(message: memoryview, number: int) -> memoryview:
    """The one inner message of that number. Several are merged, which for protobuf is the same as joining them."""
    parts = _messages(message, number)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _text(message: memoryview, number: int) -> str:
    texts = _messages(message, number)
    return str(texts[-1], "utf-8") if texts else ""


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message: numbers as signed 64 bits, all that has a length as its bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value - (value >> 63 << 64)
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"field {number} has the wire type {wire_type}")
        if number == 0 or position + length > len(message):
            raise ValueError(f"field {number} of {length} bytes ends beyond its message")
        if wire_type == _BYTES:  # no number of a fixed length is of interest here
            yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position after it."""
    value = 0
    for count, byte in enumerate(message[position : position + _MOST_VARINT]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value & (1 << 64) - 1, position + count + 1
    raise ValueError("a number has no end")
