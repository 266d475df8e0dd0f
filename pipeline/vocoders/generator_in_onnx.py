"""A generator of HiFi-GAN, BigVGAN or iSTFTNet in an .onnx file: shape and weights, read from the model's own nodes.

Every model of these families is the same chain of nodes, whatever project's checkpoint it was made from
(`checkpoints.hifigan_graph` writes it); in melmill's first ones a mean is one node. It is followed node by node; names
of layers do not matter. A model in which anything is different is not understood, and no part of it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.shape import HifiganShape, Scale, Sides
from pipeline.vocoders.inverse_transform_in_onnx import read_inverse_transform
from pipeline.vocoders.node_chain import NodeChain, UnknownGraphError
from pipeline.vocoders.onnx_nodes import OnnxNodes, read_onnx_nodes
from pipeline.vocoders.snake_in_onnx import read_snake

_OPSET = 17
"""The version of the operators in which melmill writes models; in others they may have another meaning."""
_OF_SNAKES = (".alpha", ".beta", ".up", ".down")

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class GeneratorInOnnx:
    """A generator as a file has it.

    Args:
        shape: shape of the generator.
        weights: its weights by the names that `HifiganShape` gives them, `[outputs, inputs, taps] float32` (of a
            transposed convolution the inputs are first), biases `[outputs] float32`, the parameters of snakes, and
            `mean` and `scale` `[n_mels] float32` if it normalizes; most are views of the file's content.
    """

    shape: HifiganShape
    weights: Weights = field(repr=False)


def read_generator(content: bytes) -> GeneratorInOnnx:
    """The generator in the content of an .onnx file that takes `mel` and gives `waveform`.

    Raises:
        UnknownGraphError: if the model is anything else.
    """
    try:
        return _Chain(read_onnx_nodes(content)).generator()
    except UnknownGraphError:
        raise
    except ValueError as error:
        raise UnknownGraphError(str(error)) from error


@dataclass(frozen=True)
class _Layer:
    """A convolution: the name of its output, its kernel size, and its numbers."""

    output: str
    taps: int
    dilation: int = 1
    rate: int = 1
    cut: Sides = (0, 0)


@dataclass(frozen=True)
class _Stage:
    """An upsampling; kernel size and dilations of each branch; whether units have two layers."""

    up: _Layer
    kernels: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]
    pairs: bool


class _Chain(NodeChain):
    """The nodes of a generator, taken one after the other."""

    def __init__(self, graph: OnnxNodes) -> None:
        super().__init__(graph, _OPSET)
        self._weights: dict[str, NDArray[np.float32]] = {}
        self._slopes: list[float] = []
        self._mirrored: set[bool] = set()
        self._scales: set[Scale | None] = set()
        self._blocks = 0

    def generator(self) -> GeneratorInOnnx:
        """The generator that all nodes together are."""
        x, normalized = self._mel()
        pre = self._convolution("conv_pre", x)
        x = self._between(pre.output)
        stages: list[_Stage] = []
        while self.operator == "ConvTranspose":
            stage, x = self._stage(len(stages), x)
            stages.append(stage)
            x = self._between(x)
        if None not in self._scales:  # BigVGAN has no activation between stages, and one here
            x = self._activated("conv_post", x)
        transformed = self._takes_a_row_more()
        if transformed:
            x = self.take("Pad", x, self.input(1), mode="reflect")
        post = self._convolution("conv_post", x)
        transform, clipped = None, False
        if transformed:
            found = read_inverse_transform(self, post.output, len(self._weights["conv_post.weight"]))
            transform, x = found.transform, found.output
            self._weights |= found.weights
        else:
            x, clipped = self._within_bounds(post.output)
        end = self.take("Reshape", x, self.integers((0, -1)))
        self.demand(len(self._scales) == 1, "it has no activation, or activations of several kinds")
        (snakes,) = self._scales
        last_slope = self._slopes.pop() if snakes is None else HifiganShape.last_slope
        for holds, words in (
            (end == "waveform", f"its chain of nodes ends with {end}, not waveform"),
            (self.at_end, f"a node {self.operator} follows its waveform"),
            (len(stages) > 0, "it has no transposed convolution"),
            (pre.taps == post.taps, f"its first and last convolution have kernel sizes {pre.taps} and {post.taps}"),
            (len(set(self._slopes)) <= 1, "its leaky ReLUs have several slopes"),
            (len(self._mirrored) <= 1, "some of its convolutions mirror their input at its ends, others do not"),
            (len({(each.kernels, each.dilations, each.pairs) for each in stages}) <= 1, "its stages differ"),
        ):
            self.demand(holds, words)
        first = self._weights["conv_pre.weight"]
        shape = HifiganShape(
            mels=first.shape[1],
            channels=first.shape[0],
            rates=tuple(each.up.rate for each in stages),
            rate_kernels=tuple(each.up.taps for each in stages),
            kernels=stages[0].kernels,
            dilations=stages[0].dilations,
            pairs=stages[0].pairs,
            cuts=tuple(each.up.cut for each in stages),
            edge=pre.taps,
            mirrored=self._mirrored == {True},
            normalized=normalized,
            slope=self._slopes[0] if snakes is None else HifiganShape.slope,
            last_slope=last_slope,
            snakes=snakes,
            clipped=clipped,
            transform=transform,
        )
        self._check_weights(shape)
        return GeneratorInOnnx(shape, self._weights)

    def _takes_a_row_more(self) -> bool:
        """Whether a row is put before the last layer's input, as in iSTFTNet: the mirrored row 1."""
        return self.operator == "Pad" and self.tensor(self.input(1), 8).integers() == (0, 0, 0, 1, 0, 0, 0, 0)

    def _within_bounds(self, x: str) -> tuple[str, bool]:
        """A signal within -1 .. 1, and whether it is clipped to that."""
        clipped = self.operator == "Clip"
        bounds = (self.number(-1.0), self.number(1.0, 2)) if clipped else ()
        return self.take("Clip" if clipped else "Tanh", x, *bounds), clipped

    def _mel(self) -> tuple[str, bool]:
        """The mel as a signal, and whether it is normalized."""
        x = self.take("Unsqueeze", "mel", self.integers((2,)))
        if self.operator != "Sub":
            return x, False
        for operator, name in (("Sub", "mean"), ("Div", "scale")):
            values = self.input(1)
            x = self.take(operator, x, values)
            self._weights[name] = self.tensor(values, 1, -1, 1, 1).floats().reshape(-1)
        return x, True

    def _stage(self, number: int, x: str) -> tuple[_Stage, str]:
        up = self._upsampling(f"ups.{number}", x)
        branches: list[list[_Layer]] = []
        ends: list[str] = []
        pairs: set[bool] = set()
        while self._activates:  # a branch begins
            end, units = up.output, list[_Layer]()
            while self._activates and self.input(0) == end:
                layers, end = self._unit(f"resblocks.{self._blocks}", len(units), end)
                units.append(layers[0])
                pairs.add(len(layers) == 2)
            self.demand(len({layer.taps for layer in units}) == 1, "a branch has no kernel size, or several")
            self._blocks += 1
            branches.append(units)
            ends.append(end)
        self.demand(len(pairs) == 1, "its stages have no residual units, or units of one layer and of two")
        mean = self._mean(ends)
        kernels = tuple(units[0].taps for units in branches)
        return _Stage(
            up, kernels, tuple(tuple(unit.dilation for unit in units) for units in branches), pairs.pop()
        ), mean

    def _mean(self, ends: list[str]) -> str:
        """The mean of the branches, which melmill's first models have an operator for."""
        if self.operator == "Mean":
            return self.take("Mean", *ends)
        total = ends[0]
        for end in ends[1:]:
            total = self.take("Add", total, end)
        return self.take("Div", total, self.number(len(ends)))

    def _unit(self, block: str, number: int, x: str) -> tuple[list[_Layer], str]:
        """A residual unit: its one layer or its two, and the name of its output."""
        only = f"{block}.convs.{number}"
        layers = [self._convolution(only, self._activated(only, x))]
        if self._activates:
            for name in [name for name in self._weights if name.startswith(f"{only}.")]:
                self._weights[name.replace("convs", "convs1")] = self._weights.pop(name)
            other = f"{block}.convs2.{number}"
            second = self._convolution(other, self._activated(other, layers[0].output))
            self.demand(second.dilation == 1, f"the second layer of a residual unit has dilation {second.dilation}")
            layers.append(second)
        return layers, self.take("Add", layers[-1].output, x)

    @property
    def _activates(self) -> bool:
        """Whether the next node begins an activation."""
        return self.operator in ("LeakyRelu", "Pad")

    def _between(self, x: str) -> str:
        """The leaky ReLU after the first layer or a stage, if there is one."""
        return self._activated("", x) if self.operator == "LeakyRelu" else x

    def _activated(self, layer: str, x: str) -> str:
        """The activation of x, which a layer takes: a leaky ReLU, or a snake, whose weights have the layer's name."""
        if self.operator == "LeakyRelu":
            self._scales.add(None)
            return self._leaky_relu(x)
        found = read_snake(self, x)
        self._scales.add(found.scale)
        self._weights |= {f"{layer}.{part}": values for part, values in found.weights.items()}
        return found.output

    def _leaky_relu(self, x: str) -> str:
        alpha = self.node.attributes.get("alpha")
        if not isinstance(alpha, float):
            raise UnknownGraphError(f"a leaky ReLU has the slope {alpha!r:.40}")
        self._slopes.append(float(str(np.float32(alpha))))  # 0.1, not what float32 holds of it
        return self.take("LeakyRelu", x, alpha=alpha)

    def _convolution(self, name: str, x: str) -> _Layer:
        """A convolution that keeps the length: what lies beyond the ends are zeros, or the signal mirrored."""
        pads: tuple[int, ...] | None = None
        if self.operator == "Pad":
            pads = self.tensor(self.input(1), 8).integers()
            x = self.take("Pad", x, self.input(1), mode="reflect")
        taps = self._weight(name)
        dilations = self._numbers("dilations")
        reach = (taps - 1) * dilations[-1] // 2
        self.demand(taps % 2 == 1, f"a convolution has the even kernel size {taps}")
        self.demand(pads in (None, (0, 0, 0, reach, 0, 0, 0, reach)), f"its convolutions are padded by {pads}")
        if reach:  # a kernel of one tap does not tell
            self._mirrored.add(pads is not None)
        sides = reach if pads is None else 0
        output = self.take(
            "Conv", x, *self.node.inputs[1:],
            pads=(0, sides, 0, sides), strides=(1, 1), dilations=(1, dilations[-1]), group=1,
        )  # fmt: skip
        return _Layer(output, taps, dilations[-1])

    def _upsampling(self, name: str, x: str) -> _Layer:
        """A transposed convolution. Its right cut is less by what `output_padding` adds there."""
        taps = self._weight(name)
        pads, strides, more = (self._numbers(each) for each in ("pads", "strides", "output_padding"))
        self.demand((len(pads), len(strides), len(more)) == (4, 2, 2), "a transposed convolution is not along time")
        output = self.take(
            "ConvTranspose", x, *self.node.inputs[1:],
            pads=(0, pads[1], 0, pads[3]), strides=(1, strides[1]), output_padding=(0, more[1]), group=1,
        )  # fmt: skip
        return _Layer(output, taps, rate=strides[1], cut=(pads[1], pads[3] - more[1]))

    # ---- the next node

    def _numbers(self, name: str) -> tuple[int, ...]:
        """An attribute of the next node: whole numbers, at least one."""
        value = self.node.attributes.get(name)
        if not isinstance(value, tuple) or not value:
            raise UnknownGraphError(f"a node {self.operator} has {name} {value!r:.40}")
        return value

    def _weight(self, name: str) -> int:
        """Keeps weight and bias of the next node under a name; returns the number of taps."""
        weight = self.tensor(self.input(1), -1, -1, 1, -1).floats()[:, :, 0]
        self._weights[f"{name}.weight"] = weight
        outputs = weight.shape[1 if self.operator == "ConvTranspose" else 0]
        biased = len(self.node.inputs) == 3
        bias = self.tensor(self.input(2), outputs).floats() if biased else np.zeros(outputs, np.float32)
        self._weights[f"{name}.bias"] = bias
        return int(weight.shape[2])

    def _check_weights(self, shape: HifiganShape) -> None:
        wanted = shape.weight_shapes()
        found = {name.removesuffix(".weight"): each.shape for name, each in self._weights.items() if ".weight" in name}
        self.demand(found == wanted, "its layers do not have the channels of a generator that halves them")
        others = {name: each.shape for name, each in self._weights.items() if name.endswith(_OF_SNAKES)}
        self.demand(others == shape.snake_shapes(), "its snakes are not one before each layer, with its channels")
