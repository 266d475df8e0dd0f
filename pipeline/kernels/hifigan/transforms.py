"""The transforms of minimal filtering over vectors: straight-line code, made from the exact matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.minimal_filtering import Filtering, Level
from pipeline.kernels.values import Floats


def data_transform(f: Filtering, x: Sequence[Floats]) -> list[Floats]:
    """B^T x: from `f.inputs` vectors to `f.points`, in the order of the points of `f.kernel()`.

    Nested, it is the inner transform of each block that the outer one filters, then the outer one over the blocks.
    """
    if f.outer is None:
        return _data(f.inner, x)
    step, count = f.inner.outputs, f.inner.points
    blocks = [_data(f.inner, x[step * o : step * o + count]) for o in range(f.outer.points)]
    return [row for point in range(count) for row in _data(f.outer, [block[point] for block in blocks])]


def output_transform(f: Filtering, m: Sequence[Floats]) -> list[Floats]:
    """A^T m: from `f.points` vectors to `f.outputs`."""
    if f.outer is None:
        return _output(f.inner, m)
    count = f.outer.points
    blocks = [_output(f.outer, m[count * i : count * (i + 1)]) for i in range(f.inner.points)]
    return [row for o in range(f.outer.outputs) for row in _output(f.inner, [block[o] for block in blocks])]


def _data(level: Level, x: Sequence[Floats]) -> list[Floats]:
    """B^T x of one level. Rows of the points +a and -a share their even and their odd part: e + o, e - o."""
    rows = [_combined(level.data[0], x)]
    for p in range(1, 2 * level.pairs, 2):
        even = _combined((level.data[p] + level.data[p + 1]) / 2, x)
        odd = _combined((level.data[p] - level.data[p + 1]) / 2, x)
        rows += [even + odd, even - odd]
    return rows + ([_combined(level.data[-1], x)] if level.infinity else [])


def _output(level: Level, m: Sequence[Floats]) -> list[Floats]:
    """A^T m of one level. Columns of the points +a and -a are equal in even rows and opposite in odd ones: their sums
    and differences are taken once."""
    pairs = range(1, 2 * level.pairs, 2)
    parts = [m[p] + m[p + 1] for p in pairs], [m[p] - m[p + 1] for p in pairs]
    ends, end_values = ([0, -1], [m[0], m[-1]]) if level.infinity else ([0], [m[0]])
    return [
        _combined([*row[ends], *row[1 : 2 * level.pairs : 2]], [*end_values, *parts[i % 2]])
        for i, row in enumerate(level.output)
    ]


def _combined(coefficients: Sequence[float] | NDArray[np.float64], vectors: Sequence[Floats]) -> Floats:
    """The sum of coefficient * vector: first those with a coefficient of 1 or -1, then one fused step for each."""
    terms = [(float(c), v) for c, v in zip(coefficients, vectors, strict=True) if c]
    terms.sort(key=lambda term: abs(term[0]) != 1)
    (c, v), *rest = terms
    total = v if c == 1 else v * c
    for c, v in rest:
        total = total + v if c == 1 else total - v if c == -1 else v.fma(c, total)
    return total
