"""The Fourier transform of the kernels: numpy's, in both types, and the same bits for every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from numpy.typing import NDArray
from support.kernels import TARGETS

from pipeline.kernels.circle import circle
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.complex_values import ComplexRows
from pipeline.kernels.emitter import F32, F64
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target
from pipeline.melspec import PRESETS

Kind = type[np.float32] | type[np.float64]
TYPES: dict[Kind, Any] = {np.float32: (F32, "float32"), np.float64: (F64, "float64")}


def compiled(target: Target, fourier: RealFourier, lanes: int) -> Library:
    """`forward(samples, z, bins)` from `[n][lanes]` to 2 X `[bins][2][lanes]`, and `inverse(bins, z)` to `z`."""
    module, name = ir.Module(), "float32" if fourier.element == F32 else "float64"
    module.triple = target.triple
    f = Function(module, "forward", f"*samples:{name} *z:{name} *bins:{name}", lanes)
    samples, z, bins = (ComplexRows(each) for each in f.arguments)
    fourier.forward(f, z, samples.__getitem__)
    fourier.bins(f, z, bins.__setitem__)
    f.end()
    f = Function(module, "inverse", f"*bins:{name} *z:{name}", lanes)
    bins, z = (ComplexRows(each) for each in f.arguments)
    fourier.from_bins(f, z, bins.__getitem__)
    fourier.inverse(f, z)
    f.end()
    return Library(object_code(module, target), signatures(module), target)


def transformed(library: Library, samples: NDArray[Any], rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """2 X of `[n, lanes]`, and what comes back of it."""
    n, lanes = samples.shape
    z, bins = (np.full((count, 2, lanes), np.nan, samples.dtype) for count in (rows, n // 2 + 1))
    library["forward"](samples.ctypes.data, z.ctypes.data, bins.ctypes.data)
    library["inverse"](bins.ctypes.data, z.ctypes.data)
    return bins, z[: n // 2].reshape(n, lanes)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "n", sorted({spec.n_fft for spec in PRESETS.values()} | {512, 400, 2 * 9 * 49, 1102, 2, 4, 6, 134})
)
def test_it_is_that_of_numpy_there_and_back(n: int, kind: Kind) -> None:
    samples: NDArray[Any] = np.random.default_rng(n).normal(size=(n, 4)).astype(kind)
    fourier = RealFourier(n, TYPES[kind][0])
    bins, back = transformed(compiled(TARGETS[0], fourier, 4), samples, fourier.rows)
    wanted = 2 * np.fft.rfft(samples.astype(np.float64), axis=0)
    close = 20 * np.finfo(kind).eps
    assert np.abs(bins[:, 0] + 1j * bins[:, 1] - wanted).max() < close * np.abs(wanted).max()
    assert np.abs(back / (2 * n) - samples).max() < close * np.abs(samples).max()


@settings(max_examples=12, deadline=None)
@given(points=st.integers(1, 300), tone=st.integers(0, 300), lane=st.integers(0, 3))
def test_a_tone_in_one_lane_is_one_bin_there(points: int, tone: int, lane: int) -> None:
    n, k = 2 * points, tone % (points + 1)
    samples = np.zeros((n, 4), np.float64)
    samples[:, lane] = circle(np.arange(n) * k, n).real
    fourier = RealFourier(n, F64)
    bins, _ = transformed(compiled(TARGETS[0], fourier, 4), samples, fourier.rows)
    wanted = np.zeros_like(bins)
    wanted[k, 0, lane] = 2 * n if k in (0, points) else n
    assert np.abs(bins - wanted).max() < 1e-12 * n


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("n", [1024, 2048, 600])
def test_the_bits_are_the_same_for_every_target_and_number_of_lanes(n: int, kind: Kind) -> None:
    samples: NDArray[Any] = np.random.default_rng(n).normal(size=(n, 16)).astype(kind)
    fourier = RealFourier(n, TYPES[kind][0])
    wanted = [each.tobytes() for each in transformed(compiled(TARGETS[0], fourier, 16), samples, fourier.rows)]
    for target in TARGETS:
        lanes = target.lanes
        parts = [np.ascontiguousarray(samples[:, i : i + lanes]) for i in range(0, 16, lanes)]
        library = compiled(target, fourier, lanes)
        found = zip(*(transformed(library, part, fourier.rows) for part in parts), strict=True)
        assert [np.concatenate(each, axis=-1).tobytes() for each in found] == wanted


@pytest.mark.parametrize("n", [1, 2, 3, 1024, 2400])
def test_points_of_the_circle_are_exact_to_the_last_bits(n: int) -> None:
    k = np.arange(-n, 2 * n)
    pi = np.longdouble(np.pi) + np.longdouble(1.2246467991473532e-16)  # what float64 leaves out of it
    wanted = np.exp(2j * pi * (k % n).astype(np.longdouble) / n)
    assert np.abs(circle(k, n) - wanted).max() < 3e-16
