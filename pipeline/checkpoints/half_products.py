"""HiFi-GAN in mixed precision for a GPU: the same model, most of whose convolutions multiply float16.

The split is that of the native kernels' bfloat16: all convolutions of residual blocks except the long ones of the
first stage (`in_pairs`). Between a residual unit's convolutions values stay float16; what goes from unit to unit
is float32. Onnxruntime's CUDA provider multiplies float16 on tensor cores and adds in float32.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np

from pipeline.checkpoints.model_cache import cached
from pipeline.kernels.hifigan.shape import HifiganShape, in_pairs

# Part of a cached model's name. Raise it when another model is made.
_VERSION = 2
_BESIDE = ("LeakyRelu", "Pad")
"""Operators that compute in float16, too, if only convolutions in float16 use what they give."""


def cached_half_products(content: bytes, digest: str, shape: HifiganShape) -> Path:
    """The model in mixed precision, made now or taken from the cache folder.

    Args:
        content: the .onnx file of a HiFi-GAN.
        digest: digest of that content.
        shape: its shape.

    Raises:
        ConfigError: if the cache folder that `MELMILL_CACHE` names cannot be written.
    """
    return cached(f"half-{_VERSION}-{digest}.onnx", lambda: with_half_products(content, shape))


def with_half_products(content: bytes, shape: HifiganShape) -> bytes:
    """The .onnx file of a HiFi-GAN with most convolutions in float16. Inputs and outputs stay float32.

    The same arguments give the same bytes.
    """
    import onnx  # for a model that is not in the cache yet
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {each.name: each for each in graph.initializer}
    mixed = dataclasses.replace(shape, precision="mixed")
    stages = {shape.width(stage): stage for stage in range(len(shape.rates))}

    def halved(node: onnx.NodeProto) -> bool:
        if node.op_type != "Conv":
            return False
        outputs, inputs, _, taps = weights[node.input[1]].dims
        return outputs == inputs and outputs in stages and in_pairs(mixed, stages[outputs], taps)

    users = defaultdict(set)
    for node in graph.node:
        for name in node.input:
            users[name].add(node.output[0])
    half: set[str] = set()  # every node has one output, which is its name here
    for node in reversed(graph.node):  # users come before what they use
        if halved(node) or (node.op_type in _BESIDE and users[node.output[0]] <= half):
            half.add(node.output[0])

    nodes: list[onnx.NodeProto] = []
    casts: dict[str, str] = {}
    for node in graph.node:
        is_half = node.output[0] in half
        for place, name in enumerate(node.input):
            if name in weights:
                if is_half and weights[name].data_type == onnx.TensorProto.FLOAT:
                    values = numpy_helper.to_array(weights[name]).astype(np.float16)
                    weights[name].CopyFrom(numpy_helper.from_array(values, name))
            elif is_half != (name in half):
                if name not in casts:
                    casts[name] = f"{name}_in_{'half' if is_half else 'full'}"
                    kind = onnx.TensorProto.FLOAT16 if is_half else onnx.TensorProto.FLOAT
                    nodes.append(helper.make_node("Cast", [name], [casts[name]], to=kind))
                node.input[place] = casts[name]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return bytes(model.SerializeToString(deterministic=True))
