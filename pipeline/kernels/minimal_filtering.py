"""Minimal filtering (Toom-Cook, Winograd): the exact matrices of F(m, r), and of two of them nested.

A filter of r taps gives m outputs  y[i] = sum_k g[k] x[i + k]  with n = m + r - 1 multiplications instead of m r:

    y = A^T [(G g) * (B^T x)]                                                                     (* point by point)

Interpolation at n points, one of them infinity if only n - 1 finite ones are given: A^T evaluates, G evaluates and
divides by the Lagrange denominators, B^T holds the coefficients of the products of (z - a_j). S. Winograd, Arithmetic
Complexity of Computations (1980), ch. III; R. Blahut, Fast Algorithms for Signal Processing (2010), ch. 5; for nets A.
Lavin and S. Gray, arXiv:1509.09308; for the choice of the points B. Barabasz et al., arXiv:1803.10986. Points are
rational for short filters (`Level`): each takes one product, but the more of them there are, the larger the errors in
float32. Long filters take points of the complex unit circle (`Circle`), any number of which is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from math import log2

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.circle import circle

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

    @property
    def singles(self) -> int:
        """Number of real points."""
        return self.points

    @property
    def inputs(self) -> int:
        """Number of inputs of a tile."""
        return self.points


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
class Circle:
    """F(N + 3 - taps, taps) with the points 0, infinity and all N-th roots of unity w^k, w = exp(2 pi i / N), N = size.

    The polynomial of the finite points is z (z^N - 1), so that data need little more than a Fourier transform:

        D_0 = d[0] - d[N],   D_inf = d[N + 1] - d[1],   D_k = sum_{j = 1 .. N} d[j] w^(-k j),
        y[i] = 1 / N sum_k (sum_l g[l] w^(k l)) D_k w^(k i)  + (g[0] D_0 at the first i) + (g[r - 1] D_inf at the last)

    This is the cyclic filter of N points, with two products mended that it folds onto others: that of d[0], for which
    it takes d[N], and that of d[N + 1], for which it takes d[1]. All values are real, so D_(N - k) is the conjugate of
    D_k. A conjugate pair takes three products of real numbers, by K. F. Gauss's

        (a + i b) (c + i e) = (p - b (c + e)) + i (p + a (e - c)),   p = (a + b) c

    and the filter 1.5 N + 1 for N + 2 points. Rational points would take fewer, but these have all the magnitude 1, so
    that errors are smaller than those of the plain sum of products, however many points there are.
    """

    size: int
    taps: int

    @property
    def outputs(self) -> int:
        """Number of outputs of a tile."""
        return self.inputs - self.taps + 1

    @property
    def inputs(self) -> int:
        """Number of inputs of a tile."""
        return self.size + 2

    @property
    def singles(self) -> int:
        """Number of real points: 0, infinity, 1, -1, in this order."""
        return 4

    @property
    def pairs(self) -> int:
        """Number of conjugate pairs of points."""
        return self.size // 2 - 1

    @property
    def points(self) -> int:
        """Number of multiplications for a tile: one for a real point, three for a pair."""
        return self.singles + 3 * self.pairs

    @cached_property
    def kernel(self) -> NDArray[np.float64]:
        """G [points, taps]: real points, then c, -(c + e) and e - c of each pair, with the factor 2 for both of it."""
        taps = np.arange(self.taps)
        ends = [taps == 0, taps == self.taps - 1]
        rows = [np.where(end, 1.0, 0.0) for end in ends] + [sign**taps / self.size for sign in (1.0, -1.0)]
        for k in range(1, self.pairs + 1):
            point = circle(k * taps, self.size) * (2 / self.size)
            rows += [point.real, -(point.real + point.imag), point.imag - point.real]
        return np.array(rows)


Filtering = Level | Circle
"""How a filter is computed."""
MOST_TAPS = 12
_CIRCLE = 32
"""Size of all circles: 1.75 multiplications an output of 7, 2.04 of 11. Of 24 they are 1.85 and 2.31; of 48 they are
1.66 and 1.83, but transforms no longer fit into registers, and HiFi-GAN V1 took 6 to 13 % longer."""


@cache
def for_taps(taps: int) -> Filtering:
    """The filtering for a kernel of up to `MOST_TAPS` taps."""
    if taps == 1:
        return level(1, 1, "")
    if taps == 2:
        return level(5, 2, "1/2 1")  # 1.2 multiplications an output, of 2
    if taps == 3:
        return level(6, 3, "1/2 1 2")  # 1.33 multiplications an output, of 3; with 8 outputs the error is fourfold
    return Circle(_CIRCLE, taps)
