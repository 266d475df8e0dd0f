"""Convolutions of a residual branch, compared with sums over their taps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import TARGETS

from pipeline.kernels.buffers import aligned, aligned_copy
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.hifigan.convolution import Room, convolution, data_tiles, output_tiles
from pipeline.kernels.hifigan.geometry import Place
from pipeline.kernels.hifigan.transforms import data_transform, output_transform
from pipeline.kernels.minimal_filtering import MOST_TAPS, for_taps
from pipeline.kernels.products import block_for, panels, product
from pipeline.kernels.target import Target

SLOPE, CHANNELS = 0.1, 32
PLACES: tuple[Place, ...] = ("first", "last", "only")


@cache
def compiled(target: Target, taps: int) -> Library:
    """A function for each place; they share their parts, as those of a generator do."""
    f, room, block = for_taps(taps), Room(CHANNELS, CHANNELS, 2 * CHANNELS), block_for(target, CHANNELS)
    module = ir.Module()
    module.triple = target.triple
    plain, activated = (
        data_tiles(module, f"data_{slope}", f, slope, room.slab, target.lanes) for slope in (None, SLOPE)
    )
    multiply = product(module, "multiply", block, room.row, room.row)
    more = product(module, "multiply_more", block, room.row, room.row, begin_row=room.row)
    for place in PLACES:
        output = output_tiles(module, f"output_{place}", f, place, SLOPE, room.slab, target.lanes)
        parts = (plain if place == "last" else activated, multiply, more, output)
        convolution(module, place, f, room, block, parts)
    return Library(object_code(module, target), signatures(module), target)


@dataclass(frozen=True)
class Numbers:
    """float32 numbers with the operators of compiled vectors, so that a transform can run without being compiled."""

    values: NDArray[np.float32]

    def __add__(self, other: Any) -> Numbers:
        return Numbers(self.values + getattr(other, "values", np.float32(0)))

    def __sub__(self, other: Any) -> Numbers:
        return Numbers(self.values - getattr(other, "values", np.float32(0)))

    def __mul__(self, factor: float) -> Numbers:
        return Numbers(self.values * np.float32(factor))

    def __neg__(self) -> Numbers:
        return Numbers(-self.values)

    def fma(self, factor: float, term: Numbers) -> Numbers:
        return Numbers((self.values.astype(np.float64) * np.float32(factor) + term.values).astype(np.float32))

    def filled(self, value: float) -> Numbers:
        return Numbers(np.full_like(self.values, value))


def leaky(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x > 0, x, SLOPE * x)


def convolved(place: Place, x: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32],
              residual: NDArray[np.float32], dilation: int) -> NDArray[np.float64]:  # fmt: skip
    """In float64, tap by tap; weight `[out, in, taps]`, x from its first input row."""
    given = x.astype(np.float64) if place == "last" else leaky(x.astype(np.float64))
    rows = len(residual)
    total = sum(given[k * dilation :][:rows] @ weight[:, :, k].T.astype(np.float64) for k in range(weight.shape[2]))
    return leaky(total + bias) if place == "first" else total + bias + residual


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("taps", range(1, MOST_TAPS + 1))
@given(dilation=st.integers(1, 7), turns=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_a_convolution_is_the_sum_over_its_taps(place: Place, taps: int, dilation: int, turns: int, seed: int) -> None:
    """For any dilation and any number of tiles, in fewer than a group and in several; the same bits for each target."""
    f, rng = for_taps(taps), np.random.default_rng(seed)
    rows, tiles = turns * f.outputs * dilation, turns * dilation
    x = aligned_copy(rng.normal(size=(rows + (f.taps - 1) * dilation, CHANNELS)))
    weight = rng.normal(0, (CHANNELS * taps) ** -0.5, (CHANNELS, CHANNELS, taps)).astype(np.float32)
    bias, residual = aligned_copy(rng.normal(size=CHANNELS)), aligned_copy(rng.normal(size=(rows, CHANNELS)))
    moved = np.einsum("pk,oik->pio", f.kernel[:, :taps], weight.astype(np.float64))
    found = set()
    for target in TARGETS:
        y, work = aligned((rows, CHANNELS)), aligned(Room(CHANNELS, CHANNELS, 2 * CHANNELS).numbers(f))
        packed = aligned_copy(panels(moved, block_for(target, CHANNELS)))
        compiled(target, f.taps)[place](
            x.ctypes.data, y.ctypes.data, residual.ctypes.data, packed.ctypes.data, bias.ctypes.data, work.ctypes.data,
            tiles, dilation,
        )  # fmt: skip
        np.testing.assert_allclose(y, convolved(place, x, weight, bias, residual, dilation), rtol=0, atol=1e-4)
        found.add(y.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("taps", [5, 7, 11])
def test_points_of_a_circle_are_as_exact_as_a_plain_sum(taps: int) -> None:
    """In float32, with numpy's products: errors are no larger than those of the sum over taps and channels in order."""
    rng, f = np.random.default_rng(taps), for_taps(taps)
    x = rng.normal(size=(f.inputs, 64)).astype(np.float32)
    g = rng.normal(size=(taps, 64)).astype(np.float32)
    wanted = np.array([(x[i : i + taps].astype(np.float64) * g).sum() for i in range(f.outputs)])
    plain = np.array([np.add.accumulate((x[i : i + taps] * g).ravel())[-1] for i in range(f.outputs)])
    moved = (f.kernel @ g.astype(np.float64)).astype(np.float32)
    data = np.array([each.values for each in data_transform(f, [Numbers(row) for row in x])])
    products = np.add.accumulate(data * moved, axis=1)[:, -1]
    triples = products[f.singles :].reshape(-1, 3)
    parts = np.stack([triples[:, 0] + triples[:, 1], triples[:, 0] + triples[:, 2]], axis=1).ravel()
    found = output_transform(f, [Numbers(np.atleast_1d(each)) for each in (*products[: f.singles], *parts)])
    errors = np.array([each.values[0] for each in found]) - wanted
    assert np.sqrt(np.mean(errors**2)) < 1.5 * np.sqrt(np.mean((plain - wanted) ** 2))
