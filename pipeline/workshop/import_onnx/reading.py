"""Reads an ONNX file of unknown origin: its sizes, operators and other files are checked before anything is run."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.checkpoints.state_dict import some
from pipeline.errors import ConfigError
from pipeline.workshop.import_onnx.node_order import sort_nodes
from pipeline.workshop.model_geometry import MAX_MODEL_BYTES, read_model_bytes

_STANDARD = ("", "ai.onnx")
# From the first opset that onnxruntime promises to run (its docs, "Compatibility") to the last that onnx knows.
_OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


@dataclass(frozen=True)
class ReadOnnx:
    """A model as it was read.

    Args:
        model: the whole model, with all its weights.
        digest: sha256 of the file, hexadecimal.
        embedded: number of weights that were taken into the model from other files.
    """

    model: onnx.ModelProto
    digest: str
    embedded: int


def read_onnx(path: Path) -> ReadOnnx:
    """The model in a file, including weights from other files of its folder, with its nodes in order.

    Args:
        path: the .onnx file.

    Raises:
        ConfigError: if it cannot be read, is not an ONNX model, is larger than 2 GB with its weights, has nodes in a
            circle, or uses operators other than ONNX's own, random operators, functions, or files outside its folder.
    """
    content = read_model_bytes(path)
    try:
        model = onnx.load_model_from_string(content)
        if not model.graph.node:
            raise ValueError("no nodes")
    except Exception as error:  # an exception of protobuf, whose class depends on its implementation
        raise ConfigError(f"{path}: it is not an ONNX model, or it is damaged") from error
    try:
        _check_operators(model)
        _check_sizes(model, len(content))
        embedded = _embed(model, path.parent, len(content))
        sort_nodes(model)
    except ConfigError as error:
        raise ConfigError(f"{path}: this model is refused: {error}") from error
    return ReadOnnx(model, hashlib.sha256(content).hexdigest(), embedded)


def _check_operators(model: onnx.ModelProto) -> None:
    if model.functions:
        names = ", ".join(sorted({function.name for function in model.functions})[:5])
        raise ConfigError(
            f"it has its own functions ({names}); replace them by their nodes: "
            "onnx.inliner.inline_local_functions(onnx.load(FILE))"
        )
    standard = [entry.version for entry in model.opset_import if entry.domain in _STANDARD]
    if len(standard) != 1 or standard[0] not in _OPSETS:
        raise ConfigError(
            f"its opset is {', '.join(map(str, standard)) or 'not stated'}; melmill reads {_OPSETS[0]} to "
            f"{_OPSETS[-1]}: export it again, or use onnx.version_converter.convert_version"
        )
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes(model) if node.domain not in _STANDARD})
    if foreign:
        raise ConfigError(
            f"it uses operators that are not ONNX's own: {some(foreign)}. Export it without a runtime's optimizations "
            "and custom operators"
        )
    if drawn := sorted({node.op_type for node in nodes(model)} & _RANDOM):
        raise ConfigError(
            f"it draws random numbers ({some(drawn)}), so that the same mel gives other samples each time; "
            "export it with its noise as a constant, or at a temperature of zero"
        )
    # A domain that is imported and not used may be unknown to a runtime.
    for entry in [entry for entry in model.opset_import if entry.domain not in _STANDARD]:
        model.opset_import.remove(entry)
    del model.training_info[:]


def _check_sizes(model: onnx.ModelProto, size: int) -> None:
    for tensor in tensors(model):
        if any(dim < 0 for dim in tensor.dims):
            raise ConfigError(f"the tensor {tensor.name!r:.80} has the shape {list(tensor.dims)}")
        # The smallest values have half a byte or more (ONNX's INT4; bits are not packed).
        if tensor.data_location != onnx.TensorProto.EXTERNAL and math.prod(tensor.dims) > 8 * size:
            raise ConfigError(
                f"the tensor {tensor.name!r:.80} has the shape {list(tensor.dims)}, too large for a file of "
                f"{size} bytes"
            )


def _embed(model: onnx.ModelProto, folder: Path, size: int) -> int:
    """Takes tensors from other files into the model; returns their number."""
    embedded = 0
    for tensor in tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = _beside(folder, location, tensor.name)
        needed = math.prod(tensor.dims) * _item_bytes(tensor)
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", needed))
        except ValueError as error:
            raise ConfigError(f"the place of the tensor {tensor.name!r:.80} in {location!r:.80} is damaged") from error
        size += needed
        if size > MAX_MODEL_BYTES:
            raise ConfigError(
                f"with the weights in other files it has more than {MAX_MODEL_BYTES} bytes, too many for ONNX"
            )
        try:
            with path.open("rb") as file:
                there = os.fstat(file.fileno()).st_size
                if length != needed or offset < 0 or offset + needed > there:
                    raise ConfigError(
                        f"the tensor {tensor.name!r:.80} of {needed} bytes should be {length} bytes at {offset} of "
                        f"{location!r:.80}, which has {there}"
                    )
                file.seek(offset)
                tensor.raw_data = file.read(needed)
        except OSError as error:
            raise ConfigError(f"its weights in {location!r:.80} cannot be read: {error}") from error
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
        embedded += 1
    return embedded


def _beside(folder: Path, location: str, tensor: str) -> Path:
    """The file of external data, which, with links followed, must lie in the model's own folder.

    ONNX (onnx/docs/ExternalData.md): a path relative to the folder of the model.
    """
    named = Path(location)
    try:
        inside = folder.resolve(strict=True)
        found = (inside / named).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"its weights are in {location!r:.80}, which is not there") from error
    if not location or named.is_absolute() or ".." in named.parts or not found.is_relative_to(inside):
        raise ConfigError(
            f"the tensor {tensor!r:.80} is in the file {location!r:.80}, outside the model's folder; such "
            "files are not opened. Save the model with its weights in its own folder"
        )
    if not found.is_file():
        raise ConfigError(f"its weights are in {location!r:.80}, which is not a file")
    return found


def _item_bytes(tensor: onnx.TensorProto) -> int:
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"the tensor {tensor.name!r:.80} has the unknown type {tensor.data_type}") from error
    if kind.itemsize == 0 or kind.kind == "O":
        raise ConfigError(f"the tensor {tensor.name!r:.80} of {kind} cannot be in another file")
    return kind.itemsize


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in the model: initializers, attributes of nodes, and those of graphs and functions inside."""
    for graph in graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse_ones = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for sparse in (*sparse_ones, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of the graph, of the graphs inside it, and of functions."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The model's graph, and the graphs in nodes (If, Loop, Scan) at any depth."""
    yield model.graph
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        for attribute in waiting.pop().attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield inner
                waiting.extend(inner.node)
