"""The geometry of an ONNX model, as its file states it: inputs, outputs, operators, parameters."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.model_card import KEY, Card
from pipeline.errors import ConfigError

MAX_MODEL_BYTES = 2**31 - 1
"""An ONNX model is a protobuf message, which cannot be larger (protobuf's documentation, "Proto Limits")."""


@dataclass(frozen=True)
class Port:
    """An input or an output of a model.

    Args:
        name: name in the graph.
        dtype: numpy's name of the element type, "?" if numpy has no such type.
        shape: size of each axis, or a name if the size varies; None if the file does not state the number of axes.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        axes = "of any shape" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name} {axes} {self.dtype}"


@dataclass(frozen=True)
class Geometry:
    """The geometry that a model's file states.

    Args:
        inputs: inputs of the graph, except weights, which old models list as inputs.
        outputs: outputs of the graph.
        opset: version of the standard operators; 0 if the model uses none.
        parameters: number of values in weights and constants of floating point.
        bytes: size of the file [bytes].
        card: melmill's card; None if the model has no card.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    parameters: int
    bytes: int
    card: Card | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = dataclasses.asdict(dataclasses.replace(self, card=None))
        plain["family"] = None if self.card is None else self.card.family
        del plain["card"]
        return plain


def read_geometry(path: Path) -> Geometry:
    """The geometry of the .onnx file at that path. Weights in other files are counted but not read.

    Raises:
        ConfigError: if the file cannot be read, is larger than `MAX_MODEL_BYTES`, is not an ONNX model, or has a
            damaged card.
    """
    content = read_model_bytes(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # an exception of protobuf, whose class depends on its implementation
        raise ConfigError(f"{path}: it is not an ONNX model, or it is damaged") from error
    try:
        card = read_card(model) if any(entry.key == KEY for entry in model.metadata_props) else None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    return Geometry(
        inputs=tuple(port(value) for value in model.graph.input if value.name not in weights),
        outputs=tuple(port(value) for value in model.graph.output),
        opset=next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0),
        parameters=sum(_parameters(tensor) for tensor in _constants(model.graph)),
        bytes=len(content),
        card=card,
    )


def read_model_bytes(path: Path) -> bytes:
    """The content of a model's file.

    Raises:
        ConfigError: if it cannot be read, or is larger than `MAX_MODEL_BYTES`.
    """
    try:
        if (size := path.stat().st_size) > MAX_MODEL_BYTES:
            raise ConfigError(f"{path}: it has {size} bytes; an ONNX model has at most {MAX_MODEL_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: this model cannot be read: {error}") from error


def port(value: onnx.ValueInfoProto) -> Port:
    """An input or an output, as the graph describes it."""
    tensor = value.type.tensor_type
    try:
        dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    except (KeyError, ValueError):
        dtype = "?"
    if not tensor.HasField("shape"):
        return Port(value.name, dtype, None)
    sizes = (size.dim_value if size.HasField("dim_value") else size.dim_param or "?" for size in tensor.shape.dim)
    return Port(value.name, dtype, tuple(sizes))


def _constants(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant":
            found += [attribute.t for attribute in node.attribute if attribute.HasField("t")]
    return found


def _parameters(tensor: onnx.TensorProto) -> int:
    floating = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
    return int(np.prod(tensor.dims, dtype=np.float64)) if tensor.data_type in floating else 0
