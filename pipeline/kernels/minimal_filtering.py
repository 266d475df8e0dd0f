"""Minimal filtering (Toom-Cook, Winograd): the exact matrices of F(m, r), and of two of them nested.

A filter of r taps gives m outputs  y[i] = sum_k g[k] x[i + k]  with n = m + r - 1 multiplications instead of m r:

    y = A^T [(G g) * (B^T x)]                                                                     (* point by point)

Interpolation at n points, one of them infinity if only n - 1 finite ones are given: A^T evaluates, G evaluates and
divides by the Lagrange denominators, B^T holds the coefficients of the products of (z - a_j). S. Winograd, Arithmetic
Complexity of Computations (1980), ch. III; R. Blahut, Fast Algorithms for Signal Processing (2010), ch. 5; for nets A.
Lavin and S. Gray, arXiv:1509.09308; for the choice of the points B. Barabasz et al., arXiv:1803.10986. Few points a
level keep float32 exact enough: at one level 7 and 11 taps would need 10 and 14 points, so they are taken as 8 = 2 x 4
and 12 = 3 x 4 taps, on two levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import log2

import numpy as np
from numpy.typing import NDArray

Exact = list[list[Fraction]]


@dataclass(frozen=True)
class Level:
    """F(outputs, taps) of one level. Matrices are float64, each entry a float32 or as near to it as rounding goes."""

    outputs: int
    taps: int
    pairs: int
    """Points are 0, then `pairs` pairs +a, -a, then (perhaps) infinity."""
    infinity: bool
    output: NDArray[np.float64]
    """A^T [outputs, n]"""
    kernel: NDArray[np.float64]
    """G [n, taps]"""
    data: NDArray[np.float64]
    """B^T [n, n]"""

    @property
    def points(self) -> int:
        """Number of points, which is that of multiplications."""
        return len(self.data)


def level(outputs: int, taps: int, pairs: str) -> Level:
    """F(outputs, taps) with the points 0 and +-a for each a of `pairs` ("1/2 1 2"), and infinity if one more is
    needed."""
    n = outputs + taps - 1
    given = [Fraction(word) for word in pairs.split()]
    points = [Fraction(0)] + [sign * a for a in given for sign in (1, -1)]
    infinity = len(points) == n - 1
    assert infinity or len(points) == n, (outputs, taps, pairs)

    output = [[a**i for a in points] for i in range(outputs)]
    kernel = [[a**k / _denominator(points, a) for k in range(taps)] for a in points]
    data = [_polynomial([b for b in points if b != a], n) for a in points]
    if infinity:
        for i, row in enumerate(output):
            row.append(Fraction(i == outputs - 1))
        kernel.append([Fraction(k == taps - 1) for k in range(taps)])
        data.append(_polynomial(points, n))
    for s in range(n):  # powers of two between the matrices, so that no point's products are much larger than another's
        size = _power_of_two(max(map(abs, data[s])))
        data[s] = [x / size for x in data[s]]
        other = _power_of_two(max(abs(row[s]) for row in output))
        for row in output:
            row[s] /= other
        kernel[s] = [x * size * other for x in kernel[s]]
    _check(output, kernel, data)
    return Level(outputs, taps, len(given), infinity, _floats(output), _floats(kernel), _floats(data))


def _denominator(points: list[Fraction], a: Fraction) -> Fraction:
    product = Fraction(1)
    for b in points:
        if b != a:
            product *= a - b
    return product


def _polynomial(roots: list[Fraction], length: int) -> list[Fraction]:
    """Coefficients of prod (z - root), lowest first, `length` of them."""
    c = [Fraction(1)]
    for root in roots:
        c = [(c[i - 1] if i else 0) - root * (c[i] if i < len(c) else 0) for i in range(len(c) + 1)]
    return c + [Fraction(0)] * (length - len(c))


def _power_of_two(x: Fraction) -> Fraction:
    return Fraction(2) ** round(log2(x))


def _check(output: Exact, kernel: Exact, data: Exact) -> None:
    """sum_s A^T[i, s] G[s, k] B^T[s, j] = 1 where j = i + k, else 0: exactly."""
    for i, row in enumerate(output):
        for k in range(len(kernel[0])):
            for j in range(len(data)):
                assert sum(a * g[k] * b[j] for a, g, b in zip(row, kernel, data, strict=True)) == (j == i + k)


def _floats(matrix: Exact) -> NDArray[np.float64]:
    return np.array([[float(x) for x in row] for row in matrix])


@dataclass(frozen=True)
class Filtering:
    """One level, or an outer level over blocks of an inner one's outputs.

    y[m o + i] = sum_{b, k} g[m b + k] x[m (o + b) + i + k]  with m = inner.outputs = inner.taps: over o and b it is a
    filter whose taps and inputs are themselves filters, so F(inner) x F(outer) takes inner.points * outer.points
    multiplications.
    """

    inner: Level
    outer: Level | None = None

    def __post_init__(self) -> None:
        assert self.outer is None or self.inner.outputs == self.inner.taps

    @property
    def outputs(self) -> int:
        """Number of outputs of a tile."""
        return self.inner.outputs * (self.outer.outputs if self.outer else 1)

    @property
    def taps(self) -> int:
        """Number of taps, a few of which may be zero."""
        return self.inner.taps * (self.outer.taps if self.outer else 1)

    @property
    def points(self) -> int:
        """Number of points, which is that of multiplications for a tile."""
        return self.inner.points * (self.outer.points if self.outer else 1)

    @property
    def inputs(self) -> int:
        """Number of inputs of a tile."""
        return self.outputs + self.taps - 1

    def kernel(self) -> NDArray[np.float64]:
        """G [points, taps]; points inner first, then outer; taps in their order."""
        if self.outer is None:
            return self.inner.kernel
        both = np.einsum("ik,jb->ijbk", self.inner.kernel, self.outer.kernel)
        moved: NDArray[np.float64] = both.reshape(self.points, self.taps)
        return moved


MOST_TAPS = 12


@cache
def for_taps(taps: int) -> Filtering:
    """The filtering for a kernel of up to `MOST_TAPS` taps; it may have a few more, which are zero.

    Measured on HiFi-GAN V1 for speed, and for an error within 1e-4 from end to end.
    """
    four = level(4, 4, "1/2 1 2")  # 7 points, all coefficients exact in float32
    known = {
        3: lambda: Filtering(level(6, 3, "1/2 1 2")),  # 1.33 multiplications an output, of 3
        5: lambda: Filtering(level(4, 5, "1/2 1 2")),  # 2.00 of 5
        8: lambda: Filtering(four, level(3, 2, "1")),  # 2.33 of 7
        12: lambda: Filtering(four, level(4, 3, "1/2 3/2")),  # 2.63 of 11
    }
    return known[min(most for most in known if most >= taps)]()
