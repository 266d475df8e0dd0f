"""A fused multiply-add that is made of other operations rounds once, as the real one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import TARGETS

from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target, host

# On ARM, where every processor has one, the emulation runs all the same.
SLOW = next((each for each in TARGETS if each.slow), replace(TARGETS[0], slow=True))
_LANES = 4


def compiled(target: Target) -> Library:
    module = ir.Module()
    module.triple = target.triple
    for name, lanes, kind in (("vectors", _LANES, "float32"), ("singles", 1, "float32"), ("doubles", 2, "float64")):
        f = Function(module, name, f"*x:{kind} *y:{kind} *z:{kind} *result:{kind} count", lanes)
        x, y, z, result, count = f.arguments
        with f.loop(count, lanes) as i:
            result[i] = x[i].fma(y[i], z[i])
        f.end()
    code = object_code(module, target)
    assert signatures(module) == {"vectors": "ppppi", "singles": "ppppi", "doubles": "ppppi"}
    return Library(code, signatures(module), target)


@pytest.fixture(scope="module")
def library() -> Library:
    return compiled(SLOW)


def fused(library: Library, name: str, *factors: NDArray[np.generic]) -> NDArray[np.generic]:
    result = np.empty_like(factors[0])
    library[name](*(each.ctypes.data for each in factors), result.ctypes.data, len(result))
    return result


def rounded(value: Fraction) -> np.float32:
    """The nearest float32, of two the one whose last bit is 0: the definition in IEEE 754, 4.3.1."""
    if value == 0:
        return np.float32(0)
    size = abs(value)
    exponent = -126
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    units = size / Fraction(2) ** (exponent - 23)
    whole = round(units)  # Python rounds half to even
    result = whole * Fraction(2) ** (exponent - 23)
    with np.errstate(over="ignore"):
        return np.float32(np.inf if result >= 2**128 else float(result)) * np.float32(1 if value > 0 else -1)


_EXACT = np.float32(1 + 2**-12)


@given(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3)
@example(float(_EXACT), float(_EXACT), 2.0**-60)  # in the middle of two float32, if the sum is rounded to float64 first
@example(float(_EXACT), float(_EXACT), -(2.0**-60))
@example(float(_EXACT), -float(_EXACT), -(2.0**-60))
@example(float(_EXACT), 1 + 3 * 2.0**-12, -(2.0**-60))
@example(2.0**-100, 2.0**-49, 2.0**-149)  # the middle between two of the smallest
@example(2.0**-100, -(2.0**-49), 3 * 2.0**-149)
@example(3e38, 2.0, -3e38)
@example(3e38, 3e38, 1.0)
def test_it_is_the_exact_value_rounded_once(library: Library, x: float, y: float, z: float) -> None:
    arrays = [np.full(_LANES, each, np.float32) for each in (x, y, z)]
    wanted = rounded(Fraction(x) * Fraction(y) + Fraction(z))
    for name in ("vectors", "singles"):
        assert set(fused(library, name, *arrays)) == {wanted}


@pytest.mark.skipif(host() in (None, SLOW), reason="this processor has no fused multiply-add")
def test_it_has_the_bits_of_a_processor_that_has_one(library: Library) -> None:
    ours = host()
    assert ours is not None
    processors = compiled(ours)
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**32, (3, 200_000), np.uint32).view(np.float32)
    cancelling = rng.normal(size=(3, 200_000)).astype(np.float32)
    cancelling[2] = -cancelling[0] * cancelling[1] * rng.choice(np.array([1, 1 + 2**-20, 0.5], np.float32), 200_000)
    for arrays in (patterns, cancelling):
        found, wanted = fused(library, "vectors", *arrays), fused(processors, "vectors", *arrays)
        numbers = ~np.isnan(wanted)
        assert (np.isnan(found) == ~numbers).all()
        assert found[numbers].tobytes() == wanted[numbers].tobytes()


def test_one_of_float64_rounds_once(library: Library) -> None:
    x = np.full(2, 1 + 2**-30)
    assert set(fused(library, "doubles", x, x, -x)) == {float(Fraction(x[0]) ** 2 - Fraction(x[0]))}
