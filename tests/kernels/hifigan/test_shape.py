"""Which shapes of generators the compiled code takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.slow_hifigan import SMALL, V1

from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.kernels.hifigan.shape import why_not


@pytest.mark.parametrize("shape", [V1, *SMALL.values()], ids=["V1", *SMALL])
def test_shapes_of_the_known_projects_are_taken(shape: Any) -> None:
    assert why_not(shape) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernels": (3, 7, 13)}, "kernel size 13; odd sizes up to 12"),
        ({"kernels": (3, 4, 7)}, "kernel size 4"),
        ({"edge": 6}, "kernel size 6, which is not odd"),
        ({"slope": 0.0}, "slopes 0.0 and 0.01"),
        ({"cuts": ((4, 4), (4, 5), (1, 1), (1, 1))}, "stage 1 with rate 8 and kernel size 16, cut by 4 and 5"),
        ({"rate_kernels": (16, 16, 4, 1)}, "stage 3"),
        ({"dilations": ((1009,), (1013,), (1019,))}, "too large a common multiple"),
    ],
)
def test_other_shapes_are_not_taken(change: dict[str, Any], words: str) -> None:
    assert words in (why_not(replace(V1, **change)) or "")


@pytest.mark.parametrize("name", ["BigVGAN", "iSTFTNet"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "mixed"}, "only HiFi-GAN has mixed precision"),
        ({"mirrored": True}, "mirror their input, which those of BigVGAN and iSTFTNet do not"),
    ],
)
def test_what_only_hifigan_has_is_not_taken(name: str, change: dict[str, Any], words: str) -> None:
    assert words in (why_not(replace(SMALL[name], **change)) or "")


@pytest.mark.parametrize("sizes", [(16, 6), (24, 8), (128, 4)])
def test_a_transform_that_does_not_overlap_evenly_within_a_frame_is_not_taken(sizes: tuple[int, int]) -> None:
    shape = replace(SMALL["iSTFTNet, odd kernels, no ends"], transform=InverseTransform(*sizes))
    assert "does not overlap evenly within a frame" in (why_not(shape) or "")


def test_snakes_before_an_inverse_transform_are_not_taken() -> None:
    assert "snakes and" in (why_not(replace(SMALL["iSTFTNet"], snakes="log")) or "")


def test_odd_kernels_make_samples_beyond_the_last_hop() -> None:
    shape = SMALL["odd kernels"]
    assert [shape.samples(frames) - frames * shape.hop for frames in (1, 2, 100)] == [6, 6, 6]
    assert V1.samples(100) == 100 * V1.hop
