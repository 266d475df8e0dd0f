"""The last step of lift's net, against the same step in plain numpy; and the same bits for every target."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from support.kernels import TARGETS

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.net_magnitude import UPDATES, net_magnitude_blocks
from pipeline.kernels.frame_blocks import LANES, from_blocks
from pipeline.melspec import PRESETS, MelSpec

HIFIGAN = PRESETS["hifigan-22k"]
SPECS = {
    "magnitude": HIFIGAN,
    "power": dataclasses.replace(HIFIGAN, power=2, n_mels=60, fmin=300.0, fmax=7600.0),
}


def numpy_magnitudes(levels: NDArray[np.float32], spec: MelSpec, updates: int = UPDATES) -> NDArray[np.float64]:
    """`[frames, bins]`, in double precision; the way it was part of the net."""
    bins = 1 + spec.n_fft // 2
    logs, mel = levels[:, :bins].astype(np.float64), levels[:, bins:].astype(np.float64)
    bank = mel_filterbank(spec).astype(np.float64)
    sums = bank.sum(axis=0)
    linear = np.exp(spec.power * np.clip(logs, -20, 20))
    for _ in range(updates):
        ratio = np.exp(np.clip(mel - np.log(linear @ bank.T + 1e-9), -20, 20))
        linear *= ratio @ (bank / np.maximum(sums, 1e-9)) + (sums == 0)
    return linear ** (1 / spec.power)


def some_levels(spec: MelSpec, frames: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(frames)
    levels = rng.normal(-4, 3, (frames, 1 + spec.n_fft // 2 + spec.n_mels)).astype(np.float32)
    levels[0, ::7] = -100  # beyond what is used of a logarithm
    levels[-1, ::5] = 60
    return levels


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize(("frames", "before"), [(1, 0), (16, 0), (37, 0), (5, 30), (40, 17)])
def test_they_are_those_of_plain_numpy_and_silence_surrounds_them(spec: MelSpec, frames: int, before: int) -> None:
    levels = some_levels(spec, frames)
    blocks = net_magnitude_blocks(levels, spec, before)
    got = from_blocks(blocks, frames, before)
    np.testing.assert_allclose(got.T, numpy_magnitudes(levels, spec), rtol=1e-4, atol=1e-15)
    around = from_blocks(blocks, len(blocks) * LANES).copy()
    around[:, before : before + frames] = 0
    assert not around.any()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_without_updates_they_are_the_exponentials_of_what_the_net_gives(spec: MelSpec) -> None:
    levels = some_levels(spec, 20)
    got = from_blocks(net_magnitude_blocks(levels, spec, 0, updates=0), 20)
    np.testing.assert_allclose(got.T, numpy_magnitudes(levels, spec, 0), rtol=1e-5)


def test_they_are_the_same_bits_for_every_target() -> None:
    levels = some_levels(HIFIGAN, 40)
    assert len({net_magnitude_blocks(levels, HIFIGAN, 3, target).tobytes() for target in TARGETS}) == 1
