"""The vehicle of the kernels: what Python writes is what the compiled code does, in the same bits for every target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import BFLOAT16_TARGETS, TARGETS, needs_bfloat16

from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.emitter import BF16
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target


def compiled(target: Target, emit: Callable[[ir.Module], Function]) -> Library:
    module = ir.Module()
    module.triple = target.triple
    emit(module).end()
    return Library(object_code(module, target), signatures(module), target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_operators_are_those_of_float32(target: Target) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 64)).astype(np.float32)

    def emit(module: ir.Module) -> Function:
        f = Function(module, "formula", "*x *y *z count", target.lanes)
        x, y, z, count = f.arguments
        with f.loop(count, f.lanes) as i:
            z[i] = ((x[i] + 1) * y[i] - x.spread(3) / y[i]).at_least(-2.0).at_most(x[i] + 5)
        return f

    z = np.empty_like(x)
    compiled(target, emit)["formula"](x.ctypes.data, y.ctypes.data, z.ctypes.data, len(x))
    wanted = np.minimum(np.maximum((x + np.float32(1)) * y - x[3] / y, np.float32(-2)), x + np.float32(5))
    assert z.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_constant_keeps_the_sign_of_zero(lanes: int) -> None:
    """Equal constants are one object, and 0.0 equals -0.0 for Python."""
    target = TARGETS[0]

    def emit(module: ir.Module) -> Function:
        f = Function(module, "zeros", "*x", lanes)
        (x,) = f.arguments
        for number, value in enumerate((0.0, -0.0, 0.0)):
            x[lanes * number] = f.floats(value)
        return f

    x = np.ones(3 * lanes, np.float32)
    compiled(target, emit)["zeros"](x.ctypes.data)
    assert np.signbit(x.reshape(3, lanes)).tolist() == [[False] * lanes, [True] * lanes, [False] * lanes]
    assert not x.any()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_a_product_is_fused_only_where_fma_says_so(target: Target) -> None:
    a = np.float32(1 + 2**-12)  # its square needs 25 bits
    x = np.full(16, a, np.float32)

    def emit(module: ir.Module) -> Function:
        f = Function(module, "squares", "*x *plain *fused", 16)
        x, plain, fused = f.arguments
        plain[0] = x[0] * x[0] - 1.0
        fused[0] = x[0].fma(x[0], -1.0)
        return f

    plain, fused = np.empty_like(x), np.empty_like(x)
    compiled(target, emit)["squares"](x.ctypes.data, plain.ctypes.data, fused.ctypes.data)
    assert set(plain) == {a * a - np.float32(1)}
    assert set(fused) == {np.float32(np.float64(a) ** 2 - 1)}
    assert plain[0] != fused[0]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_a_sum_of_lanes_adds_those_half_a_vector_apart_first(target: Target) -> None:
    def emit(module: ir.Module) -> Function:
        f = Function(module, "sum", "*x *y", 8)
        x, y = f.arguments
        y[0] = x[0].sum_of_lanes()
        return f

    x, y = np.float32([2**24, 1, 3, 5, 1, 1, -3, 7]), np.empty(8, np.float32)
    compiled(target, emit)["sum"](x.ctypes.data, y.ctypes.data)
    total = x
    for apart in (4, 2, 1):
        total = total[:apart] + total[apart:]
    assert set(y) == set(total)
    assert total[0] != x.sum(dtype=np.float64)  # another order may give another sum


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_a_loop_carries_its_values_and_a_branch_is_taken_where_it_holds(target: Target) -> None:
    def emit(module: ir.Module) -> Function:
        f = Function(module, "running", "*x *total *last:int64 count", 1)
        x, total, last, count = f.arguments
        with f.carrying([f.floats(0.0)], count) as turn:
            turn.values = [turn.values[0] + x[turn.index]]
            with f.when(x[turn.index] > 3):
                last[0] = turn.index
        total[0] = turn.values[0] + f.table(np.array([0, 0.5], np.float32))[1]
        return f

    x = np.array([1, 4, 2, 5, 3], np.float32)
    total, last = np.zeros(1, np.float32), np.full(1, -1)
    compiled(target, emit)["running"](x.ctypes.data, total.ctypes.data, last.ctypes.data, len(x))
    assert (total[0], last[0]) == (15.5, 3)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_loop_of_perhaps_no_turns_carries_what_it_began_with(count: int) -> None:
    def emit(module: ir.Module) -> Function:
        f = Function(module, "total", "*x *total count", 1)
        x, total, count = f.arguments
        with f.carrying([f.floats(7.0)], count, perhaps_none=True) as turn:
            turn.values = [turn.values[0] + x[turn.index]]
        total[0] = turn.values[0]
        return f

    x, total = np.array([1, 2, 4], np.float32), np.zeros(1, np.float32)
    compiled(TARGETS[0], emit)["total"](x.ctypes.data, total.ctypes.data, count)
    assert total[0] == 7 + x[:count].sum()


def test_a_comparison_is_not_a_condition_of_python() -> None:
    f = Function(ir.Module(), "none", "*x", 16)
    (x,) = f.arguments
    with pytest.raises(TypeError, match="not known before the code runs"):
        bool(x[0] > 1)


def as_bfloat16(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest float32 whose lower half is 0, ties to that with an even upper half; below 2^-126 it is 0."""
    low = (x.view(np.uint32) & 0xFFFF0000).view(np.float32)
    high = (low.view(np.uint32) + 0x10000).view(np.float32)
    below, above = np.abs(x - low), np.abs(high - x)
    odd = low.view(np.uint32) >> 16 & 1 == 1
    rounded = np.where((above < below) | ((above == below) & odd), high, low)
    return np.where(np.abs(x) < 2.0**-126, np.float32(0), rounded).astype(np.float32)


@needs_bfloat16
@pytest.mark.parametrize("target", BFLOAT16_TARGETS, ids=lambda target: target.cpu)
def test_bfloat16_is_the_nearest_one(target: Target) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=64) * 10.0 ** rng.integers(-37, 37, 64)).astype(np.float32)
    x[:4] = np.array([0x3F808000, 0x3F818000, 0xBF808001, 0x00400000], np.uint32).view(np.float32)  # ties; 2^-127

    def emit(module: ir.Module) -> Function:
        f = Function(module, "rounded", "*x *y", 16)
        x, y = f.arguments
        with f.loop(64, 16) as i:
            y.of(BF16)[i] = x[i].bfloat16()
        return f

    halves = np.empty(64, np.uint16)
    compiled(target, emit)["rounded"](x.ctypes.data, halves.ctypes.data)
    np.testing.assert_array_equal((halves.astype(np.uint32) << 16).view(np.float32), as_bfloat16(x))


@needs_bfloat16
@pytest.mark.parametrize("target", BFLOAT16_TARGETS, ids=lambda target: target.cpu)
def test_pairs_are_added_upper_half_first_and_each_sum_is_rounded(target: Target) -> None:
    def emit(module: ir.Module) -> Function:
        f = Function(module, "added", "*a *b *total count", 16)
        a, b, total, count = f.arguments
        with f.loop(count, 16) as i:
            total[i] = total[i].add_pairs(a[i], b[i])
        return f

    rng, count = np.random.default_rng(0), 8192
    a, b = (as_bfloat16(rng.normal(size=2 * count).astype(np.float32)) for _ in range(2))
    total = rng.normal(size=count).astype(np.float32)
    wanted = total
    for half in (1, 0):  # longdouble holds a product of bfloat16 and a float32 sum, so that it is rounded only once
        exact = a[half::2].astype(np.longdouble) * b[half::2].astype(np.longdouble) + wanted.astype(np.longdouble)
        wanted = exact.astype(np.float32)
    packed = [each.view(np.uint16)[1::2].copy() for each in (a, b)]
    compiled(target, emit)["added"](packed[0].ctypes.data, packed[1].ctypes.data, total.ctypes.data, count)
    assert total.tobytes() == wanted.tobytes()
