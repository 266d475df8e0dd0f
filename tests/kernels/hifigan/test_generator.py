"""The compiled generator, compared with one in float64 that is written from the definitions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from support.kernels import TARGETS
from support.slow_hifigan import SMALL, random_weights, slow_hifigan

from pipeline.kernels.hifigan.generator import HifiganGenerator
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.hifigan.weights import transformed
from pipeline.kernels.target import Target

HOST = TARGETS[0]
by_shape = pytest.mark.parametrize("name", SMALL)


@cache
def generator(shape: HifiganShape, target: Target = HOST) -> HifiganGenerator:
    return HifiganGenerator(shape, transformed(shape, random_weights(shape), target), target)


def noise(shape: HifiganShape, frames: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(-1, 2, (shape.mels, frames)).astype(np.float32)


def whole(shape: HifiganShape, mel: NDArray[np.float32], target: Target = HOST) -> NDArray[np.float32]:
    frames = mel.shape[1]
    return generator(shape, target).decode(mel, 0, frames, 0, frames)


@by_shape
@pytest.mark.parametrize("frames", [1, 2, 3, 9, 50])
def test_samples_are_those_of_the_definitions(name: str, frames: int) -> None:
    shape = SMALL[name]
    frames += 12 if shape.mirrored else 0
    mel = noise(shape, frames)
    samples, wanted = whole(shape, mel), slow_hifigan(shape, random_weights(shape), mel)
    assert samples.shape == wanted.shape == (shape.samples(frames),)
    assert np.abs(wanted).max() > 0.1  # it is no silence that is compared
    assert np.abs(samples - wanted).max() < 5e-6
