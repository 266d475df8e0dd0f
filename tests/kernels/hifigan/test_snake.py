"""BigVGAN's activation, compared with its definition in float64, which upsamples the whole signal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import TARGETS
from support.slow_hifigan import slow_snake

from pipeline.kernels.buffers import aligned_copy
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.hifigan.shape import SNAKE_REACH, TAPS
from pipeline.kernels.hifigan.snake import activated, exponential, parameters
from pipeline.kernels.target import Target

CHANNELS, AROUND = 32, 3
Rows = NDArray[np.float32]


@cache
def compiled(target: Target) -> Callable[..., None]:
    module = ir.Module()
    module.triple = target.triple
    activated(module, "activated", target.lanes)
    return Library(object_code(module, target), signatures(module), target)["activated"]


def snake(seed: int) -> list[Rows]:
    """Logarithms alpha and beta, and filters that are not symmetric."""
    rng = np.random.default_rng(seed)
    sizes = (0.5, CHANNELS), (0.5, CHANNELS), (0.4, TAPS), (0.3, TAPS)
    return [rng.normal(0, size, count).astype(np.float32) for size, count in sizes]


def stretch(target: Target, x: Rows, given: list[Rows], first: int, last: int) -> Rows:
    """Rows first .. last of the activated whole, `AROUND` of them beyond its ends, from no more rows than they need.

    What is not given is NaN.
    """
    begin, length = first - AROUND, len(x)
    seen = np.full((last - begin + AROUND, CHANNELS), np.nan, np.float32)
    lo, hi = max(first - SNAKE_REACH, 0), min(last + SNAKE_REACH, length)
    rows = aligned_copy(np.pad(seen, ((SNAKE_REACH, SNAKE_REACH), (0, 0)), constant_values=np.nan))
    origin = begin - SNAKE_REACH  # row of the whole that the memory begins with
    if lo < hi:
        rows[lo - origin : hi - origin] = x[lo:hi]
    y, packed = aligned_copy(np.full_like(seen, np.nan)), aligned_copy(parameters(*given, True))
    compiled(target)(
        rows.ctypes.data + rows.strides[0] * SNAKE_REACH, y.ctypes.data, packed.ctypes.data,
        first - begin, last - begin, begin, length, CHANNELS,
    )  # fmt: skip
    assert np.isnan(y[: first - begin]).all()
    assert np.isnan(y[last - begin :]).all()
    return y[first - begin : last - begin]


@given(
    length=st.integers(1, 40), places=st.tuples(st.integers(-4, 45), st.integers(1, 50)), seed=st.integers(0, 2**32 - 1)
)
@settings(max_examples=60, deadline=None)
def test_any_rows_are_those_of_the_definition(length: int, places: tuple[int, int], seed: int) -> None:
    """In any stretch of a signal of any length, for each target the same bits; zeros beyond its ends."""
    x, given, first = np.random.default_rng(seed).normal(0, 2, (length, CHANNELS)), snake(seed), places[0]
    x = x.astype(np.float32)
    last = first + places[1]
    alpha, beta, up, down = (each.astype(np.float64) for each in given)
    wanted = np.zeros((places[1], CHANNELS))
    whole = slow_snake(x.T.astype(np.float64), np.exp(alpha), np.exp(beta), up, down).T
    lo, hi = max(first, 0), min(last, length)
    if lo < hi:
        wanted[lo - first : hi - first] = whole[lo:hi]
    found = {stretch(target, x, given, first, last).tobytes() for target in TARGETS}
    assert len(found) == 1
    y = np.frombuffer(found.pop(), np.float32).reshape(-1, CHANNELS)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=2e-5)


def test_a_row_has_the_same_bits_whatever_stretch_it_is_made_in() -> None:
    x, given = np.random.default_rng(1).normal(0, 2, (70, CHANNELS)).astype(np.float32), snake(2)
    whole = stretch(TARGETS[0], x, given, 0, 70)
    for first in range(70):
        for count in (1, 2, 7):
            part = stretch(TARGETS[0], x, given, first, min(first + count, 70))
            assert part.tobytes() == whole[first : first + count].tobytes()


def test_parameters_are_those_of_the_formula() -> None:
    alpha, beta, up, down = snake(3)
    frequency, scale, taps = np.split(parameters(alpha, beta, up, down, True), [CHANNELS, 2 * CHANNELS])
    np.testing.assert_allclose(frequency, np.exp(alpha.astype(np.float64)) / np.pi, rtol=1e-12)
    np.testing.assert_allclose(scale, 1 / (np.exp(beta.astype(np.float64)) + 1e-9), rtol=1e-12)
    assert sorted(taps) == sorted([*up, *down])
    linear = parameters(alpha, beta, up, down, False)
    np.testing.assert_allclose(linear[CHANNELS : 2 * CHANNELS], 1 / (beta + 1e-9), rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_exponentials_are_right_to_the_last_bits_of_float64() -> None:
    x = np.concatenate([np.linspace(-700, 700, 20001), np.linspace(-1, 1, 20001), [0, -1000, 1000]]).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(exponential(x), wanted, rtol=4e-16, atol=1e-320)
