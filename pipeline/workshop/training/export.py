"""A trained net as an ONNX model: weights in half precision, arithmetic in single."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from pipeline.dsp.mel import mel_ceiling, mel_silence
from pipeline.melspec import MelSpec
from pipeline.workshop.training.net import KERNEL, Block, LiftNet

_OPSET = 20  # Gelu's first
_IR_VERSION = 9  # of ONNX 1.15, whose opset 20 is
_LAST = np.iinfo(np.int64).max


def export(net: LiftNet, taught: NDArray[np.bool_]) -> onnx.ModelProto:
    """The model: mel `[1, n_mels, frames] float32` in the spec's values to levels `[frames, bins + n_mels] float32`.

    The updates of the magnitudes towards the corrected mel follow in `pipeline.dsp.net_magnitude`.

    Args:
        net: the trained net.
        taught: mask of the bins that had a target, `[bins] bool`. Of the other bins, those that a band covers follow
            the mel, and the rest are silent.
    """
    graph = _Graph()
    mel = _natural(graph, net.spec)
    x = graph.add("Div", graph.add("Sub", mel, graph.weight(net.mean)), graph.weight(net.deviation))
    padded = _padded(graph, x)
    embed = net.embed.weight.permute(2, 1, 0).reshape(-1, net.shape.width)  # [KERNEL * n_mels, width]
    x = graph.linear(graph.add("Concat", *_shifted(graph, padded), axis=1), embed, net.embed.bias)
    x = graph.norm(x, net.norm_in.weight, net.norm_in.bias)
    for block in net.blocks:
        assert isinstance(block, Block)
        x = _block(graph, x, block)
    x = graph.norm(x, net.norm_out.weight, net.norm_out.bias)
    covered = net.uncovered.numpy() == 0
    head, bias = net.head.weight.detach().clone(), net.head.bias.detach().clone()
    head[~taught] = 0
    bias[~taught] = 0
    bias[~taught & ~covered] = -20
    skip = graph.add("Sub", mel, graph.weight(net.level))
    skip = graph.linear(graph.add("Div", skip, graph.constant(float(net.spec.power))), net.spread)
    logs = graph.add("Add", graph.linear(x, head.T, bias), skip)
    wanted = graph.add("Add", mel, graph.linear(x, net.correction.weight.T, net.correction.bias))
    graph.add("Concat", logs, wanted, axis=1, output="levels")
    return graph.model(net.spec.n_mels, net.bank.shape[1])


def _natural(graph: _Graph, spec: MelSpec) -> str:
    """The mel as `[frames, n_mels]` natural logarithms of the filterbank's outputs, clipped to what audio can give."""
    x = graph.add("Squeeze", "mel", graph.integers(0))
    x = graph.add("Transpose", x, perm=[1, 0])
    x = graph.add("Max", x, graph.weight(mel_silence(spec)))
    x = graph.add("Min", x, graph.weight(mel_ceiling(spec)))
    if spec.normalization is not None:
        x = graph.add("Mul", x, graph.weight(np.array(spec.normalization.scale, np.float32)))
        x = graph.add("Add", x, graph.weight(np.array(spec.normalization.mean, np.float32)))
    x = graph.add("Div", x, graph.constant(spec.log_scale))
    if spec.flooring == "add":  # the net was trained on mels with the floor as a maximum
        linear = graph.add("Sub", graph.add("Exp", x), graph.constant(spec.floor))
        x = graph.add("Log", graph.add("Max", linear, graph.constant(spec.floor)))
    return x


def _block(graph: _Graph, x: str, block: Block) -> str:
    kernel = block.depthwise.weight[:, 0].T  # [KERNEL, width]
    sums = graph.weight(block.depthwise.bias)
    for k, piece in enumerate(_shifted(graph, _padded(graph, x))):
        sums = graph.add("Add", sums, graph.add("Mul", piece, graph.weight(kernel[k])))
    y = graph.norm(sums, block.norm.weight, block.norm.bias)
    y = graph.add("Gelu", graph.linear(y, block.up.weight.T, block.up.bias))
    # The block's scale is part of its last matrix.
    return graph.add("Add", x, graph.linear(y, block.down.weight.T * block.scale, block.down.bias * block.scale))


def _padded(graph: _Graph, x: str) -> str:
    half = KERNEL // 2
    return graph.add("Pad", x, graph.integers(half, 0, half, 0))


def _shifted(graph: _Graph, padded: str) -> list[str]:
    """The padded frames, shifted for each tap of a convolution."""
    ends = [k - KERNEL + 1 or _LAST for k in range(KERNEL)]
    return [
        graph.add("Slice", padded, graph.integers(k), graph.integers(end), graph.integers(0))
        for k, end in enumerate(ends)
    ]


class _Graph:
    """An ONNX graph that grows node by node. A value of the graph is given as its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def weight(self, values: Tensor | NDArray[np.float32]) -> str:
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        return self._tensor(np.ascontiguousarray(array, np.float32))

    def constant(self, value: float) -> str:
        return self._tensor(np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        return self._tensor(np.array(values, np.int64))

    def linear(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        half = np.ascontiguousarray(matrix.detach().cpu().numpy().astype(np.float16))
        y = self.add("MatMul", x, self.add("Cast", self._tensor(half), to=TensorProto.FLOAT))
        return y if bias is None else self.add("Add", y, self.weight(bias))

    def norm(self, x: str, weight: Tensor, bias: Tensor) -> str:
        return self.add("LayerNormalization", x, self.weight(weight), self.weight(bias), axis=-1, epsilon=1e-6)

    def model(self, n_mels: int, bins: int) -> onnx.ModelProto:
        given = helper.make_tensor_value_info("mel", TensorProto.FLOAT, [1, n_mels, "frames"])
        result = helper.make_tensor_value_info("levels", TensorProto.FLOAT, ["frames", bins + n_mels])
        graph = helper.make_graph(self._nodes, "lift", [given], [result], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _tensor(self, array: NDArray[np.generic]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name
