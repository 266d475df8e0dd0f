"""Memory for compiled code."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.kernels.buffers import ALIGNMENT, Rows, aligned, aligned_copy, padded


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
def test_arrays_begin_at_a_line_of_the_cache(count: int) -> None:
    assert aligned(count).ctypes.data % ALIGNMENT == 0
    copy = aligned_copy(np.arange(count))
    assert copy.ctypes.data % ALIGNMENT == 0
    np.testing.assert_array_equal(copy, np.arange(count, dtype=np.float32))


def test_an_axis_is_padded_with_zeros() -> None:
    np.testing.assert_array_equal(padded(np.ones((2, 1)), 1, 3), [[1, 0, 0], [1, 0, 0]])


def test_rows_are_found_by_their_absolute_position() -> None:
    rows = Rows()
    rows.hold((-3, 5), 4)
    rows[-3, 5][...] = np.arange(-3, 5)[:, None]
    assert rows[2, 3].ctypes.data == rows.at(2)
    np.testing.assert_array_equal(rows[-1, 2], [[-1] * 4, [0] * 4, [1] * 4])
    taken = rows.nbytes
    rows.hold((100, 104), 8)
    assert rows.nbytes == taken
    assert rows.at(101) - rows.at(100) == 32
    with pytest.raises(AssertionError):
        rows[99, 101]
