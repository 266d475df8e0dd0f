"""Weights of a compiled generator: checked, and transformed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from support.kernels import TARGETS
from support.slow_hifigan import SMALL, random_weights

from pipeline.errors import CheckpointError
from pipeline.kernels.buffers import ALIGNMENT
from pipeline.kernels.hifigan.weights import HifiganLayout, transformed

SHAPE = SMALL["odd kernels"]


def test_every_weight_lies_apart_from_the_others_and_at_a_line_of_the_cache() -> None:
    layout = HifiganLayout(SHAPE, TARGETS[0])
    array = np.zeros(layout.numbers, np.float32)
    for name in SHAPE.weight_shapes():
        for kind in ("weight", "bias"):
            view = layout.view(array, f"{name}.{kind}")
            assert layout.offset(f"{name}.{kind}") % (ALIGNMENT // 4) == 0
            assert not view.any()
            view[...] = 1


def test_a_convolution_is_transformed_in_float64_and_rounded_once() -> None:
    weights, target = random_weights(SHAPE), TARGETS[0]
    array = transformed(SHAPE, weights, target)
    found = HifiganLayout(SHAPE, target).view(array, "resblocks.0.convs1.0.weight")  # [points, panels, in, panel]
    given = weights["resblocks.0.convs1.0.weight"].astype(np.float64)  # 3 taps: F(6, 3), of which point 0 is at 0
    points, channels = 8, 16
    assert found.size == points * channels * channels
    at_zero = np.moveaxis(found[0], 1, 0).reshape(channels, channels)  # [in, out]
    product = at_zero.T / given[:, :, 0]
    np.testing.assert_allclose(product, product[0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ups.1.weight", None, r"the weight ups.1.weight is missing; it should be \[16, 8, 5\]"),
        ("conv_pre.bias", np.zeros(31, np.float32), r"conv_pre.bias has the shape \[31\]; it should be \[32\]"),
        (
            "resblocks.3.convs2.1.weight",
            np.zeros((8, 8, 3), np.float32),
            r"shape \[8, 8, 3\]; it should be \[8, 8, 5\]",
        ),
    ],
)
def test_weights_that_do_not_fit_the_shape_are_refused(name: str, change: np.ndarray | None, message: str) -> None:
    weights = random_weights(SHAPE)
    del weights[name]
    if change is not None:
        weights[name] = change
    with pytest.raises(CheckpointError, match=message):
        transformed(SHAPE, weights, TARGETS[0])


def test_targets_of_one_block_have_the_same_weights() -> None:
    """Nothing on the way to them depends on the processor."""
    digests: dict[int, set[str]] = {}
    for target in TARGETS:
        array = transformed(SMALL["V1"], random_weights(SMALL["V1"]), target)
        digests.setdefault(target.lanes, set()).add(hashlib.sha256(array.tobytes()).hexdigest())
    assert {len(found) for found in digests.values()} == {1}
