"""Logarithms whose floor was added, compared with numpy's in double precision."""

from __future__ import annotations

import numpy as np
from support.kernels import TARGETS

from pipeline.kernels.buffers import aligned
from pipeline.kernels.floored_log import FlooredLog
from pipeline.kernels.recipe import library


def test_an_added_floor_becomes_the_least_value_in_the_same_bits_for_every_target() -> None:
    energy, floor = np.geomspace(1e-9, 1e3, 1600), 1e-5
    given = np.log(energy + floor).astype(np.float32)
    found = []
    for target in TARGETS:
        x = aligned(given.shape)
        x[:] = given
        library(FlooredLog(floor), target)["floored"](x.ctypes.data, len(x))
        found.append(x)
    np.testing.assert_allclose(found[0], np.log(np.maximum(np.exp(given.astype(np.float64)) - floor, floor)), atol=4e-6)
    assert found[0].min() == np.float32(np.log(floor))
    assert len({each.tobytes() for each in found}) == 1
