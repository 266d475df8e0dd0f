"""An ONNX graph that grows node by node; the builders of all families use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# ONNX operators of 2021, which every onnxruntime that pyproject.toml allows can run.
OPSET, _IR_VERSION = 17, 8

PadMode = Literal["constant", "reflect", "edge"]


class Graph:
    """ONNX nodes in order, each with one output. A value of the graph is given as its name.

    Signals are `[batch, channels, 1, length]`: time is the second axis of an image of height 1. Onnxruntime has a
    faster kernel (blocked channels, "NCHWc") for two-dimensional convolutions only. With it HiFi-GAN V1 is 15 % faster
    on a core with AVX2.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output, and returns that output's name."""
        name = f"{operator}_{len(self._nodes)}" if output is None else output
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A tensor inside the model. A name stands for one value, and may be given again with the same value."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        known = self._tensors.setdefault(name, tensor)
        assert known.SerializeToString() == tensor.SerializeToString(), f"two constants are named {name}"
        return name

    def integers(self, *values: int) -> str:
        """A constant `[len(values)] int64`, as axes, pads and shapes are given."""
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A constant float32 scalar."""
        return self.constant(f"number_{np.float32(value)!s}", np.array(value, np.float32))

    def signal(self, mel: str = "mel") -> str:
        """The model's input `[batch, n_mels, frames]` as a signal `[batch, n_mels, 1, frames]`."""
        return self.node("Unsqueeze", mel, self.integers(2))

    def channels(self, name: str, values: NDArray[np.float32]) -> str:
        """A constant `[channels] float32` to multiply with, or to add to, every position of a signal."""
        return self.constant(name, values.reshape(1, -1, 1, 1))

    def leaky_relu(self, x: str, slope: float) -> str:
        """`slope * x` where x is below 0, else x."""
        return self.node("LeakyRelu", x, alpha=slope)

    def pad(self, x: str, left: int, right: int, mode: PadMode = "constant") -> str:
        """A signal with `left` and `right` more positions: zeros, the signal mirrored at its end, or its end repeated.

        A signal that is mirrored must be longer than `left` and `right`.
        """
        if left == right == 0:
            return x
        return self.node("Pad", x, self.integers(0, 0, 0, left, 0, 0, 0, right), mode=mode)

    def convolution(
        self,
        x: str,
        name: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        *,
        padding: tuple[int, int] = (0, 0),
        mode: PadMode = "constant",
        dilation: int = 1,
        groups: int = 1,
    ) -> str:
        """A convolution along time, as torch.nn.Conv1d; depthwise where `groups` is the number of channels.

        Args:
            x: the signal, `[batch, inputs, 1, length]`.
            name: name of the layer, unique in the graph.
            weight: the weight, `[outputs, inputs / groups, kernel] float32`.
            bias: the bias, `[outputs] float32`, or None.
            padding: number of positions (left, right).
            mode: content of the padding.
            dilation: distance between the kernel's taps [positions].
            groups: number of groups that inputs and outputs are divided into.
        """
        if mode != "constant":
            x, padding = self.pad(x, *padding, mode), (0, 0)
        return self.node(
            "Conv",
            x,
            *self._weights(name, weight, bias),
            pads=[0, padding[0], 0, padding[1]],
            strides=[1, 1],
            dilations=[1, dilation],
            group=groups,
        )

    def transposed_convolution(
        self,
        x: str,
        name: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        *,
        rate: int,
        padding: tuple[int, int] = (0, 0),
    ) -> str:
        """A transposed convolution along time, as torch.nn.ConvTranspose1d.

        Args:
            x: the signal, `[batch, inputs, 1, length]`.
            name: name of the layer, unique in the graph.
            weight: the weight, `[inputs, outputs, kernel] float32`.
            bias: the bias, `[outputs] float32`, or None.
            rate: the stride; the output has (length - 1) rate + kernel - left - right positions.
            padding: number of output positions (left, right) that are cut off; the right one is torch's padding less
                its output_padding. A negative number adds positions that hold only the bias.
        """
        more = max(0, -padding[1])
        return self.node(
            "ConvTranspose",
            x,
            *self._weights(name, weight, bias),
            pads=[0, padding[0], 0, padding[1] + more],
            output_padding=[0, more],
            strides=[1, rate],
            group=1,
        )

    def waveform(self, x: str, output: str = "waveform") -> str:
        """A signal of one channel as the model's output `[batch, samples]`."""
        return self.node("Reshape", x, self.constant("flat", np.array([0, -1], np.int64)), output=output)

    def model(
        self, name: str, n_mels: int, output: str = "waveform", shape: Sequence[int | str] = ("batch", "samples")
    ) -> onnx.ModelProto:
        """The model: mel `[batch, n_mels, frames] float32` -> its one output, float32.

        The same graph gives the same bytes (`SerializeToString(deterministic=True)`) on any machine.

        Args:
            name: name of the graph.
            n_mels: number of mel bands.
            output: name of the value that is the model's output.
            shape: shape of the output; an axis that varies has a name instead of a number.
        """
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", n_mels, "frames"])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            list(self._tensors.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, producer_name="melmill", opset_imports=opsets, ir_version=_IR_VERSION)

    def _weights(self, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> list[str]:
        names = [self.constant(f"{name}.weight", weight[:, :, None, :])]
        if bias is not None:
            names.append(self.constant(f"{name}.bias", bias))
        return names
