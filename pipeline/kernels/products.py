"""Matrix products C = bias + A B, whose sums stay in registers from their first term to their last.

C is made in blocks of a few rows and one panel of columns, as many as the processor has registers for. A block goes
through the inner dimension once: it loads a line of B's panel, and adds its product with each row's value of A. (K.
Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008; their packed panels of B are made
once here, since B holds weights.) Each element of C is bias + a[0] b[0] + a[1] b[1] + ..., in this order, every step
rounded once, whatever the block's size: the same bits on every processor. With `paired`, A and B are bfloat16, and
a[1] b[1] is added before a[0] b[0], a[3] b[3] before a[2] b[2], ...: the same bits on every processor with AVX512_BF16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Ints

COLUMNS = 16
"""The number of columns of a product is a multiple of this, on every processor."""
MOST_ROWS = 16
"""A and C need memory for this number of rows even where a product has fewer, on every processor."""

_LINE = 16  # float32 numbers in a line of the cache
MultiplyAdd = Callable[[Floats, Floats, Floats], Floats]
"""A function of (a, b, sum) that gives sum + a b for each lane."""


@dataclass(frozen=True)
class RegisterBlock:
    """The accumulators of a product in registers: `rows` rows of `vectors` vectors of `lanes` numbers."""

    lanes: int
    rows: int
    vectors: int

    @property
    def panel(self) -> int:
        """Number of columns of a block."""
        return self.lanes * self.vectors


def block_for(target: Target, columns: int) -> RegisterBlock:
    """The widest block of a target's registers whose panels divide the columns, a multiple of `COLUMNS`."""
    assert columns % COLUMNS == 0, columns
    assert target.rows <= MOST_ROWS, target
    vectors = next(v for v in range(target.vectors, 0, -1) if columns % (v * target.lanes) == 0)
    return RegisterBlock(target.lanes, target.rows, vectors)


def fused(a: Floats, b: Floats, total: Floats) -> Floats:
    """The sum + a b in float32, rounded once."""
    return a.fma(b, total)


def paired(a: Floats, b: Floats, total: Floats) -> Floats:
    """The sum + a b of two bfloat16 in the place of each float32; see `Floats.add_pairs`."""
    return total.add_pairs(a, b)


def bfloat16_pairs(matrix: NDArray[np.floating]) -> NDArray[np.float32]:
    """B for `paired`: `[..., inner, columns]`, finite -> `[..., inner / 2, columns] float32`.

    Each number holds two values of a column, the first in its lower half, rounded to the nearest bfloat16, ties to
    even: what is added carries into the upper half of a float32 if the lower one is more than half a unit of it, or
    just half and the upper one odd.
    """
    bits = np.ascontiguousarray(matrix, np.float32).view(np.uint32)
    halves = (bits + (bits >> 16 & 1) + 0x7FFF) >> 16
    packed: NDArray[np.float32] = (halves[..., 0::2, :] | halves[..., 1::2, :] << 16).view(np.float32)
    return packed


def panels(matrix: NDArray[np.floating], block: RegisterBlock) -> NDArray[np.float32]:
    """B as `product` reads it: `[..., inner, columns]` -> `[..., columns / panel, inner, panel] float32`."""
    *outer, inner, columns = matrix.shape
    cut = matrix.reshape(*outer, inner, columns // block.panel, block.panel)
    return np.ascontiguousarray(np.moveaxis(cut, -2, -3), np.float32)


def product(
    module: ir.Module,
    name: str,
    block: RegisterBlock,
    a_row: int,
    c_row: int,
    multiply_add: MultiplyAdd = fused,
    begin_row: int = 0,
) -> Function:
    """Adds the function `name(rows, inner, panels, a, b, begin, c)` to a module: C = begin + A B.

    Its arguments: the number of rows, 1 or more; the number of columns of A; the number of panels of B; the addresses
    of A, of B as `panels` gives it, of what sums begin with (a bias, one number for each column), and of C. Rows of A
    may overlap each other. C overlaps none of the others, and is written in no other place than its rows and columns;
    but with fewer than `MOST_ROWS` rows, A and C must have memory for that many, and what C holds there afterwards is
    of no meaning.

    Args:
        module: the module that the function becomes part of.
        name: name of the function.
        block: the block of registers.
        a_row: distance between rows of A [numbers].
        c_row: distance between rows of C [numbers].
        multiply_add: how a product is added to a sum.
        begin_row: distance between rows of what sums begin with [numbers]; 0 if it is one row, a bias. It needs memory
            for `MOST_ROWS` rows, too.
    """
    f = Function(module, name, "rows inner panels *a *b *begin *c", block.lanes)
    rows, inner, count, a, b, begin, c = f.arguments
    whole = rows // block.rows * block.rows
    rest = rows - whole
    with f.loop(count) as panel:
        column = panel * block.panel
        line = [] if begin_row else _rows(begin + column, 1, 0, block)
        weights = b + panel * inner * block.panel

        def multiply(first: Ints, height: int) -> None:
            start = line * height or _rows(begin + first * begin_row + column, height, begin_row, block)
            _block(f, replace(block, rows=height), inner, (a + first * a_row, a_row), weights, start,
                   (c + first * c_row + column, c_row), multiply_add)  # fmt: skip

        with f.loop(whole, block.rows, perhaps_none=True) as row:
            multiply(row, block.rows)
        for lower, height in pairwise([0, *_heights(block)]):
            with f.when((rest > lower) & (rest < height + 1)):
                multiply((rows - height).at_least(0), height)  # it lies on whole blocks rather than beyond the end
    return f.end()


def _heights(block: RegisterBlock) -> list[int]:
    """Numbers of rows that the last block may have, so that few rows are computed twice: multiples of 4 whose
    accumulators keep the multipliers busy (two of them, which take four cycles), and that of a whole block."""
    return [*(rows for rows in range(4, block.rows, 4) if rows * block.vectors >= 8), block.rows]


def _rows(place: Pointer, rows: int, distance: int, block: RegisterBlock) -> list[Floats]:
    """The vectors of some rows that are `distance` numbers apart."""
    return [place[i * distance + v * block.lanes] for i in range(rows) for v in range(block.vectors)]


def _block(
    f: Function,
    block: RegisterBlock,
    inner: Ints,
    a: tuple[Pointer, int],
    b: Pointer,
    start: Sequence[Floats],
    c: tuple[Pointer, int],
    multiply_add: MultiplyAdd,
) -> None:
    """One block of C; of A and C the first number is the address of the first row, the second the rows' distance."""
    rows, vectors = range(block.rows), range(block.vectors)
    with f.carrying(start, inner) as turn:
        line = [b[turn.index * block.panel + v * block.lanes] for v in vectors]
        for number in range(0, block.panel, _LINE):
            # The next panel, or the first one of the next product: weights come from memory, at their first use in a
            # group of rows, and a processor's own prefetcher waits at each page. Reading beyond the end does nothing.
            b.prefetch((turn.index + inner) * block.panel + number)
        sums = []
        for i in rows:
            factor = a[0].spread(turn.index + i * a[1])
            sums += [multiply_add(factor, line[v], turn.values[i * block.vectors + v]) for v in vectors]
        turn.values = sums
    for i in rows:
        for v in vectors:
            c[0][i * c[1] + v * block.lanes] = turn.values[i * block.vectors + v]
