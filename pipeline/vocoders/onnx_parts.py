"""What an ONNX model consists of, graphs inside of graphs included."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


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
    """Every node: of the graph, of those inside of it, and of functions."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The model's graph, and those that nodes (If, Loop, Scan) hold, in any depth."""
    yield model.graph
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        for attribute in waiting.pop().attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield inner
                waiting.extend(inner.node)
