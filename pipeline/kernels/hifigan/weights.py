"""A generator's weights as its code reads them: transformed, in panels, in one array that can lie in a file.

The transforms are sums of a few products in float64, taken in a fixed order without a matrix library, and rounded to
float32 once, and from there to bfloat16 where products are: the same bits on every processor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.kernels.buffers import aligned, padded
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, whole_vectors
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.packed_weights import PackedWeights
from pipeline.kernels.products import bfloat16_pairs
from pipeline.kernels.target import Target

Weights = Mapping[str, NDArray[np.float32]]


class HifiganLayout(PackedWeights):
    """Where each weight lies in the array of transformed weights.

    Args:
        shape: the shape of the generator.
        target: the target of its code.
    """

    def __init__(self, shape: HifiganShape, target: Target) -> None:
        super().__init__(target)
        width, geometry = whole_vectors(shape.channels), LayerRows(shape)
        self.place_product("conv_pre", (), shape.edge * shape.mels, width)
        for stage in geometry.stages:
            inner, channels = stage.reads * stage.inputs, stage.channels
            self.place_product(f"ups.{stage.number}", (), inner, stage.rate * channels)
            for each in (each for branch in stage.branches for each in branch):
                inner = channels // 2 if each.pairs else channels
                self.place_product(each.name, (each.filtering.points,), inner, channels)
        self.place("conv_post.weight", shape.edge, geometry.stages[-1].channels)
        self.place("conv_post.bias", 1)
        for name in ("mean", "scale") if shape.normalized else ():
            self.place(name, shape.mels)


def transformed(shape: HifiganShape, weights: Weights, target: Target) -> NDArray[np.float32]:
    """The weights as the code for a target reads them, `[HifiganLayout(shape, target).numbers] float32`, aligned.

    Args:
        shape: the shape of the generator.
        weights: its weights as torch stores them, by the names that `HifiganShape` gives. A bias that is missing is 0.
        target: the target of its code.

    Raises:
        CheckpointError: if a weight is missing, or has another shape.
    """
    layout = HifiganLayout(shape, target)
    array, given = aligned(layout.numbers), _Given(shape, weights)

    stages, width = LayerRows(shape).stages, whole_vectors(shape.channels)
    pre = given.weight("conv_pre").transpose(2, 1, 0).reshape(-1, shape.channels)
    layout.put_product(array, "conv_pre", padded(pre, 1, width), given.bias("conv_pre"))
    for stage in stages:
        name = f"ups.{stage.number}"
        bias = padded(given.bias(name), 0, stage.channels)
        layout.put_product(array, name, _upsampling(stage, given.weight(name)), np.tile(bias, stage.rate))
        for each in (each for branch in stage.branches for each in branch):
            moved = _filtered(each, given.weight(each.name), stage.channels)
            factors = bfloat16_pairs(moved) if each.pairs else moved
            layout.put_product(array, each.name, factors, given.bias(each.name))
    post = given.weight("conv_post")[0].T
    layout.view(array, "conv_post.weight")[:, : post.shape[1]] = post
    layout.view(array, "conv_post.bias")[...] = given.bias("conv_post")
    for name in ("mean", "scale") if shape.normalized else ():
        layout.view(array, name)[...] = given.named(name, (shape.mels,))
    return array


def _upsampling(stage: StageRows, weight: NDArray[np.float32]) -> NDArray[np.floating]:
    """A transposed convolution as a matrix: a line of input rows q - reads + 1 .. q gives block q."""
    inputs, channels, reads, rate = stage.inputs, stage.channels, stage.reads, stage.rate
    filled = padded(padded(padded(weight, 0, inputs), 1, channels), 2, reads * rate)
    taps = filled.reshape(inputs, channels, reads, rate)[:, :, ::-1]
    return taps.transpose(2, 0, 3, 1).reshape(reads * inputs, rate * channels)


def _filtered(each: BranchConvolution, weight: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """G g of a convolution: `[out, in, taps]` -> `[points, in, out]`."""
    taps = np.zeros((each.taps, channels, channels))
    taps[:, : weight.shape[1], : weight.shape[0]] = weight.transpose(2, 1, 0)
    moved = np.empty((each.filtering.points, channels, channels), np.float32)
    for point, row in zip(moved, each.filtering.kernel(), strict=True):
        point[...] = sum(c * tap for c, tap in zip(row, taps) if c)  # noqa: B905 - taps that are missing are zero
    return moved


class _Given:
    """The weights that were given, checked when they are asked for."""

    def __init__(self, shape: HifiganShape, weights: Weights) -> None:
        self._shapes, self._weights = shape.weight_shapes(), weights

    def weight(self, name: str) -> NDArray[np.float32]:
        return self.named(f"{name}.weight", self._shapes[name])

    def bias(self, name: str) -> NDArray[np.float32]:
        shape = self._shapes[name]
        outputs = shape[1] if name.startswith("ups.") else shape[0]
        if f"{name}.bias" not in self._weights:
            return np.zeros(outputs, np.float32)
        return self.named(f"{name}.bias", (outputs,))

    def named(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        found = self._weights.get(name)
        if found is None or found.shape != shape:
            there = "is missing" if found is None else f"has the shape {list(found.shape)}"
            raise CheckpointError(f"HiFi-GAN generator: the weight {name} {there}; it should be {list(shape)}")
        return found
