"""A dilated convolution of a residual branch, with what is done before and after it, in one pass over memory.

Rows of memory are times, vectors lie along channels: a dilation is only another distance between rows, and the
transforms of minimal filtering are vector code without shuffles. Some tiles are transformed into memory that the cache
holds, one matrix product for each point of the filtering turns their input channels into output channels, and the
outputs are transformed back. S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray,
arXiv:1509.09308.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.geometry import Place
from pipeline.kernels.hifigan.transforms import data_transform, output_transform
from pipeline.kernels.minimal_filtering import Filtering
from pipeline.kernels.products import RegisterBlock
from pipeline.kernels.values import Floats

_GAP = 16
# Tiles whose transforms fill a cache of 1 MiB, by channels; multiples of the rows of every target's blocks.
_GROUPS = {256: 48, 128: 36, 64: 36}


@dataclass(frozen=True)
class Room:
    """The memory of transformed tiles: points + 1 slabs of `tiles` rows.

    Args:
        channels: number of channels.
    """

    channels: int

    @property
    def tiles(self) -> int:
        """Number of tiles that go through at once."""
        return _GROUPS.get(self.channels, 60)

    @property
    def row(self) -> int:
        """Distance between rows [numbers]: a gap keeps them from falling into the same places of the cache."""
        return self.channels + _GAP

    @property
    def slab(self) -> int:
        """Distance between slabs [numbers]."""
        return self.tiles * self.row

    def numbers(self, f: Filtering) -> int:
        """Size of the memory [float32 numbers]."""
        return (f.points + 1) * self.slab


def leaky_relu(x: Floats, slope: float) -> Floats:
    """The larger of x and slope x, for a slope between 0 and 1."""
    return x.at_least(x * slope)


def convolution(
    module: ir.Module,
    name: str,
    f: Filtering,
    channels: int,
    place: Place,
    slope: float,
    block: RegisterBlock,
    multiply: Function,
) -> Function:
    """Adds the function `name(x, y, residual, weights, bias, work, tiles, dilation)` to a module.

    A first convolution of a unit gives lrelu(conv(lrelu(x))), a last one residual + conv(x), and an only one
    residual + conv(lrelu(x)).

    Tile g = dilation * q + p gives the rows dilation * outputs * q + p + dilation * i, i < outputs: the phases p of the
    dilation lie side by side, each an undilated filter. x is the address of the first row that tile 0 reads, y and
    residual are those of the first row that it gives. Weights are `[points, panels, channels, panel]`, work is memory
    of `Room.numbers`: slab s + 1 takes the data of point s, and slab s its products.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        f: the filtering.
        channels: number of channels in memory.
        place: place of the convolution in its residual unit.
        slope: slope of the leaky ReLUs.
        block: the block of registers of the products.
        multiply: the product of rows of `Room.row` by rows of `Room.row`.
    """
    code = Function(module, name, "*x *y *residual *weights *bias *work tiles dilation", block.lanes)
    x, y, residual, weights, bias, work, tiles, dilation = code.arguments
    room, step = Room(channels), dilation * channels  # step: from a row to the next one of its phase
    zeros = code.table(np.zeros(channels, np.float32))

    def first_row(tile: Any) -> Any:
        return (tile // dilation * dilation * f.outputs + tile % dilation) * channels

    with code.loop(tiles, room.tiles) as begin:
        count = (tiles - begin).at_most(room.tiles)
        with code.loop(count) as tile:
            source, target = x + first_row(begin + tile), work + tile * room.row
            with code.loop(channels, code.lanes) as c:
                inputs = [source[c + step * j] for j in range(f.inputs)]
                if place != "last":
                    inputs = [leaky_relu(v, slope) for v in inputs]
                for point, v in enumerate(data_transform(f, inputs)):
                    target[c + (point + 1) * room.slab] = v
        with code.loop(f.points) as s:
            here = work + s * room.slab
            code.call(
                multiply, count, channels, channels // block.panel,
                here + room.slab, weights + s * channels * channels, zeros, here,
            )  # fmt: skip
        with code.loop(count) as tile:
            start = first_row(begin + tile)
            source, target, old = work + tile * room.row, y + start, residual + start
            with code.loop(channels, code.lanes) as c:
                shift = bias[c]
                products = [source[c + point * room.slab] for point in range(f.points)]
                for i, v in enumerate(output_transform(f, products)):
                    v = v + shift
                    v = leaky_relu(v, slope) if place == "first" else v + old[c + step * i]
                    target[c + step * i] = v
    return code.end()
