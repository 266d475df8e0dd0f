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
from pipeline.kernels.hifigan import snake
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, whole_vectors
from pipeline.kernels.hifigan.inverse_transform import InverseTransform
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
        self._snakes = shape.snakes is not None
        width, geometry = whole_vectors(shape.channels), LayerRows(shape)
        self.place_product("conv_pre", (), shape.edge * shape.mels, width)
        for stage in geometry.stages:
            channels, outer = stage.channels, (stage.rate, stage.filtering.points)
            self.place_product(f"ups.{stage.number}", outer, stage.inputs, channels)
            for each in (each for branch in stage.branches for each in branch):
                inner = _inner(stage, each)
                self.place_product(each.name, (each.filtering.points,), inner, channels)
                self._place_snake(each.name, channels)
        self._place_end(shape, geometry.stages[-1].channels)
        for name in ("mean", "scale") if shape.normalized else ():
            self.place(name, shape.mels)

    def _place_end(self, shape: HifiganShape, channels: int) -> None:
        if (transform := shape.transform) is None:
            self.place("conv_post.weight", shape.edge, channels)
            self.place("conv_post.bias", 1)
            self._place_snake("conv_post", channels)
            return
        self.place_product("conv_post", (), shape.edge * channels, 2 * transform.half)
        self.place_product("istft", (), 2 * transform.half, transform.columns)
        for name in ("istft.first", "istft.last"):
            self.place(name, transform.edge)

    def _place_snake(self, name: str, channels: int) -> None:
        if self._snakes:
            self.place(f"{name}.snake", snake.numbers(channels))


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
        layout.put_product(array, name, _upsampling(stage, given.weight(name)), given.bias(name))
        for each in (each for branch in stage.branches for each in branch):
            moved = _filtered(each, given.weight(each.name), stage)
            factors = bfloat16_pairs(moved) if each.pairs else moved
            layout.put_product(array, each.name, factors, given.bias(each.name))
    for name, channels in _snaked(shape, stages):
        layout.view(array, f"{name}.snake")[...] = _snake(given, name, channels, shape.snakes == "log")
    if shape.transform is None:
        post = given.weight("conv_post")[0].T
        layout.view(array, "conv_post.weight")[:, : post.shape[1]] = post
        layout.view(array, "conv_post.bias")[...] = given.bias("conv_post")
    else:
        _put_transform(array, layout, shape.transform, stages[-1].channels, given)
    for name in ("mean", "scale") if shape.normalized else ():
        layout.view(array, name)[...] = given.named(name, (shape.mels,))
    return array


def _upsampling(stage: StageRows, weight: NDArray[np.float32]) -> NDArray[np.floating]:
    """G g of a transposed convolution, `[rate, points, in, out]`: tap k of a phase is that of input row
    q - reads + 1 + k."""
    inputs, channels, reads, rate = stage.inputs, stage.channels, stage.reads, stage.rate
    filled = padded(padded(padded(weight, 0, inputs), 1, channels), 2, reads * rate)
    taps = filled.reshape(inputs, channels, reads, rate)[:, :, ::-1].transpose(2, 3, 0, 1).astype(np.float64)
    moved = [sum(c * tap for c, tap in zip(row, taps, strict=True)) for row in stage.filtering.kernel]
    return np.array(moved, np.float32).swapaxes(0, 1)


def _inner(stage: StageRows, each: BranchConvolution) -> int:
    """Number of lines of the second factor of a convolution's products."""
    return -(-stage.used // 2) if each.pairs else stage.used


def _filtered(each: BranchConvolution, weight: NDArray[np.float32], stage: StageRows) -> NDArray[np.float32]:
    """G g of a convolution: `[out, in, taps]` -> `[points, in, out]`, with whole pairs of inputs if it has pairs."""
    inner = 2 * _inner(stage, each) if each.pairs else stage.used
    taps = np.zeros((each.taps, inner, stage.channels))
    taps[:, : weight.shape[1], : weight.shape[0]] = weight.transpose(2, 1, 0)
    moved = np.empty((each.filtering.points, *taps.shape[1:]), np.float32)
    for point, row in zip(moved, each.filtering.kernel, strict=True):
        point[...] = sum(c * tap for c, tap in zip(row, taps) if c)  # noqa: B905 - taps that are missing are zero
    return moved


def _put_transform(
    array: NDArray[np.float32], layout: HifiganLayout, transform: InverseTransform, channels: int, given: _Given
) -> None:
    """Writes what iSTFTNet ends with. Its outputs, magnitudes and then phases, each begin at a whole vector."""
    bins, half = transform.bins, transform.half
    post = padded(given.weight("conv_post"), 1, channels).transpose(2, 1, 0).reshape(-1, 2 * bins)
    halves = [padded(part, 1, half) for part in (post[:, :bins], post[:, bins:])]
    bias = given.bias("conv_post")
    biases = [padded(part, 0, half) for part in (bias[:bins], bias[bins:])]
    layout.put_product(array, "conv_post", np.concatenate(halves, 1), np.concatenate(biases))
    basis = padded(given.array("istft.basis"), 1, transform.columns)
    parts = [padded(part, 0, half) for part in (basis[:bins], basis[bins:])]
    layout.put_product(array, "istft", np.concatenate(parts), np.zeros(transform.columns))
    for name in ("istft.first", "istft.last"):
        layout.view(array, name)[...] = given.array(name)


def _snaked(shape: HifiganShape, stages: tuple[StageRows, ...]) -> list[tuple[str, int]]:
    """The convolutions that a snake is before, and the numbers of its channels in memory."""
    if shape.snakes is None:
        return []
    names = [(each.name, stage.channels) for stage in stages for branch in stage.branches for each in branch]
    return [*names, ("conv_post", stages[-1].channels)]


def _snake(given: _Given, name: str, channels: int, logarithms: bool) -> NDArray[np.floating]:
    """The parameters of a snake; channels that are added are not changed by its squared sine, which is 0."""
    alpha, beta, up, down = (given.array(f"{name}.{part}") for part in ("alpha", "beta", "up", "down"))
    found = snake.parameters(alpha, beta, up, down, logarithms)
    count = len(alpha)
    parts = found[:count], found[count : 2 * count]
    return np.concatenate([*(padded(part, 0, channels) for part in parts), found[2 * count :]])


class _Given:
    """The weights that were given, checked when they are asked for."""

    def __init__(self, shape: HifiganShape, weights: Weights) -> None:
        self._shapes, self._arrays = shape.weight_shapes(), shape.snake_shapes() | shape.transform_shapes()
        self._weights = weights

    def weight(self, name: str) -> NDArray[np.float32]:
        return self.named(f"{name}.weight", self._shapes[name])

    def bias(self, name: str) -> NDArray[np.float32]:
        shape = self._shapes[name]
        outputs = shape[1] if name.startswith("ups.") else shape[0]
        if f"{name}.bias" not in self._weights:
            return np.zeros(outputs, np.float32)
        return self.named(f"{name}.bias", (outputs,))

    def array(self, name: str) -> NDArray[np.float32]:
        return self.named(name, self._arrays[name])

    def named(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        found = self._weights.get(name)
        if found is None or found.shape != shape:
            there = "is missing" if found is None else f"has the shape {list(found.shape)}"
            raise CheckpointError(f"HiFi-GAN generator: the weight {name} {there}; it should be {list(shape)}")
        return found
