"""Elementary functions of float32 vectors of any number of lanes, in the same bits on every processor.

The polynomials of exp, ln, sin and cos are those of S. Moshier's Cephes library (single/expf.c, logf.c, sinf.c), with
each product fused into its sum. Those of tanh, erf and the sine of half turns are fitted by
tests/tools/fit_elementary.py. A unit in the last place (ulp) is that of the exact result; the bounds are of all that
tests/kernels/test_elementary.py tried, one float32 in a thousand. NaN gives NaN, of any sign and payload.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.kernels.values import Floats, Ints

# Added to a number between -2^22 and 2^22, it leaves the nearest whole number (halves to even) in the lowest bits.
_TO_WHOLE = 1.5 * 2**23
_TO_WHOLE_BITS = 0x4B400000

# ln 2 and pi/2 as sums of float32, so that with fma a multiple of the sum is subtracted almost exactly (W. Cody and
# W. Waite, Software Manual for the Elementary Functions, 1980).
_LN_2 = (0.6931471824645996, -1.9046542121259336e-09)
_QUARTER_TURN = (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15)

_EXP = (5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
_LN = (
    3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1,
    1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2,
)  # fmt: skip
_SIN = (-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4)
_COS = (4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5)

TANH_BOUND, ERF_BOUND = 8.5, 4.0
"""From here on, tanh and erf are 1 in float32."""
TANH_P = (
    1.0, 0.13100507855415344, 0.003122549969702959, 1.135431375587359e-05, -2.1077083189879886e-08,
    5.7149552451507546e-11, -9.693941070872125e-14,
)  # fmt: skip
TANH_Q = (1.0, 0.4643383324146271, 0.02456875517964363, 0.00025735286180861294)
ERF_P = (
    1.128378987312317, 0.19624969363212585, 0.05346757546067238, 0.004003678914159536, 0.0002880425890907645,
    1.9748292743315687e-06,
)  # fmt: skip
ERF_Q = (
    1.0, 0.5072529315948486, 0.11647672951221466, 0.015444486401975155, 0.0012163688661530614,
    3.748091694433242e-05,
)  # fmt: skip

HALF_TURN_P = (3.141592502593994, -5.1677069664001465, 2.5500314235687256, -0.5980451703071594, 0.0772201269865036)


def polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    """c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule."""
    value = x.filled(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value.fma(x, coefficient)
    return value


def exp(x: Floats) -> Floats:
    """e^x within 1 ulp, also where the result is subnormal; from 88.7229 on infinity, from -103.98 on 0.

    x = n ln 2 + r with |r| <= ln 2 / 2, and e^x = 2^n e^r, where e^r = 1 + r + r^2 P(r).
    """
    x = x.within(-104.0, 89.0)
    shifted = x.fma(1 / math.log(2), _TO_WHOLE)
    n, whole = _whole(shifted)
    r = whole.fma(-_LN_2[0], x)
    r = whole.fma(-_LN_2[1], r)
    power = polynomial(r, _EXP).fma(r * r, r) + 1
    half = n >> 1  # 2^n may be no float32, but its result one: two factors
    return power * _two_to(half) * _two_to(n - half)


def ln(x: Floats) -> Floats:
    """The natural logarithm within 1 ulp, also of subnormal numbers; -infinity of 0, NaN of negative numbers.

    x = 2^e (1 + z) with sqrt(1/2) <= 1 + z < sqrt(2), and ln x = e ln 2 + z - z^2 / 2 + z^3 P(z).
    """
    small = x < 2.0**-126
    bits = small.where(x * 2.0**23, x).bits()
    e = (bits - 0x3F3504F3) >> 23  # bits of sqrt(1/2)
    z = (bits - (e << 23)).as_float_bits() - 1
    exponent = e.as_floats() - small.where(x.filled(23.0), x.filled(0.0))
    square = z * z
    low = exponent.fma(_LN_2[1], polynomial(z, _LN) * square * z)
    value = exponent.fma(_LN_2[0], square.fma(-0.5, low) + z)
    value = (x < math.inf).where(value, x)
    none = (x >= 0).where(x.filled(-math.inf), x.filled(math.nan))
    return (x <= 0).where(none, value)


def sin_cos(angle: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of an angle [radians], both within 2 ulp up to 100,000; beyond 3,000,000 without meaning."""
    n, quarters = _whole(angle.fma(2 / math.pi, _TO_WHOLE))
    for part in _QUARTER_TURN:
        angle = quarters.fma(-part, angle)
    return _in_quarter(n, angle)


def sin_cos_turns(turns: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of an angle [turns of 2 pi], both within 2 ulp up to 2^20 turns; beyond without meaning."""
    quarters = turns * 4
    n, whole = _whole(quarters + _TO_WHOLE)
    return _in_quarter(n, (quarters - whole) * _QUARTER_TURN[0])


def sin_squared(half_turns: Floats) -> Floats:
    """sin(pi x)^2 of x half turns, within 4e-7 and never below 0; 0 where |x| >= 2^24.

    It repeats itself with every half turn, so x less the nearest whole number is enough: one polynomial, no quarters.
    """
    rest = half_turns - half_turns.nearest()
    sine = polynomial(rest * rest, HALF_TURN_P) * rest
    return sine * sine


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent within 3e-7 and 5 ulp, never beyond -1 and 1."""
    return _odd_rational(x, TANH_BOUND, TANH_P, TANH_Q)


def erf(x: Floats) -> Floats:
    """The error function within 4e-7 and 6 ulp, never beyond -1 and 1."""
    return _odd_rational(x, ERF_BOUND, ERF_P, ERF_Q)


def gelu(x: Floats) -> Floats:
    """The Gaussian error linear unit x Phi(x) = x (1 + erf(x / sqrt 2)) / 2, within 4e-7 max(1, |x|).

    Source: D. Hendrycks and K. Gimpel, arXiv:1606.08415.
    """
    half = x * 0.5
    return half.fma(erf(x * math.sqrt(0.5)), half)


def _whole(shifted: Floats) -> tuple[Ints, Floats]:
    """The nearest whole number of x, given x + _TO_WHOLE: as 32-bit numbers and as floats."""
    return shifted.bits() - _TO_WHOLE_BITS, shifted - _TO_WHOLE


def _two_to(n: Ints) -> Floats:
    """2^n for -126 <= n <= 127, put together from its bits."""
    return ((n + 127) << 23).as_float_bits()


def _in_quarter(n: Ints, angle: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of n quarter turns and an angle of at most an eighth turn [radians]."""
    square = angle * angle
    sine = (polynomial(square, _SIN) * square).fma(angle, angle)
    cosine = polynomial(square, _COS).fma(square * square, square.fma(-0.5, 1.0))
    even = (n & 1).equals(0)
    return _negated_if_2(n, even.where(sine, cosine)), _negated_if_2(n + 1, even.where(cosine, sine))


def _negated_if_2(n: Ints, value: Floats) -> Floats:
    """The value with the other sign where the bit of 2 is set in n."""
    return (value.bits() ^ ((n & 2) << 30)).as_float_bits()


def _odd_rational(x: Floats, bound: float, above: Sequence[float], below: Sequence[float]) -> Floats:
    """x P(x^2) / Q(x^2) of the x nearest to it within the bound. Rounding must not carry it beyond 1."""
    x = x.within(-bound, bound)
    square = x * x
    return (x * polynomial(square, above) / polynomial(square, below)).within(-1.0, 1.0)
