"""The vehicle of the kernels: what Python writes is what the compiled code does, in the same bits for every target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import ir
from support.kernels import TARGETS

from pipeline.kernels.compiling import Library, object_code, signatures
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
