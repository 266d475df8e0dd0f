"""The transposed convolution before a stage's branches, as a filter of a few taps for each phase of its output.

With kernel size k and rate r, output row r q + p is sum_i W[i r + p]^T x[q - i], i < k / r: for each phase p < r a
filter over the rows of the input, of 2 taps where k = 2 r. All phases share the transformed input.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.convolution import Room, multiply_points, product_slabs
from pipeline.kernels.hifigan.geometry import StageRows, whole_vectors
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.hifigan.transforms import output_transform
from pipeline.kernels.minimal_filtering import Filtering
from pipeline.kernels.products import RegisterBlock


def upsampled_tiles(module: ir.Module, name: str, f: Filtering, slab: int, lanes: int) -> Function:
    """Adds the function `name(work, y, bias, begin, count, channels, row, step)` to a module: products of the tiles
    from tile `begin` to rows of the output that are `step` numbers apart, with their bias.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        f: the filtering.
        slab: distance between slabs [numbers].
        lanes: number of lanes of a vector.
    """
    code = Function(module, name, "*work *y *bias begin count channels row step", lanes)
    work, y, bias, begin, count, channels, row, step = code.arguments
    with code.loop(count) as tile:
        source, target = work + tile * row, y + (begin + tile) * f.outputs * step
        with code.loop(channels, lanes) as c:
            products = [source[c + s * slab] for s in product_slabs(f)]
            shift = bias[c]
            for i, v in enumerate(output_transform(f, products)):
                target[c + step * i] = v + shift
    return code.end()


def upsampling(
    module: ir.Module,
    name: str,
    f: Filtering,
    rooms: tuple[Room, Room],
    rate: int,
    block: RegisterBlock,
    parts: tuple[Function, Function, Function, Function],
) -> Function:
    """Adds the function `name(x, y, weights, bias, work, tiles)` to a module.

    Tile g reads rows of x from f.outputs g on and gives f.outputs rate rows of y, from row f.outputs rate g on. x and y
    are the addresses of row 0. Weights are `[rate, points, panels, inner, panel]`. Work is memory of `work_numbers`:
    first the data of all points, then their products, phase by phase.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        f: the filtering.
        rooms: the memory of transformed tiles of the input, and of the output.
        rate: number of phases.
        block: the block of registers of the products.
        parts: the functions of `data_tiles` without an activation, of the product from rows of one room to those of the
            other, of the product that begins with rows of the other, and of `upsampled_tiles`.
    """
    code = Function(module, name, "*x *y *weights *bias *work tiles", block.lanes)
    x, y, weights, bias, work, tiles = code.arguments
    (before, after), (data, multiply, more, output) = rooms, parts
    zeros = code.table(np.zeros(after.channels, np.float32))
    products, size = work + f.points * before.slab, before.inner * after.channels
    with code.loop(tiles, before.tiles) as begin:
        count = (tiles - begin).at_most(before.tiles)
        code.call(data, x, work, begin, count, 1, before.channels, before.data_row)
        with code.loop(rate) as phase:
            sizes = count, before.inner, after.channels // block.panel
            multiply_points(code, f, before.slab, (multiply, more), sizes, work, weights + phase * (f.points * size),
                            size, zeros, products)  # fmt: skip
            here = y + phase * after.channels
            code.call(output, products, here, bias, begin, count, after.channels, after.row, rate * after.channels)
    return code.end()


def upsampling_rooms(shape: HifiganShape, stage: StageRows) -> tuple[Room, Room]:
    """The memory of transformed tiles of a stage's input, and of its output: slabs are equally far apart in both."""
    most = whole_vectors(shape.channels)
    return Room(stage.inputs, stage.inputs, most), Room(stage.channels, stage.used, most)


def work_numbers(shape: HifiganShape, stage: StageRows) -> int:
    """Size of the memory of `upsampling` [float32 numbers]."""
    before, _ = upsampling_rooms(shape, stage)
    return (2 * stage.filtering.points + 1) * before.slab
