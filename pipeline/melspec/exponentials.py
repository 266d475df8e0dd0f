"""e^x and ln x of float64 in the same bits on every processor; those of numpy and libm differ in the last bit.

Arrays take only operations that IEEE 754 rounds to the nearest, one after the other: numpy contracts none of them. The
rational functions are those of S. Moshier's Cephes library (cmath/exp.c, cmath/log.c). A unit in the last place (ulp)
is that of the exact result; the bounds are of all that tests/melspec/test_exponentials.py tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_LOG2_E = 1.4426950408889634
# ln 2 as a sum of two numbers, the first of which has few bits: its products with small whole numbers are exact.
_LN_2 = (0.693145751953125, 1.42860682030941723212e-6)
_EXP_P = (1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1)
_EXP_Q = (3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0)
# The same of ln 2, with fewer bits in the first.
_LN_2_OF_LN = (0.693359375, -2.121944400546905827679e-4)
_LN_P = (
    1.01875663804580931796e-4, 4.97494994976747001425e-1, 4.70579119878881725854, 1.44989225341610930846e1,
    1.79368678507819816313e1, 7.70838733755885391666,
)  # fmt: skip
_LN_Q = (
    1.0, 1.12873587189167450590e1, 4.52279145837532221105e1, 8.29875266912776603211e1, 7.11544750618563894466e1,
    2.31251620126765340583e1,
)  # fmt: skip
_LARGEST = 700.0
"""Exponents are brought to this size or less: e^700 is 1e304."""


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^x within 1.5 ulp for |x| <= 700, and beyond as for -700 or 700.

    x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + 2 r P(r^2) / (Q(r^2) - r P(r^2)).
    """
    x = np.clip(x, -_LARGEST, _LARGEST)
    n = np.floor(x * _LOG2_E + 0.5)
    r = x - n * _LN_2[0] - n * _LN_2[1]
    square = r * r
    odd = r * _polynomial(square, _EXP_P)
    return np.ldexp(2 * (odd / (_polynomial(square, _EXP_Q) - odd)) + 1, n.astype(np.int32))


def ln(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of positive, normal numbers, within 1.5 ulp or 2e-17.

    x = 2^e (1 + z) with sqrt(1/2) <= 1 + z < sqrt(2), and ln x = e ln 2 + z - z^2 / 2 + z^3 P(z) / Q(z).
    """
    fraction, exponent = np.frexp(x)
    below = fraction < math.sqrt(0.5)
    z = np.where(below, 2 * fraction, fraction) - 1
    e = exponent - below.astype(np.float64)
    square = z * z
    rest = z * (square * _polynomial(z, _LN_P) / _polynomial(z, _LN_Q)) + e * _LN_2_OF_LN[1] - 0.5 * square
    total: NDArray[np.float64] = z + rest + e * _LN_2_OF_LN[0]
    return total


@lru_cache(maxsize=64)
def ln_of(x: float) -> float:
    """The natural logarithm of a single positive number, rounded to the nearest."""
    with localcontext(prec=30):
        return float(Decimal(x).ln())


def _polynomial(x: NDArray[np.float64], coefficients: Sequence[float]) -> NDArray[np.float64]:
    """c[0] x^n + c[1] x^(n - 1) + ... + c[n], by Horner's rule."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
