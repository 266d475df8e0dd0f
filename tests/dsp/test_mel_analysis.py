"""The compiled mel analysis against the one in numpy, and against itself: for every target, cut and thread."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Barrier
from typing import Literal

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.guard_pages import exit_code, guarded
from support.kernels import TARGETS
from support.paths import PROMPTS

from pipeline.dsp import mel_analysis as module
from pipeline.dsp.mel_analysis import CompiledMel, mel_analysis
from pipeline.dsp.mel_in_numpy import MelInNumpy
from pipeline.kernels.target import Target
from pipeline.melspec import PRESETS, MelSpec

HIFIGAN = PRESETS["hifigan-22k"]
SMALL = dataclasses.replace(HIFIGAN, n_fft=64, hop_length=16, win_length=48, n_mels=8)
SPEECH = soundfile.read(sorted(PROMPTS.glob("*/*.flac"))[0], dtype="float32")[0]


@cache
def kernels(spec: MelSpec, target: Target = TARGETS[0]) -> CompiledMel:
    return CompiledMel(spec, target)


@st.composite
def specs(draw: st.DrawFn) -> MelSpec:
    n_fft = 2 * draw(st.integers(4, 200))
    win_length = draw(st.integers(2, n_fft))
    return dataclasses.replace(
        HIFIGAN,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=draw(st.integers(1, win_length)),
        n_mels=draw(st.integers(1, 40)),
        fmax=draw(st.sampled_from([4000.0, 11025.0])),
        mel_scale=draw(st.sampled_from(["slaney", "htk"])),
        mel_norm=draw(st.sampled_from(["slaney", "none"])),
        power=draw(st.sampled_from([1, 2])),
        log=draw(st.sampled_from(["ln", "log10", "db"])),
        framing="center",
        flooring=draw(st.sampled_from(["max", "add"])),
        power_floor=draw(st.sampled_from([0.0, 1e-6])),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_kernels_measure_the_speech_that_numpy_measures(name: str) -> None:
    spec = PRESETS[name]
    got, wanted = kernels(spec).log_mel(SPEECH), MelInNumpy(spec).log_mel(SPEECH)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-5 * max(1, spec.log_scale)


@settings(max_examples=40)
@given(spec=specs(), samples=st.integers(0, 3000))
def test_kernels_measure_what_numpy_measures_for_every_geometry(spec: MelSpec, samples: int) -> None:
    signal = np.random.default_rng(samples).uniform(-1, 1, spec.n_fft + samples).astype(np.float32)
    got, wanted = CompiledMel(spec, TARGETS[0]).log_mel(signal), MelInNumpy(spec).log_mel(signal)
    assert got.shape == wanted.shape
    # A narrow band may be nearly silent in noise, and then holds what rounding left of the loud bins: 1e-7 of them.
    np.testing.assert_allclose(np.exp(got / spec.log_scale), np.exp(wanted / spec.log_scale), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_every_target_gives_the_same_bits(name: str) -> None:
    spec = PRESETS[name]
    mels = [kernels(spec, target).log_mel(SPEECH) for target in TARGETS]
    linear = [kernels(spec, target).to_linear(mels[0]) for target in TARGETS]
    assert len({mel.tobytes() for mel in mels}) == len({each.tobytes() for each in linear}) == 1
    sums = {target: np.zeros((2, 2)) for target in TARGETS}
    for target, (differences, moments) in sums.items():
        kernels(spec, target).add_differences(mels[0], mels[0][:, ::-1], differences)
        kernels(spec, target).add_moments(mels[0], moments)
    assert len({each.tobytes() for each in sums.values()}) == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_a_frame_does_not_depend_on_those_beside_it_nor_on_what_follows(target: Target) -> None:
    signal = np.random.default_rng(0).uniform(-1, 1, 64 + 40 * 16).astype(np.float32)
    whole = kernels(SMALL, target).log_mel(signal)
    for first in range(41):
        for frames in range(1, 42 - first):
            part = signal[first * 16 : (first + frames - 1) * 16 + 64]
            assert kernels(SMALL, target).log_mel(part).tobytes() == whole[:, first : first + frames].tobytes()


@pytest.mark.parametrize("name", ["hifigan-22k", "coqui", "styletts2-24k"])
def test_to_linear_is_that_of_numpy(name: str) -> None:
    spec = PRESETS[name]
    mel = kernels(spec).log_mel(SPEECH)[:, :45]
    for frames in (0, 1, 45):
        got, wanted = kernels(spec).to_linear(mel[:, :frames]), MelInNumpy(spec).to_linear(mel[:, :frames])
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=1e-12)


@given(
    cuts=st.lists(st.integers(0, 50), max_size=5),
    bands=st.integers(1, 9),
    transposed=st.booleans(),
    seed=st.integers(0),
)
def test_sums_are_those_of_numpy_and_do_not_depend_on_how_mels_were_cut(
    cuts: list[int], bands: int, transposed: bool, seed: int
) -> None:
    one, other = np.random.default_rng(seed).normal(size=(2, bands, 50)).astype(np.float32)
    if transposed:
        one = np.ascontiguousarray(one.T).T

    def sums(pieces: list[slice]) -> NDArray[np.float64]:
        found = np.zeros((2, 2))
        for piece in pieces:
            kernels(SMALL).add_differences(one[:, piece], other[:, piece], found[0])
            kernels(SMALL).add_moments(one[:, piece], found[1])
        return found

    bounds = [0, *sorted(cuts), 50]
    whole = sums([slice(0, 50)])
    assert sums([slice(a, b) for a, b in itertools.pairwise(bounds)]).tobytes() == whole.tobytes()
    wanted = np.zeros((2, 2))
    MelInNumpy(SMALL).add_differences(one, other, wanted[0])
    MelInNumpy(SMALL).add_moments(one, wanted[1])
    np.testing.assert_allclose(whole, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_stays_so(value: float) -> None:
    signal = np.zeros(64 + 10 * 16, np.float32)
    signal[100] = value
    mel = kernels(dataclasses.replace(SMALL, power_floor=1e-10)).log_mel(signal)
    heard = slice(3, 7)  # the frames that hold sample 100: 3 * 16 + 63 and 6 * 16 are the first and last to do so
    assert np.isnan(mel[:, heard]).all()
    assert np.isfinite(np.delete(mel, np.r_[heard], axis=1)).all()


def test_each_thread_has_its_own_scratch_memory() -> None:
    barrier = Barrier(2)

    def measured(seed: int) -> tuple[int, bool]:
        signal = np.random.default_rng(seed).uniform(-1, 1, 200000).astype(np.float32)
        wanted = CompiledMel(HIFIGAN, TARGETS[0]).log_mel(signal)
        barrier.wait()
        same = all(mel_analysis(HIFIGAN).log_mel(signal).tobytes() == wanted.tobytes() for _ in range(20))
        return id(mel_analysis(HIFIGAN)), same

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(measured, range(2)))
    assert all(same for _, same in found)
    assert len({which for which, _ in found}) == 2
    assert mel_analysis(HIFIGAN) is mel_analysis(HIFIGAN)


def test_where_nothing_can_be_compiled_numpy_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_target", lambda: None)
    spec = dataclasses.replace(SMALL, floor=1e-6)  # no analysis of it was made before
    assert isinstance(mel_analysis(spec), MelInNumpy)


def test_an_array_at_the_edge_of_memory_is_guarded() -> None:
    def read(edge: Literal["begin", "end"], at: int) -> None:
        values = guarded(np.ones(1000, np.float32), edge)
        ctypes.c_float.from_address(values.ctypes.data + 4 * at).value  # noqa: B018

    assert [exit_code(partial(read, "end", at)) for at in (0, 999, 1000)] == [0, 0, -signal.SIGSEGV]
    assert [exit_code(partial(read, "begin", at)) for at in (0, 999, -1)] == [0, 0, -signal.SIGSEGV]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kernels_touch_nothing_beyond_a_signal_or_a_mel(target: Target) -> None:
    """Signals from a single frame on, that end within a hop, at its end or a sample later, and mels of any length."""
    made = kernels(SMALL, target)
    made.log_mel(np.zeros(64, np.float32))

    def measure() -> None:
        sums = np.zeros(2)
        for edge, samples in itertools.product(("begin", "end"), (*range(64, 64 + 40), 1000, 1023, 1024, 1025, 5000)):
            made.log_mel(guarded(np.ones(samples, np.float32), edge))
        for edge, frames in itertools.product(("begin", "end"), (*range(1, 36), 200)):
            mel = guarded(np.ones((SMALL.n_mels, frames), np.float32), edge)
            made.to_linear(mel)
            made.add_moments(mel, sums)
            made.add_differences(mel, mel, sums)

    assert exit_code(measure) == 0
