"""Elementary functions against numpy's in double precision, over all of float32, for every target and width."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import TARGETS
from tools.fit_elementary import FITS, odd_rational

from pipeline.kernels import elementary
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats

FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "exp": elementary.exp,
    "ln": elementary.ln,
    "sin": lambda x: elementary.sin_cos(x)[0],
    "cos": lambda x: elementary.sin_cos(x)[1],
    "sin of turns": lambda x: elementary.sin_cos_turns(x)[0],
    "cos of turns": lambda x: elementary.sin_cos_turns(x)[1],
    "tanh": elementary.tanh,
    "erf": elementary.erf,
    "gelu": elementary.gelu,
    "sin squared": elementary.sin_squared,
}


def of_turns(x: NDArray[np.float64], quarters: int) -> NDArray[np.float64]:
    """The sine of x turns and a number of quarter turns, which has exact zeros."""
    whole = np.rint(4 * x)
    angle = (4 * x - whole) * (np.pi / 2)
    branches = np.sin(angle), np.cos(angle), -np.sin(angle), -np.cos(angle)
    return np.choose(np.mod(whole + quarters, 4).astype(int), branches)


ERF = np.vectorize(math.erf)
EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "ln": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "sin of turns": lambda x: of_turns(x, 0),
    "cos of turns": lambda x: of_turns(x, 1),
    "tanh": np.tanh,
    "erf": ERF,
    "gelu": lambda x: x * (1 + ERF(x / np.sqrt(2))) / 2,
    "sin squared": lambda x: np.sin(np.pi * (x - np.rint(x))) ** 2,
}
HOST = TARGETS[0]
# One float32 in 997 of each sign, of every exponent, subnormal ones, too.
EVERYWHERE = np.arange(0, 0x7F800000, 997, dtype=np.uint32).view(np.float32)
EVERYWHERE = np.concatenate([EVERYWHERE, -EVERYWHERE])
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)


@cache
def compiled(target: Target, lanes: int) -> Library:
    module = ir.Module()
    module.triple = target.triple
    for name, function in FUNCTIONS.items():
        f = Function(module, name, "*x *y count", lanes)
        x, y, count = f.arguments
        with f.loop(count, lanes) as i:
            y[i] = function(x[i])
        f.end()
    return Library(object_code(module, target), signatures(module), target)


def value(name: str, x: NDArray[np.float32], target: Target = HOST, lanes: int = 16) -> NDArray[np.float32]:
    padded = np.pad(x, (0, -len(x) % lanes))
    y = np.empty_like(padded)
    compiled(target, lanes)[name](padded.ctypes.data, y.ctypes.data, len(padded))
    return y[: len(x)]


def within(low: float, high: float) -> NDArray[np.float32]:
    x = EVERYWHERE
    return x[(low <= x) & (x <= high)]


def ulps(got: NDArray[np.float32], wanted: NDArray[np.float64]) -> float:
    """The largest error in steps of float32 at the exact value, subnormal steps included."""
    steps = np.spacing(np.abs(wanted).astype(np.float32)).astype(np.float64)
    return float((np.abs(got - wanted) / steps).max())


@pytest.mark.parametrize(
    ("name", "low", "high", "bound"),
    [
        ("exp", -104, 88.72283, 1),
        ("ln", 1e-45, 3.4e38, 1),
        ("sin", -1e5, 1e5, 2),
        ("cos", -1e5, 1e5, 2),
        ("sin of turns", -(2**20), 2**20, 2),
        ("cos of turns", -(2**20), 2**20, 2),
        ("tanh", -20, 20, 5),
        ("erf", -20, 20, 6),
    ],
)
def test_errors_are_within_the_stated_ulps(name: str, low: float, high: float, bound: float) -> None:
    grids = [within(low, high), np.linspace(max(low, -30), min(high, 30), 400001).astype(np.float32)]
    for x in grids:
        x = x[(low <= x) & (x <= high)]
        with np.errstate(divide="ignore", under="ignore"):
            assert ulps(value(name, x), EXACT[name](x.astype(np.float64))) <= bound


@pytest.mark.parametrize(("name", "bound"), [("tanh", 3e-7), ("erf", 4e-7), ("gelu", 4e-7), ("sin squared", 4e-7)])
def test_errors_are_within_the_stated_bound(name: str, bound: float) -> None:
    for x in (within(-1e4, 1e4), np.linspace(-10, 10, 400001).astype(np.float32)):
        error = np.abs(value(name, x) - EXACT[name](x.astype(np.float64)))
        allowed = bound * np.maximum(1, np.abs(x)) if name == "gelu" else bound
        assert (error <= allowed).all()


def test_an_angle_near_a_multiple_of_a_half_turn_keeps_its_digits() -> None:
    x = (np.arange(-60000, 60001) * (np.pi / 2)).astype(np.float32)
    for name in ("sin", "cos"):
        assert ulps(value(name, x), EXACT[name](x.astype(np.float64))) <= 2


def test_edges_of_exp_and_ln() -> None:
    np.testing.assert_array_equal(value("exp", SPECIAL), np.float32([1, 1, np.inf, 0, np.nan]))
    np.testing.assert_array_equal(value("exp", np.float32([88.7229, 1e30, -103.98, -1e30])), [np.inf, np.inf, 0, 0])
    assert value("exp", np.float32([-103.2]))[0] == np.float32(1e-45)
    np.testing.assert_array_equal(value("ln", SPECIAL), np.float32([-np.inf, -np.inf, np.inf, np.nan, np.nan]))
    assert value("ln", np.float32([1]))[0] == 0
    assert np.isnan(value("ln", np.float32([-1e-45, -1]))).all()


def test_edges_of_the_odd_functions() -> None:
    for name in ("tanh", "erf"):
        y = value(name, SPECIAL)
        np.testing.assert_array_equal(y, np.float32([0, 0, 1, -1, np.nan]))
        assert list(np.signbit(y[:2])) == [False, True]
        assert np.abs(value(name, EVERYWHERE)).max() == 1
    np.testing.assert_array_equal(value("gelu", SPECIAL)[[0, 2, 4]], np.float32([0, np.inf, np.nan]))
    for name in ("sin", "sin of turns"):
        y = value(name, SPECIAL)
        np.testing.assert_array_equal(y, np.float32([0, 0, np.nan, np.nan, np.nan]))


def test_the_squared_sine_is_never_negative_and_repeats_itself() -> None:
    y = value("sin squared", EVERYWHERE)
    assert y.min() == 0
    assert y.max() <= 1 + 4e-7
    assert not value("sin squared", EVERYWHERE[EVERYWHERE >= 2**24]).any()
    x = np.arange(-512, 513, dtype=np.float32) / 512
    for turns in (1, -3, 1000):
        np.testing.assert_array_equal(value("sin squared", x + np.float32(turns)), value("sin squared", x))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_target_and_width_gives_the_same_bits(name: str) -> None:
    x = np.concatenate([EVERYWHERE[::7], np.linspace(-20, 20, 10001).astype(np.float32), SPECIAL])
    x = x[: len(x) // 16 * 16]
    wanted = value(name, x, HOST, 16)
    number = ~np.isnan(wanted)
    for target in TARGETS:
        for lanes in (1, 2, 8, 16, 32):
            got = value(name, x, target, lanes)
            np.testing.assert_array_equal(np.isnan(got), ~number)
            assert got[number].tobytes() == wanted[number].tobytes(), (target.cpu, lanes)


@pytest.mark.parametrize("name", FITS)
def test_the_coefficients_are_what_their_script_finds(name: str) -> None:
    below = FITS[name][3]
    assert below == 0 or getattr(elementary, f"{name}_BOUND") == FITS[name][1]
    for letter, found in list(zip("PQ", odd_rational(*FITS[name]), strict=True))[: 2 if below else 1]:
        # The fit's own rounding leaves a few parts in a million to the processor's linear algebra.
        np.testing.assert_allclose(getattr(elementary, f"{name}_{letter}"), found, rtol=1e-5)


def test_the_parts_of_constants_add_up_to_them() -> None:
    # OEIS A019669 and A002162.
    for parts, constant in (
        (elementary._QUARTER_TURN, "1.5707963267948966192313"),
        (elementary._LN_2, "0.69314718055994530942"),
    ):
        assert all(part == np.float32(part) for part in parts)
        assert abs(sum(map(Fraction, parts)) - Fraction(constant)) < 1e-15
