"""A generator's weights as its code reads them: transformed, in panels, in one array that can lie in a file.

The transforms are sums of a few products in float64, taken in a fixed order without a matrix library, and rounded to
float32 once: the same bits on every processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.kernels.buffers import ALIGNMENT, aligned, padded
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, whole_vectors
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.products import block_for, panels
from pipeline.kernels.target import Target

Weights = Mapping[str, NDArray[np.float32]]


class Layout:
    """Where each weight lies in the array of transformed weights.

    Args:
        shape: the shape of the generator.
        target: the target of its code.

    Attributes:
        numbers: size of the array [float32 numbers].
    """

    def __init__(self, shape: HifiganShape, target: Target) -> None:
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.numbers = 0
        width, geometry = whole_vectors(shape.channels), LayerRows(shape)
        self._product("conv_pre", (), shape.edge * shape.mels, width, target)
        for stage in geometry.stages:
            inner, channels = stage.reads * stage.inputs, stage.channels
            self._product(f"ups.{stage.number}", (), inner, stage.rate * channels, target)
            for each in (each for branch in stage.branches for each in branch):
                self._product(each.name, (each.filtering.points,), channels, channels, target)
        self._place("conv_post.weight", (shape.edge, geometry.stages[-1].channels))
        self._place("conv_post.bias", (1,))
        for name in ("mean", "scale") if shape.normalized else ():
            self._place(name, (shape.mels,))

    def _product(self, name: str, outer: tuple[int, ...], inner: int, columns: int, target: Target) -> None:
        panel = block_for(target, columns).panel
        self._place(f"{name}.weight", (*outer, columns // panel, inner, panel))
        self._place(f"{name}.bias", (columns,))

    def _place(self, name: str, shape: tuple[int, ...]) -> None:
        self._places[name] = self.numbers, shape
        step = ALIGNMENT // 4
        self.numbers += -(-prod(shape) // step) * step

    def offset(self, name: str) -> int:
        """Position of a weight in the array [numbers]."""
        return self._places[name][0]

    def view(self, array: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """A weight in the array."""
        offset, shape = self._places[name]
        return array[offset : offset + prod(shape)].reshape(shape)


def transformed(shape: HifiganShape, weights: Weights, target: Target) -> NDArray[np.float32]:
    """The weights as the code for a target reads them, `[Layout(shape, target).numbers] float32`, aligned.

    Args:
        shape: the shape of the generator.
        weights: its weights as torch stores them, by the names that `HifiganShape` gives. A bias that is missing is 0.
        target: the target of its code.

    Raises:
        CheckpointError: if a weight is missing, or has another shape.
    """
    layout = Layout(shape, target)
    array, given = aligned(layout.numbers), _Given(shape, weights)

    def put(name: str, matrix: NDArray[np.floating], columns: int, bias: NDArray[np.floating]) -> None:
        layout.view(array, f"{name}.weight")[...] = panels(matrix, block_for(target, columns))
        layout.view(array, f"{name}.bias")[: len(bias)] = bias

    stages, width = LayerRows(shape).stages, whole_vectors(shape.channels)
    pre = given.weight("conv_pre").transpose(2, 1, 0).reshape(-1, shape.channels)
    put("conv_pre", padded(pre, 1, width), width, given.bias("conv_pre"))
    for stage in stages:
        name, columns = f"ups.{stage.number}", stage.rate * stage.channels
        bias = padded(given.bias(name), 0, stage.channels)
        put(name, _upsampling(stage, given.weight(name)), columns, np.tile(bias, stage.rate))
        for each in (each for branch in stage.branches for each in branch):
            moved = _filtered(each, given.weight(each.name), stage.channels)
            put(each.name, moved, stage.channels, given.bias(each.name))
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
