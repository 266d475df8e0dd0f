"""Fits the rational functions of pipeline/kernels/elementary.py: prints the coefficients of tanh, erf and sin(pi x).

An odd function is x P(x^2) / Q(x^2) up to a bound. P and Q minimize the largest
error: linear least squares on f Q - x P, divided by the Q of the step before (C. Sanathanan and J. Koerner, "Transfer
function synthesis as a ratio of two complex polynomials", IEEE Transactions on Automatic Control 8, 1963), at Chebyshev
nodes, whose weights grow where the error is large (C. Lawson's algorithm: J. Rice and K. Usow, "The Lawson algorithm
and extensions", Mathematics of Computation 22, 1968).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

FITS: dict[str, tuple[Callable[[Values], Values], float, int, int]] = {
    "TANH": (np.tanh, 8.5, 6, 3),
    "ERF": (np.vectorize(math.erf), 4.0, 5, 5),
    "HALF_TURN": (lambda x: np.sin(np.pi * x), 0.5, 4, 0),
}
"""For each function: the function, the bound, and the degrees of P and Q in x^2."""


def odd_rational(function: Callable[[Values], Values], bound: float, above: int, below: int) -> tuple[Values, Values]:
    """Coefficients of P `[above + 1]` and Q `[below + 1]`, lowest first; Q begins with 1."""
    x = np.cos(np.pi * (np.arange(2000) + 0.5) / 4000) * bound
    f, u = function(x), (x / bound) ** 2
    weights, q = np.ones_like(x), np.ones_like(x)
    for step in range(400):
        w = np.sqrt(weights) / q
        columns = [x * u**k for k in range(above + 1)] + [-f * u**k for k in range(1, below + 1)]
        found = np.linalg.lstsq(np.stack(columns, 1) * w[:, None], f * w, rcond=None)[0]
        p, q_coefficients = found[: above + 1], np.r_[1, found[above + 1 :]]
        q = np.polyval(q_coefficients[::-1], u)
        error = np.abs(x * np.polyval(p[::-1], u) / q - f)
        if step > 5:
            weights = np.maximum(weights * error / error.mean(), 1e-12)
            weights /= weights.mean()
    powers = bound ** (2.0 * np.arange(max(above, below) + 1))
    return p / powers[: above + 1], q_coefficients / powers[: below + 1]


def main() -> None:
    for name, fit in FITS.items():
        for letter, coefficients in zip("PQ", odd_rational(*fit), strict=True):
            print(f"{name}_{letter} =", ", ".join(f"{float(np.float32(c))!r}" for c in coefficients))


if __name__ == "__main__":
    main()
