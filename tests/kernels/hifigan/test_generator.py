"""The compiled generator, compared with one in float64 that is written from the definitions."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.kernels import BFLOAT16_TARGETS, TARGETS, needs_bfloat16
from support.slow_hifigan import SMALL, V1, random_weights, slow_hifigan

from pipeline.errors import BadMelError
from pipeline.kernels.hifigan.generator import HifiganGenerator, buffer_bytes
from pipeline.kernels.hifigan.geometry import LayerRows
from pipeline.kernels.hifigan.shape import HifiganShape, period
from pipeline.kernels.hifigan.weights import HifiganLayout, transformed
from pipeline.kernels.target import Target

HOST = TARGETS[0]
LONGEST = 300
by_shape = pytest.mark.parametrize("name", SMALL)
by_hifigan = pytest.mark.parametrize(
    "name", [name for name, shape in SMALL.items() if not (shape.snakes or shape.transform)]
)


@cache
def generator(shape: HifiganShape, target: Target = HOST) -> HifiganGenerator:
    return HifiganGenerator(shape, transformed(shape, random_weights(shape), target), target)


def noise(shape: HifiganShape, frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(frames).normal(-1, 2, (shape.mels, frames)).astype(np.float32)


@cache
def whole(shape: HifiganShape, frames: int, target: Target = HOST) -> NDArray[np.float32]:
    return generator(shape, target).decode(noise(shape, frames), 0, frames, 0, frames)


def largest_error(shape: HifiganShape, mel: NDArray[np.float32]) -> float:
    """Of full scale, or of the largest sample where that is above it."""
    frames = mel.shape[1]
    samples = generator(shape).decode(mel, 0, frames, 0, frames)
    wanted = slow_hifigan(shape, random_weights(shape), mel)
    assert samples.shape == wanted.shape == (shape.samples(frames),)
    return float(np.abs(samples - wanted).max() / max(1, np.abs(wanted).max()))


@by_shape
@pytest.mark.parametrize("frames", [1, 2, 3, 9, 50, LONGEST])
def test_samples_are_those_of_the_definitions(name: str, frames: int) -> None:
    shape = SMALL[name]
    frames += 12 if shape.mirrored else 0
    assert np.abs(whole(shape, frames)).max() > 0.1
    assert largest_error(shape, noise(shape, frames)) < 5e-6


@by_shape
@pytest.mark.parametrize("level", [-11.5, 0.0, 30.0])
def test_silence_and_mels_far_over_full_scale_are_those_of_the_definitions(name: str, level: float) -> None:
    """Errors are as large as activations, which are as large as the mel's values."""
    shape = SMALL[name]
    assert largest_error(shape, np.full((shape.mels, 20), level, np.float32)) < 2e-6 * max(1, abs(level))


def test_the_published_size_is_that_of_the_definitions() -> None:
    assert largest_error(V1, noise(V1, 6)) < 1e-5


@by_shape
def test_every_target_gives_the_same_bits(name: str) -> None:
    assert len({whole(SMALL[name], 40, target).tobytes() for target in TARGETS}) == 1


def assert_bits_of_the_whole(shape: HifiganShape, frames: int, places: tuple[int, int]) -> None:
    frames = max(frames, 13) if shape.mirrored else frames
    first = places[0] % frames
    last = min(first + places[1], frames)
    made = generator(shape)
    start, stop = max(first - made.halo[0], 0), min(last + made.halo[1], frames)
    samples = made.decode(noise(shape, frames)[:, start:stop], start, frames, first, last)
    end = shape.samples(frames) if last == frames else last * shape.hop
    assert samples.tobytes() == whole(shape, frames)[first * shape.hop : end].tobytes()


@by_shape
@given(frames=st.integers(1, LONGEST), places=st.tuples(st.integers(0, LONGEST), st.integers(1, LONGEST)))
@settings(max_examples=25, deadline=None)
def test_a_stretch_has_the_bits_of_the_whole(name: str, frames: int, places: tuple[int, int]) -> None:
    """At the stated halo, whatever of the mel is not given."""
    assert_bits_of_the_whole(SMALL[name], frames, places)


@by_shape
def test_a_smaller_halo_is_too_small_for_some_stretch(name: str) -> None:
    """Of all places in a period, those that need most on the left and on the right."""
    shape, frames = SMALL[name], 10_000
    made, first = generator(shape), np.arange(1000, 1000 + period(shape))
    left, mel = made.halo[0], noise(shape, sum(made.halo) + 1)
    seen, *_ = LayerRows(shape).spans(first, first + 1, frames)

    def decode(place: int, start: int, given: NDArray[np.float32]) -> None:
        assert made.decode(given, start, frames, place, place + 1).shape == (shape.hop,)

    for place, less in (first[np.argmin(seen[0] - first)], (1, 0)), (first[np.argmax(seen[1] - first)], (0, 1)):
        decode(int(place), int(place) - left, mel)
        with pytest.raises(AssertionError):
            decode(int(place), int(place) - left + less[0], mel[:, less[0] : mel.shape[1] - less[1]])


def in_threads() -> bool:
    shape, lengths = SMALL["odd kernels"], [40, 170, 9, 300, 77] * 20
    made, wanted = generator(shape), [whole(shape, frames).tobytes() for frames in lengths]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda frames: made.decode(noise(shape, frames), 0, frames, 0, frames).tobytes(), lengths)
        return list(found) == wanted


def test_threads_do_not_disturb_each_other() -> None:
    """In a process of its own, since code that works on the memory of another thread may crash."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(in_threads).result()


@by_shape
@pytest.mark.parametrize("frames", [13, 64, LONGEST])
def test_memory_is_what_is_said(name: str, frames: int) -> None:
    shape = SMALL[name]
    made = HifiganGenerator(shape, transformed(shape, random_weights(shape), HOST), HOST)
    for first in range(0, frames, 7):
        made.decode(noise(shape, frames), 0, frames, first, min(first + 40, frames))
    made.decode(noise(shape, frames), 0, frames, 0, frames)
    taken = made._buffers.nbytes + 4 * shape.samples(frames)
    said = buffer_bytes(shape, frames)
    assert 0.5 * said < taken <= said


def test_a_mel_that_is_too_short_to_be_mirrored_is_refused() -> None:
    made = generator(SMALL["SpeechBrain"])
    shape = made.shape
    with pytest.raises(BadMelError, match="has 3 frames; this generator mirrors its ends and needs 4 or more"):
        made.decode(noise(shape, 3), 0, 3, 0, 3)
    assert largest_error(shape, noise(shape, 4)) < 5e-6


def test_a_slope_is_part_of_the_code() -> None:
    """Shapes that differ in anything never share code."""
    shape = SMALL["odd kernels"]
    steep = replace(shape, slope=0.3)
    assert whole(steep, 20).tobytes() != whole(shape, 20).tobytes()
    assert largest_error(steep, noise(steep, 20)) < 5e-6


@needs_bfloat16
@by_hifigan
def test_mixed_precision_is_near_the_definitions_and_the_same_for_every_target(name: str) -> None:
    shape = replace(SMALL[name], precision="mixed")
    found = {whole(shape, 40, target).tobytes() for target in BFLOAT16_TARGETS}
    assert len(found) == 1
    assert 1e-5 < largest_error(shape, noise(shape, 40)) < 0.02


@needs_bfloat16
@by_hifigan
@given(frames=st.integers(1, LONGEST), places=st.tuples(st.integers(0, LONGEST), st.integers(1, LONGEST)))
@settings(max_examples=15, deadline=None)
def test_a_stretch_in_mixed_precision_has_the_bits_of_the_whole(
    name: str, frames: int, places: tuple[int, int]
) -> None:
    assert_bits_of_the_whole(replace(SMALL[name], precision="mixed"), frames, places)


def test_the_first_stages_longest_convolutions_stay_in_float32_and_other_weights_halve() -> None:
    plain, mixed = HifiganLayout(V1, HOST), HifiganLayout(replace(V1, precision="mixed"), HOST)

    def ratio(name: str) -> float:
        sizes = [each.view(np.zeros(each.numbers, np.float32), f"{name}.weight").size for each in (mixed, plain)]
        return sizes[0] / sizes[1]

    kept = {name for name in V1.weight_shapes() if ratio(name) == 1}
    longest = {f"resblocks.{block}.convs{pair}.{unit}" for block in (2,) for pair in (1, 2) for unit in range(3)}
    assert kept == {"conv_pre", "ups.0", "ups.1", "ups.2", "ups.3", "conv_post", *longest}
    assert {ratio(name) for name in V1.weight_shapes()} == {1, 0.5}
