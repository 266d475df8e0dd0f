"""Points of the unit circle for tables: cosines and sines that are the same bits on every processor."""

from __future__ import annotations

from math import factorial, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Taylor's series up to an eighth of a turn: the first term left out is (pi / 4)^20 / 20!, 3e-21.
_TERMS = 10


def circle(numerators: ArrayLike, denominator: int) -> NDArray[np.complex128]:
    """exp(2 pi i k / n) for whole numbers k, within 2e-16.

    numpy's and libm's own cosines differ in the last bit from processor to processor. This uses only sums, products and
    quotients, which IEEE 754 rounds in one way.

    Args:
        numerators: whole numbers k, of any shape.
        denominator: n, a positive whole number.

    Returns:
        complex128 of the same shape.
    """
    quarter, rest = np.divmod(4 * np.asarray(numerators, np.int64), denominator)
    mirrored = 2 * rest > denominator  # beyond an eighth: cosine and sine of what is missing to a quarter, swapped
    angle = np.where(mirrored, denominator - rest, rest) / denominator * (pi / 2)
    square = angle * angle
    cosine, sine = np.zeros_like(angle), np.zeros_like(angle)
    for n in reversed(range(_TERMS)):
        cosine = cosine * square + (-1) ** n / factorial(2 * n)
        sine = sine * square + (-1) ** n / factorial(2 * n + 1)
    sine = sine * angle
    point = np.empty(angle.shape, np.complex128)
    point.real, point.imag = np.where(mirrored, sine, cosine), np.where(mirrored, cosine, sine)
    for turns in (1, 2, 3):
        point = np.where(quarter % 4 >= turns, _quarter_turn(point), point)
    return point


def _quarter_turn(point: NDArray[np.complex128]) -> NDArray[np.complex128]:
    turned = np.empty_like(point)
    turned.real, turned.imag = 0.0 - point.imag, point.real
    return turned
