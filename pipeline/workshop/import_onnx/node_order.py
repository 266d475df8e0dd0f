"""Puts the nodes of a graph in the order that ONNX asks for: each after those that it takes values from.

Exporters and graph editors leave them in any order (onnx/docs/IR.md: "nodes must be topologically sorted").
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import onnx

from pipeline.errors import ConfigError

_NAMED = 3  # number of nodes of a circle that the error names


def sort_nodes(model: onnx.ModelProto) -> None:
    """Sorts the nodes of the model's graph, and of the graphs inside it. Nodes that are in order keep theirs.

    Raises:
        ConfigError: if nodes need each other in a circle.
    """
    _sort(model.graph)


def _sort(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for inner in _inner_graphs(node):
            _sort(inner)
    order = _order(graph)
    if order != list(range(len(order))):
        ordered = [graph.node[index] for index in order]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del graph.node[:]
        graph.node.extend(copies)


def _order(graph: onnx.GraphProto) -> list[int]:
    """Positions of the nodes in order: of the nodes that can come next, always the first (Kahn's algorithm)."""
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{maker[name] for name in _taken(node) if name in maker} for node in graph.node]
    takers: list[list[int]] = [[] for _ in graph.node]
    for index, makers in enumerate(needs):
        for each in makers:
            takers[each].append(index)
    ready = [index for index, makers in enumerate(needs) if not makers]
    order = []
    while ready:
        done = heapq.heappop(ready)
        order.append(done)
        for taker in takers[done]:
            needs[taker].discard(done)
            if not needs[taker]:
                heapq.heappush(ready, taker)
    if len(order) < len(graph.node):
        stuck = [graph.node[index] for index, makers in enumerate(needs) if makers]
        names = ", ".join(f"{node.op_type} ({node.name or node.output[0]:.60})" for node in stuck[:_NAMED])
        raise ConfigError(f"{len(stuck)} of its nodes need each other's values, so none of them can be first: {names}")
    return order


def _taken(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the values that a node takes, also in the graphs inside it."""
    yield from node.input
    for graph in _inner_graphs(node):
        own = {name for inner in graph.node for name in inner.output}
        own.update(value.name for value in graph.input)
        own.update(tensor.name for tensor in graph.initializer)
        for inner in graph.node:
            yield from (name for name in _taken(inner) if name not in own)
        yield from (value.name for value in graph.output if value.name not in own)


def _inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
