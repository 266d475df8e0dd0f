"""HiFi-GAN's generator as layers, computed from its shape, and what follows from them: lengths and halo.

Kong, Kim, Bae: HiFi-GAN (2020), https://arxiv.org/abs/2010.05646; code: jik876/hifi-gan, models.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipeline.checkpoints.hifigan_config import GeneratorShape

Span = tuple[int, int]
"""Positions first..last along time, both included."""


@dataclass(frozen=True)
class Layer:
    """A convolution along time that keeps the length, or, if `rate` is given, a transposed one that multiplies it.

    Args:
        name: name of the layer in the checkpoint's keys.
        inputs: number of input channels.
        outputs: number of output channels.
        kernel: length of the kernel.
        dilation: distance between the kernel's taps.
        rate: factor of upsampling of a transposed convolution; else None.
        cut: number of positions (left, right) that a transposed one cuts off; half of kernel - rate, rounded down, if
            None.
        bias: whether the layer has a bias.
        mirrored: number of positions by which the input is first extended on the left, mirrored there (iSTFTNet).
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    dilation: int = 1
    rate: int | None = None
    cut: Span | None = None
    bias: bool = True
    mirrored: int = 0

    @property
    def weight_shape(self) -> tuple[int, int, int]:
        """Shape of the weight as torch stores it: a transposed convolution has its input channels first."""
        channels = (self.outputs, self.inputs) if self.rate is None else (self.inputs, self.outputs)
        return (*channels, self.kernel)

    @property
    def sides(self) -> Span:
        """Number of positions (left, right) that are cut off (transposed) or padded."""
        if self.cut is not None:
            return self.cut
        half = (self.kernel - 1) * self.dilation // 2 if self.rate is None else (self.kernel - self.rate) // 2
        return half, half

    @property
    def padding(self) -> int:
        """Number of positions on the left that a transposed convolution cuts off, or that another convolution pads."""
        return self.sides[0]

    def length(self, length: int) -> int:
        """Output length for an input of `length`: (length - 1) rate - left - right + kernel, if transposed."""
        if self.rate is None:
            return length + self.mirrored
        return (length - 1) * self.rate - sum(self.sides) + self.kernel

    def needs(self, span: Span) -> Span:
        """The input positions on which the output positions of `span` depend.

        Output o of a convolution sums the inputs o - padding + dilation j, that of a transposed one the inputs i for
        which o = rate i - padding + j, both with 0 <= j < kernel. Mirrored positions shift the inputs.
        """
        first, last = span
        if self.rate is None:
            before = self.padding + self.mirrored
            return first - before, last - before + (self.kernel - 1) * self.dilation
        return -((self.kernel - 1 - first - self.padding) // self.rate), (last + self.padding) // self.rate


Unit = tuple[Layer, ...]
"""A residual unit: x plus the result of its layers, one after the other, each after a leaky ReLU."""
Branch = tuple[Unit, ...]
"""One ResBlock: its units, one after the other."""


@dataclass(frozen=True)
class Stage:
    """One upsampling layer, and the branches whose mean follows it."""

    up: Layer
    branches: tuple[Branch, ...]

    def convolutions(self) -> Iterator[Layer]:
        """Every layer of the branches."""
        yield from (layer for branch in self.branches for unit in branch for layer in unit)


@dataclass(frozen=True)
class Generator:
    """All layers of one generator, in order.

    Args:
        pre: the first layer.
        stages: the stages of upsampling.
        post: the last layer with weights.
        reach: number of positions on each side on which an activation depends, before a layer of a branch and before
            the last layer; 0 for activations that work point by point.
        synthesis: an inverse STFT after the last layer, written as a transposed convolution, or None.
    """

    pre: Layer
    stages: tuple[Stage, ...]
    post: Layer
    reach: int = 0
    synthesis: Layer | None = None

    def layers(self) -> Iterator[Layer]:
        """Every layer, once."""
        yield self.pre
        for stage in self.stages:
            yield stage.up
            yield from stage.convolutions()
        yield self.post

    def without_bias(self) -> Generator:
        """The same layers, none with a bias."""

        def bare(layer: Layer) -> Layer:
            return replace(layer, bias=False)

        stages = tuple(
            Stage(bare(stage.up), tuple(tuple(tuple(map(bare, unit)) for unit in branch) for branch in stage.branches))
            for stage in self.stages
        )
        return Generator(bare(self.pre), stages, bare(self.post))

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames [samples]."""
        length = frames
        for stage in self.stages:
            length = stage.up.length(length)
        length = self.post.length(length)
        return length if self.synthesis is None else self.synthesis.length(length)

    def least_frames(self) -> int:
        """Fewest frames for which every padding can be mirrored: each layer's is shorter than its input."""

        def fits(frames: int) -> bool:
            length, paddings = frames, [self.pre.padding < frames]
            for stage in self.stages:
                length = stage.up.length(length)
                paddings += [layer.padding < length for layer in stage.convolutions()]
            return all(paddings) and self.post.padding < length

        return 1 + bisect_left(range(1, 1 << 40), True, key=fits)

    def halo(self) -> tuple[int, int]:
        """Frames (left, right) beside frame 0 on which the samples of frame 0, 0 .. hop - 1, depend.

        Both ends of `Layer.needs` grow with the position, and shifting the samples by a hop shifts the frames by one.
        So the samples of this one frame are the worst case for all samples of any core.
        """
        span = (0, self.samples(2) - self.samples(1) - 1)
        if self.synthesis is not None:
            span = self.synthesis.needs(span)
        span = self._activated(self.post.needs(span))
        for stage in reversed(self.stages):
            spans = []
            for branch in stage.branches:
                inner = span
                for layer in reversed([layer for unit in branch for layer in unit]):
                    inner = self._activated(layer.needs(inner))
                spans.append(inner)
            span = stage.up.needs((min(first for first, _ in spans), max(last for _, last in spans)))
        first, last = self.pre.needs(span)
        return -first, last

    def _activated(self, span: Span) -> Span:
        return span[0] - self.reach, span[1] + self.reach


@dataclass(frozen=True)
class Names:
    """Names of a project's layers, by stage, branch of a stage, block (branches counted over all stages) and unit."""

    pre: str = "conv_pre"
    up: str = "ups.{stage}"
    first: str = "resblocks.{block}.convs1.{unit}"
    second: str = "resblocks.{block}.convs2.{unit}"
    only: str = "resblocks.{block}.convs.{unit}"
    post: str = "conv_post"


def generator(
    shape: GeneratorShape,
    names: Names = Names(),
    cut: Callable[[int], Span | None] = lambda rate: None,
    edge: int = 7,
) -> Generator:
    """The generator of a shape: `Generator`, `ResBlock1` and `ResBlock2` of models.py.

    Args:
        shape: shape of the generator.
        names: names of the layers, as in the checkpoint's keys.
        cut: function from the rate of a transposed convolution to its `Layer.cut`.
        edge: kernel size of the first and of the last layer.
    """
    stages = []
    channels = shape.upsample_initial_channel
    pre = Layer(names.pre, shape.num_mels, channels, edge)
    for i, (rate, kernel) in enumerate(zip(shape.upsample_rates, shape.upsample_kernel_sizes, strict=True)):
        up = Layer(names.up.format(stage=i), channels, channels // 2, kernel, rate=rate, cut=cut(rate))
        channels //= 2
        branches = []
        for j, size in enumerate(shape.resblock_kernel_sizes):
            block = i * len(shape.resblock_kernel_sizes) + j
            units: list[Unit] = []
            for k, dilation in enumerate(shape.resblock_dilation_sizes[j]):
                where = {"stage": i, "branch": j, "block": block, "unit": k}
                if shape.resblock == "2":
                    units.append((Layer(names.only.format(**where), channels, channels, size, dilation),))
                else:
                    first = Layer(names.first.format(**where), channels, channels, size, dilation)
                    units.append((first, Layer(names.second.format(**where), channels, channels, size)))
            branches.append(tuple(units))
        stages.append(Stage(up, tuple(branches)))
    return Generator(pre, tuple(stages), Layer(names.post, channels, 1, edge))
