"""A dilated convolution of a residual branch, with what is done before and after it, in one pass over memory.

Rows of memory are times, vectors lie along channels: a dilation is only another distance between rows, and the
transforms of minimal filtering are vector code without shuffles. Some tiles are transformed into memory that the cache
holds, one matrix product for each point of the filtering turns their input channels into output channels, and the
outputs are transformed back. S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray,
arXiv:1509.09308.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from pipeline.kernels.emitter import BF16
from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.geometry import Place
from pipeline.kernels.hifigan.transforms import data_transform, output_transform
from pipeline.kernels.minimal_filtering import Filtering
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.products import RegisterBlock
from pipeline.kernels.values import Floats, Ints

_LINE, _PAGE = 16, 1024  # float32 numbers in a line of the cache; numbers whose lines fall into the same set of it


@dataclass(frozen=True)
class Room:
    """The memory of transformed tiles, which the caches hold: a slab of rows for each point, and one more.

    Measured with HiFi-GAN V1 on 1 MiB of cache of the second level: other numbers of tiles take up to 5 % longer.

    Args:
        channels: number of channels in memory.
        used: number of channels that have weights; the others stay zero.
        most: the largest number of channels of the generator: the distance between slabs is the same in all stages, so
            that they share their code.
        pairs: whether the data, not the products, are bfloat16: two channels in the place of one.
    """

    channels: int
    used: int
    most: int
    pairs: bool = False

    @property
    def tiles(self) -> int:
        """Number of tiles that go through at once."""
        return 36 if self.channels > 64 else 24

    @property
    def row(self) -> int:
        """Distance between rows [numbers]: a line more than a row, so that rows fall into different sets of a cache."""
        return self.channels + _LINE

    @property
    def inner(self) -> int:
        """Size of a row of data, as far as it has weights [float32 numbers]."""
        return -(-self.used // 2) if self.pairs else self.used

    @property
    def data_row(self) -> int:
        """Distance between rows of data [numbers]."""
        return (self.channels // 2 if self.pairs else self.channels) + _LINE

    @property
    def slab(self) -> int:
        """Distance between slabs [numbers]: those of a tile's points fall into different sets of a cache, too."""
        widest = Room(self.most, self.most, self.most)
        return -(-widest.tiles * widest.row // _PAGE) * _PAGE + _LINE

    def numbers(self, f: Filtering) -> int:
        """Size of the memory for a filtering [float32 numbers]."""
        return (f.points + 1) * self.slab


def leaky_relu(x: Floats, slope: float | None) -> Floats:
    """The larger of x and slope x, for a slope between 0 and 1; x if it is None."""
    return x if slope is None else x.at_least(x * slope)


def data_tiles(
    module: ir.Module, name: str, f: Filtering, slope: float | None, slab: int, lanes: int, pairs: bool = False
) -> Function:
    """Adds the function `name(x, work, begin, count, dilation, channels, row)` to a module: tiles to their data.

    Slab s of work, counted from 0, takes point s of the `count` tiles from tile `begin`, a tile in each row.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        f: the filtering.
        slope: slope of the leaky ReLU of the input; None for none.
        slab: distance between slabs [numbers].
        lanes: number of lanes of a vector.
        pairs: whether the data are rounded to bfloat16.
    """
    code = Function(module, name, "*x *work begin count dilation channels row", lanes)
    x, work, begin, count, dilation, channels, row = code.arguments
    step = dilation * channels  # from a row to the next one of its phase
    with code.loop(count) as tile:
        source, target = x + _first_row(f, begin + tile, dilation) * channels, work + tile * row
        with code.loop(channels, lanes) as c:
            inputs = [leaky_relu(source[c + step * j], slope) for j in range(f.inputs)]
            for s, v in enumerate(data_transform(f, inputs)):
                if pairs:
                    (target + s * slab).of(BF16)[c] = v.bfloat16()
                else:
                    target[c + s * slab] = v
    return code.end()


def output_tiles(
    module: ir.Module, name: str, f: Filtering, place: Place, slope: float | None, slab: int, lanes: int
) -> Function:
    """Adds the function `name(work, y, residual, bias, begin, count, dilation, channels, row)` to a module: products
    of tiles to rows of the output, with their bias, and a leaky ReLU (first, if there is a slope) or the residual
    (last, only).

    Its arguments and those of this function are as for `data_tiles`.
    """
    code = Function(module, name, "*work *y *residual *bias begin count dilation channels row", lanes)
    work, y, residual, bias, begin, count, dilation, channels, row = code.arguments
    step = dilation * channels
    with code.loop(count) as tile:
        start = _first_row(f, begin + tile, dilation) * channels
        source, target, old = work + tile * row, y + start, residual + start
        with code.loop(channels, lanes) as c:
            shift = bias[c]
            products = [source[c + s * slab] for s in product_slabs(f)]
            for i, v in enumerate(output_transform(f, products)):
                here = c + step * i
                target[here] = leaky_relu(v + shift, slope) if place == "first" else v + shift + old[here]
    return code.end()


def product_slabs(f: Filtering) -> list[int]:
    """The slabs of products that outputs are made of; see `multiply_points`."""
    singles, points = f.singles, f.points
    return [*range(singles), *(s for s in range(singles, points) if (s - singles) % 3)]


def multiply_points(
    code: Function,
    f: Filtering,
    slab: int,
    functions: tuple[Function, Function],
    sizes: tuple[Ints, int, int],
    data: Pointer,
    weights: Pointer,
    size: int,
    zeros: Pointer,
    products: Pointer,
) -> None:
    """Adds the products of all points to a function.

    Those of a pair of complex points (see `Circle`), whose data are a + b, b and a in slabs s to s + 2, are p in slab s
    of the products, the real part, whose sums begin with p, in slab s + 1, and the imaginary part in slab s + 2.

    Args:
        code: the function.
        f: the filtering.
        slab: distance between slabs [numbers].
        functions: the product whose sums begin with zeros, and the one whose sums begin with other products.
        sizes: number of rows, of lines and of panels of a product.
        data: address of the data.
        weights: address of the weights.
        size: size of the weights of a point [numbers].
        zeros: address of a row of zeros.
        products: address of the products, which may be a slab before the data: data are not read again.
    """
    multiply, more = functions

    def point(s: Ints, begin: Ints | None = None) -> None:
        function, start = (multiply, zeros) if begin is None else (more, products + begin * slab)
        code.call(function, *sizes, data + s * slab, weights + s * size, start, products + s * slab)

    with code.loop(f.singles) as s:
        point(s)
    if f.singles < f.points:
        with code.loop(f.points, 3, f.singles) as s:
            point(s)
            point(s + 1, s)
            point(s + 2, s)


def _first_row(f: Filtering, tile: Ints, dilation: Ints) -> Ints:
    """The first row of a tile, of its inputs or of its outputs, counted from that of tile 0; see `convolution`."""
    return tile // dilation * dilation * f.outputs + tile % dilation


def convolution(
    module: ir.Module,
    name: str,
    f: Filtering,
    room: Room,
    block: RegisterBlock,
    parts: tuple[Function, Function, Function, Function],
    snake: Function | None = None,
) -> Function:
    """Adds the function `name(x, y, residual, weights, bias, work, tiles, dilation)` to a module.

    Tile g = dilation * q + p gives the rows dilation * outputs * q + p + dilation * i, i < outputs: the phases p of the
    dilation lie side by side, each an undilated filter. x is the address of the first row that tile 0 reads, y and
    residual are those of the first row that it gives. Weights are `[points, panels, Room.inner, panel]`, work is memory
    of `Room.numbers`: slab s + 1 takes the data of point s, and slab s its products.

    With a snake it has more arguments, `(..., dilation, activated, parameters, place, length)`: the rows that a group
    of tiles is the first to read go through the snake to `activated`, whose row 0 is that of x, and a cache still holds
    them when they are transformed. The last three arguments are the snake's.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        f: the filtering.
        room: the memory of transformed tiles.
        block: the block of registers of the products.
        parts: the functions of `data_tiles`; of the product from rows of `Room.data_row` numbers to rows of `Room.row`;
            of the product that begins with rows of `Room.row`; and of `output_tiles`.
        snake: the function of `snake.activated`, if it is applied to the input.
    """
    extra = " *activated *parameters place length" if snake else ""
    code = Function(module, name, f"*x *y *residual *weights *bias *work tiles dilation{extra}", block.lanes)
    x, y, residual, weights, bias, work, tiles, dilation, *given = code.arguments
    channels, (data, multiply, more, output) = room.channels, parts
    zeros = code.table(np.zeros(channels, np.float32))
    with code.carrying([code.whole(0)], tiles, room.tiles) as turn:
        begin = turn.index
        count, source = (tiles - begin).at_most(room.tiles), x
        if snake is not None:
            source, parameters, place, length = given
            last = _first_row(f, begin + count - 1, dilation) + dilation * (f.inputs - 1) + 1
            code.call(snake, x, source, parameters, *turn.values, last, place, length, channels)
            turn.values = [last]
        code.call(data, source, work + room.slab, begin, count, dilation, channels, room.data_row)
        sizes, size = (count, room.inner, channels // block.panel), room.inner * channels
        multiply_points(code, f, room.slab, (multiply, more), sizes, work + room.slab, weights, size, zeros, work)
        code.call(output, work, y, residual, bias, begin, count, dilation, channels, room.row)
    return code.end()
