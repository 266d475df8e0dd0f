"""Matrix products of the compiled kernels, compared with numpy's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import BFLOAT16_TARGETS, TARGETS, needs_bfloat16

from pipeline.kernels.buffers import aligned, aligned_copy
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.products import (
    COLUMNS,
    MOST_ROWS,
    MultiplyAdd,
    bfloat16_pairs,
    block_for,
    fused,
    paired,
    panels,
    product,
)
from pipeline.kernels.target import Target

FILL = np.float32(-77)
MOST_INNER, MOST_COLUMNS = 40, 96
by_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)


@cache
def compiled(
    target: Target, columns: int, a_row: int, c_row: int, multiply_add: MultiplyAdd = fused
) -> Callable[..., None]:
    module = ir.Module()
    module.triple = target.triple
    product(module, "product", block_for(target, columns), a_row, c_row, multiply_add)
    return Library(object_code(module, target), signatures(module), target)["product"]


def multiplied(
    target: Target, a: NDArray[np.float32], b: NDArray[np.float32], bias: NDArray[np.float32], c_row: int
) -> NDArray[np.float32]:
    """C in the middle of memory that is filled with `FILL`."""
    (rows, inner), columns = a.shape, b.shape[1]
    block = block_for(target, columns)
    left = aligned((rows + MOST_ROWS, MOST_INNER))
    left[:rows, :inner] = a
    c = np.full((rows + MOST_ROWS + 1, c_row), FILL)
    right, start = aligned_copy(panels(b, block)), aligned_copy(bias)
    compiled(target, columns, MOST_INNER, c_row)(
        rows, inner, columns // block.panel, left.ctypes.data, right.ctypes.data, start.ctypes.data, c[1:].ctypes.data
    )
    return c


@by_target
@given(
    rows=st.integers(1, 50),
    inner=st.integers(1, MOST_INNER),
    columns=st.sampled_from(range(COLUMNS, MOST_COLUMNS + 1, COLUMNS)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_product_is_that_of_the_matrices(target: Target, rows: int, inner: int, columns: int, seed: int) -> None:
    """Of whole numbers, whose sums float32 holds exactly; and nothing is written beside it."""
    rng = np.random.default_rng(seed)
    a, b, bias = (rng.integers(-99, 99, size).astype(np.float32) for size in ((rows, inner), (inner, columns), columns))
    c = multiplied(target, a, b, bias, MOST_COLUMNS + 16)
    np.testing.assert_array_equal(c[1 : 1 + rows, :columns], bias + a @ b)
    assert (c[0] == FILL).all()
    assert (c[:, columns:] == FILL).all()
    assert (c[1 + max(rows, MOST_ROWS) :] == FILL).all()
    if rows >= MOST_ROWS:
        assert (c[1 + rows :] == FILL).all()


@by_target
def test_each_sum_is_taken_in_order_and_rounded_at_each_step(target: Target) -> None:
    rng = np.random.default_rng(1)
    a, b, bias = (rng.normal(size=size).astype(np.float32) for size in ((13, 40), (40, 48), 48))
    total = np.broadcast_to(bias, (13, 48))
    for k in range(40):
        # float64 holds the product exactly; longdouble holds the sum, so that it is rounded to float32 only once.
        exact = a[:, k, None].astype(np.longdouble) * b[k].astype(np.longdouble) + total
        total = exact.astype(np.float32)
    assert multiplied(target, a, b, bias, 64)[1:14, :48].tobytes() == total.tobytes()


@by_target
@pytest.mark.parametrize("columns", [16, 48, 64])
def test_sums_can_begin_with_a_matrix(target: Target, columns: int) -> None:
    """Of whole numbers; where the last block lies on the one before it, nothing is added twice."""
    rng, rows, inner, row = np.random.default_rng(0), 29, 40, columns + 16
    module, block = ir.Module(), block_for(target, columns)
    module.triple = target.triple
    product(module, "product", block, inner, row, begin_row=row)
    multiply = Library(object_code(module, target), signatures(module), target)["product"]
    a, b = (rng.integers(-99, 99, size).astype(np.float32) for size in ((rows, inner), (inner, columns)))
    begin, c = aligned_copy(rng.integers(-99, 99, (rows, row))), aligned((rows, row))
    left, right = aligned_copy(a), aligned_copy(panels(b, block))
    multiply(rows, inner, columns // block.panel, left.ctypes.data, right.ctypes.data, begin.ctypes.data, c.ctypes.data)
    np.testing.assert_array_equal(c[:, :columns], begin[:, :columns] + a @ b)


@by_target
def test_a_product_takes_the_widest_panels_that_divide_its_columns(target: Target) -> None:
    for columns in range(COLUMNS, 20 * COLUMNS, COLUMNS):
        block = block_for(target, columns)
        assert columns % block.panel == 0
        assert block.vectors == target.vectors or columns % (target.lanes * target.vectors)


def test_panels_are_lines_of_columns() -> None:
    block = block_for(TARGETS[0], 64)
    matrix = np.arange(3 * 64, dtype=np.float64).reshape(3, 64)
    cut = panels(matrix, block)
    assert cut.shape == (64 // block.panel, 3, block.panel)
    np.testing.assert_array_equal(cut[1], matrix[:, block.panel : 2 * block.panel])


@needs_bfloat16
@pytest.mark.parametrize("target", BFLOAT16_TARGETS, ids=lambda target: target.cpu)
@pytest.mark.parametrize("columns", [16, 64])
def test_a_product_in_pairs_is_that_of_the_matrices(target: Target, columns: int) -> None:
    """Of whole numbers that bfloat16 holds exactly."""
    rng, rows, inner = np.random.default_rng(0), 29, 40
    sizes = (rows, inner), (inner, columns), columns
    a, b, bias = (rng.integers(-99, 99, size).astype(np.float32) for size in sizes)
    block, c = block_for(target, columns), aligned((rows + MOST_ROWS, columns))
    left = aligned((rows + MOST_ROWS, inner // 2))
    left[:rows] = bfloat16_pairs(a.T).T
    right, start = aligned_copy(panels(bfloat16_pairs(b), block)), aligned_copy(bias)
    compiled(target, columns, inner // 2, columns, paired)(
        rows, inner // 2, columns // block.panel, left.ctypes.data, right.ctypes.data, start.ctypes.data, c.ctypes.data
    )
    np.testing.assert_array_equal(c[:rows], bias + a @ b)


def test_pairs_hold_two_lines_rounded_to_the_nearest_even() -> None:
    lines = np.array([[0x3F808000, 0x3F808001], [0x3F818000, 0xBF817FFF]], np.uint32).view(np.float32)
    assert [hex(each) for each in bfloat16_pairs(lines).view(np.uint32)[0]] == ["0x3f823f80", "0xbf813f81"]
