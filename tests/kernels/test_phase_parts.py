"""The parts of the phase stage, each against a loop or a product of plain numpy."""

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
from support.numpy_phase import _with_ends
from support.numpy_start_phases import _peaks

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.phase_tables import bands_with_ends, overlap_of
from pipeline.kernels.buffers import aligned
from pipeline.kernels.compiling import Library, object_code, signatures
from pipeline.kernels.filter_bands import Bands
from pipeline.kernels.frame_blocks import LANES, blocks_of, from_blocks, to_blocks
from pipeline.kernels.function import Function
from pipeline.kernels.overlap_add import Overlap
from pipeline.kernels.start_phases import StartPhases
from pipeline.melspec import PRESETS

Emit = Callable[[Function], None]


def compiled(**functions: tuple[str, Emit]) -> Library:
    module = ir.Module()
    module.triple = TARGETS[0].triple
    for name, (arguments, emit) in functions.items():
        f = Function(module, name, arguments, LANES)
        emit(f)
        f.end()
    return Library(object_code(module, TARGETS[0]), signatures(module), TARGETS[0])


@given(rows=st.integers(1, 5), frames=st.integers(1, 70), before=st.integers(0, 40))
def test_blocks_hold_the_frames_and_silence_around_them(rows: int, frames: int, before: int) -> None:
    given = np.random.default_rng(0).normal(size=(rows, frames)).astype(np.float32)
    blocks = to_blocks(given, before)
    assert blocks.shape == (blocks_of(before + frames), rows, LANES)
    np.testing.assert_array_equal(from_blocks(blocks, frames, before), given)
    assert np.count_nonzero(blocks) == given.size


@cache
def overlap_library(overlap: Overlap) -> Library:
    def add(f: Function) -> None:
        frames, window, mask, carry, signal = f.arguments
        overlap.add(f, frames, window, mask[0], carry, signal)

    return compiled(
        add=("*frames *window *mask *carry *signal", add),
        add_nothing=("*carry *signal", lambda f: overlap.add_nothing(f, *f.arguments)),
        put_out=("*signal *samples", lambda f: overlap.put_out(f, *f.arguments)),
    )


def overlapped(overlap: Overlap, frames: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signal in hops that the kernel makes of frames `[frames, n_fft]`, from the first window on."""
    library = overlap_library(overlap)
    hop, blocks = overlap.hop_length, to_blocks(frames.T)
    carry, signal = aligned((hop, overlap.reach, LANES)), aligned((hop, overlap.spans, LANES))
    mask = (np.arange(blocks.shape[0] * LANES) < len(frames)).astype(np.float32).reshape(-1, LANES)
    samples = np.empty((blocks.shape[0] + overlap.reach, LANES * hop), np.float32)
    for b, piece in enumerate(samples):
        if b < len(blocks):
            arrays = blocks[b], window, mask[b], carry, signal
            library["add"](*(each.ctypes.data for each in arrays))
        else:
            library["add_nothing"](carry.ctypes.data, signal.ctypes.data)
        library["put_out"](signal.ctypes.data, piece.ctypes.data)
    return samples.reshape(-1)


GEOMETRIES = [
    *{overlap_of(spec) for spec in PRESETS.values()},
    Overlap(64, 1, 40),
    Overlap(48, 7, 33),
    Overlap(8, 8, 8),
]


@pytest.mark.parametrize("overlap", GEOMETRIES, ids=str)
@pytest.mark.parametrize("count", [1, 16, 35])
def test_overlap_add_is_the_sum_of_shifted_windowed_frames(overlap: Overlap, count: int) -> None:
    rng = np.random.default_rng(count)
    frames = rng.integers(-9, 9, (count, overlap.n_fft)).astype(np.float32)
    window = rng.integers(0, 9, overlap.n_fft).astype(np.float32)
    wanted = np.zeros((count - 1) * overlap.hop_length + overlap.win_length, np.float32)
    for t, frame in enumerate(frames):
        inside = slice(overlap.lead, overlap.lead + overlap.win_length)
        wanted[t * overlap.hop_length :][: overlap.win_length] += (frame * window)[inside]
    got = overlapped(overlap, frames, window)
    np.testing.assert_array_equal(got[: len(wanted)], wanted)
    assert not got[len(wanted) :].any()


@pytest.mark.parametrize("overlap", GEOMETRIES, ids=str)
def test_framing_gives_windowed_stretches_of_the_signal(overlap: Overlap) -> None:
    rng = np.random.default_rng(0)
    hop, hops = overlap.hop_length, overlap.spans * LANES
    signal = rng.integers(-9, 9, hops * hop).astype(np.float32)
    window = np.zeros(overlap.n_fft, np.float32)
    inside = slice(overlap.lead, overlap.lead + overlap.win_length)
    window[inside] = rng.integers(1, 9, overlap.win_length)

    def emit(f: Function) -> None:
        signal, window, frames = f.arguments
        with f.loop(overlap.n_fft // 2) as point:
            value = overlap.framed(f, signal, window, point)
            frames[point * (2 * LANES)], frames[point * (2 * LANES) + LANES] = value.re, value.im

    frames = aligned((overlap.n_fft, LANES))
    rows = np.ascontiguousarray(signal.reshape(hops, hop).T)
    compiled(framed=("*signal *window *frames", emit))["framed"](
        rows.ctypes.data, window.ctypes.data, frames.ctypes.data
    )
    for t in range(LANES):
        stretch = signal[t * hop : t * hop + overlap.win_length]
        np.testing.assert_array_equal(frames[inside, t], stretch * window[inside])


@pytest.mark.parametrize("name", PRESETS)
def test_bands_are_sums_by_the_filterbank_and_spread_back_by_its_weights(name: str) -> None:
    spec = PRESETS[name]
    bank, tables = _with_ends(mel_filterbank(spec)).astype(np.float64), bands_with_ends(spec)
    assert tables.bands == len(bank)

    def emit(f: Function) -> None:
        magnitude, sums, spread, segments, weights, count = f.arguments
        bands = Bands(f, segments, weights, count)

        def put(row: object, value: object) -> None:
            sums[row * LANES] = value

        def use(k: object, below: object, above: object) -> None:
            spread[k * LANES] = bands.mean(k, below, above)

        bands.sums(lambda k: magnitude[k * LANES], put)
        bands.over_bins(sums, use)

    magnitude = np.random.default_rng(0).uniform(0, 1, (bank.shape[1], LANES)).astype(np.float32)
    sums, spread = aligned((len(bank) + 2, LANES)), np.empty_like(magnitude)
    library = compiled(bands=("*magnitude *sums *spread *segments:int64 *weights count", emit))
    arrays = magnitude, sums, spread, tables.segments, tables.weights
    library["bands"](*(each.ctypes.data for each in arrays), len(bank))
    wanted = bank @ magnitude
    np.testing.assert_allclose(sums[1:-1], wanted, rtol=1e-5)
    assert not sums[[0, -1]].any()
    shares = bank / np.maximum(bank.sum(axis=0), 1e-30)
    np.testing.assert_allclose(spread, shares.T @ wanted, rtol=1e-5)


@cache
def owners_library(start: StartPhases) -> Library:
    return compiled(owners=("*magnitude *logs *owner:int32 *advance:int32", lambda f: start.owners(f, *f.arguments)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), levels=st.sampled_from([2, 3, 50, 10**6]))
def test_each_bin_follows_the_peak_of_its_region(seed: int, levels: int) -> None:
    """Few levels give plateaus, and frames without a peak."""
    spec = PRESETS["hifigan-22k"]
    magnitude = np.random.default_rng(seed).integers(0, levels, (513, LANES)).astype(np.float32)
    magnitude[:, 3] = 0
    library = owners_library(StartPhases(spec.n_fft, spec.hop_length))
    logs, owner, advance = np.empty_like(magnitude), *np.empty((2, 513, LANES), np.int32)
    library["owners"](*(each.ctypes.data for each in (magnitude, logs, owner, advance)))
    wanted, turn = _peaks(np.ascontiguousarray(magnitude.T), spec)
    np.testing.assert_array_equal(owner, wanted.T)
    assert np.abs(np.exp(2j * np.pi * 2.0**-32 * advance) - turn.T).max() < 2e-4  # of numpy, in float32 radians
