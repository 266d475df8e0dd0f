"""The compiled ConvNeXt net, compared with one in float64 that is written from the definitions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.kernels import TARGETS
from support.slow_convnext import LIFT, SMALL, random_weights, slow_convnext

from pipeline.kernels.buffers import ALIGNMENT
from pipeline.kernels.convnext.net import ConvNext, buffer_bytes
from pipeline.kernels.convnext.shape import ConvNextShape, why_not
from pipeline.kernels.convnext.weights import ConvNextLayout, packed
from pipeline.kernels.target import Target

HOST = TARGETS[0]
LONGEST = 300
SHAPES = {"lift": LIFT, **SMALL}
by_shape = pytest.mark.parametrize("name", SHAPES)


@cache
def net(shape: ConvNextShape, target: Target = HOST) -> ConvNext:
    return ConvNext(shape, packed(shape, random_weights(shape), target), target)


def noise(shape: ConvNextShape, frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(frames).normal(0, 1, (shape.bands, frames)).astype(np.float32)


@cache
def whole(shape: ConvNextShape, frames: int, target: Target = HOST) -> NDArray[np.float32]:
    return net(shape, target).run(noise(shape, frames))


@by_shape
@pytest.mark.parametrize("frames", [1, 2, 5, 17, LONGEST])
def test_outputs_are_those_of_the_definitions(name: str, frames: int) -> None:
    shape = SHAPES[name]
    wanted = slow_convnext(shape, random_weights(shape), noise(shape, frames))
    found = whole(shape, frames)
    assert found.shape == wanted.shape == (frames, shape.outputs)
    assert np.abs(wanted).max() > 0.2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("level", [0.0, -11.5, 1e4])
def test_a_layer_norm_is_exact_for_channels_that_hardly_differ_and_far_from_0(level: float) -> None:
    """Silence has the same value everywhere; a variance as a difference of two large sums would be lost."""
    shape = SMALL["two blocks"]
    mel = np.full((shape.bands, 30), level, np.float32)
    weights = random_weights(shape)
    weights["embed.bias"] = np.full(shape.width, 300, np.float32)
    made = ConvNext(shape, packed(shape, weights, HOST), HOST)
    np.testing.assert_allclose(
        made.run(mel), slow_convnext(shape, weights, mel), rtol=0, atol=2e-4 * max(1, level / 100)
    )


@by_shape
def test_every_target_gives_the_same_bits(name: str) -> None:
    assert len({whole(SHAPES[name], 40, target).tobytes() for target in TARGETS}) == 1


@by_shape
@given(frames=st.integers(1, LONGEST), places=st.tuples(st.integers(0, LONGEST), st.integers(1, LONGEST)))
@settings(max_examples=25, deadline=None)
def test_a_stretch_with_its_context_has_the_bits_of_the_whole(name: str, frames: int, places: tuple[int, int]) -> None:
    shape = SHAPES[name]
    first = places[0] % frames
    last = min(first + places[1], frames)
    start, stop = max(first - shape.context, 0), min(last + shape.context, frames)
    found = net(shape).run(noise(shape, frames)[:, start:stop])[first - start : last - start]
    assert found.tobytes() == whole(shape, frames)[first:last].tobytes()


@pytest.mark.parametrize("name", ["lift", "two blocks", "no block", "few taps"])
def test_a_frame_depends_on_its_context_and_on_no_more(name: str) -> None:
    shape, frames = SHAPES[name], 61
    mel = noise(shape, frames)
    mel[:, 30] += 1
    changed = np.flatnonzero((net(shape).run(mel) != whole(shape, frames)).any(axis=1))
    np.testing.assert_array_equal(changed, np.arange(30 - shape.context, 31 + shape.context))


def test_threads_do_not_disturb_each_other() -> None:
    shape = LIFT
    made, lengths = net(shape), [40, 170, 9, 300, 77] * 4
    wanted = [whole(shape, frames).tobytes() for frames in lengths]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda frames: made.run(noise(shape, frames)).tobytes(), lengths)
    assert list(found) == wanted


@by_shape
@pytest.mark.parametrize("frames", [1, LONGEST])
def test_memory_is_what_is_said(name: str, frames: int) -> None:
    shape = SHAPES[name]
    made = ConvNext(shape, packed(shape, random_weights(shape), HOST), HOST)
    outputs = made.run(noise(shape, frames)).base
    assert isinstance(outputs, np.ndarray)
    assert made._buffers.nbytes + outputs.nbytes == pytest.approx(buffer_bytes(shape, frames), rel=0.01)


def test_every_weight_lies_apart_from_the_others_and_at_a_line_of_the_cache() -> None:
    shape = SMALL["few taps"]
    layout = ConvNextLayout(shape, HOST)
    array = np.zeros(layout.numbers, np.float32)
    for name in shape.weight_shapes():
        view = layout.view(array, name)
        assert layout.offset(name) % (ALIGNMENT // 4) == 0
        assert not view.any()
        view[...] = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 40}, "its blocks have 40 and 48 channels, which are not multiples of 16"),
        ({"hidden": 8}, "its blocks have 32 and 8 channels"),
        ({"taps": 6}, "kernel size 6, which is not odd"),
    ],
)
def test_shapes_that_are_not_compiled_are_told(change: dict[str, int], words: str) -> None:
    assert why_not(SMALL["two blocks"]) is None
    assert words in (why_not(replace(SMALL["two blocks"], **change)) or "")
