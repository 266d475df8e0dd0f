from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import MelmillError, VocoderError
from pipeline.vocoders.base import Window
from pipeline.workshop.halo_trial import Decode, DecodeWindow, influence, length_rule, shortest_mel, try_halo

HOP = 4
Mel = NDArray[np.float32]


def looking(left: int, right: int):
    """A vocoder whose samples look that many frames to both sides, and see nothing beyond the ends."""

    def decode(mel: Mel) -> Mel:
        padded = np.pad(mel.mean(axis=0), (left, right))
        heard = sum(padded[at : at + mel.shape[1]] / (at + 1) for at in range(left + 1 + right))
        return np.repeat(np.tanh(heard).astype(np.float32), HOP)

    return decode


def whole(mel: Mel) -> Mel:
    return np.repeat(np.tanh(mel.mean(axis=0) - mel.mean()), HOP)


def windowed(decode: Decode) -> DecodeWindow:
    """The same vocoder, told the window whose core it makes."""
    return lambda mel, window: window.core(decode(mel), HOP)


@pytest.fixture
def noise() -> Mel:
    return np.random.default_rng(0).normal(-1, 1, (8, 300)).astype(np.float32)


@pytest.mark.parametrize("halo", [(0, 0), (3, 1), (0, 9), (12, 12)])
def test_the_smallest_halo_is_the_vocoders_own(noise: Mel, halo: tuple[int, int]) -> None:
    trial = try_halo(windowed(looking(*halo)), noise, HOP, (12, 12))
    assert trial.enough
    assert trial.smallest == halo
    assert influence(looking(*halo), [noise], HOP).reach() == halo


@pytest.mark.parametrize("stated", [(2, 5), (3, 4)])
def test_a_halo_with_one_frame_less_is_found_too_small_and_the_right_one_is_named(
    noise: Mel, stated: tuple[int, int]
) -> None:
    trial = try_halo(windowed(looking(3, 5)), noise, HOP, stated)
    assert not trial.enough
    assert trial.error > 100 * trial.allowed
    assert trial.smallest == (3, 5)
    assert influence(looking(3, 5), [noise], HOP).beyond(stated) > 0
    assert influence(looking(3, 5), [noise], HOP).beyond((3, 5)) == 0


def test_where_no_rounding_is_allowed_the_last_bit_counts(noise: Mel) -> None:
    def jittering(mel: Mel, window: Window) -> Mel:
        made = window.core(looking(3, 5)(mel), HOP)
        return made if window.start == 0 else np.nextafter(made, np.float32(2))

    assert try_halo(jittering, noise, HOP, (3, 5)).enough
    assert not try_halo(jittering, noise, HOP, (3, 5), allowed=0.0).enough
    exact = try_halo(windowed(looking(3, 5)), noise, HOP, (3, 5), allowed=0.0)
    assert (exact.enough, exact.error, exact.smallest) == (True, 0.0, (3, 5))


def test_a_vocoder_that_refuses_a_window_with_too_small_a_halo_needs_a_larger_one(noise: Mel) -> None:
    def refusing(mel: Mel, window: Window) -> Mel:
        if 0 < window.start > window.core_start - 3 or window.core_stop + 5 > window.stop < window.frames:
            raise VocoderError("it needs 3 and 5 frames")
        return window.core(looking(1, 1)(mel), HOP)

    assert not try_halo(refusing, noise, HOP, (2, 5)).enough
    assert try_halo(refusing, noise, HOP, (3, 5)).smallest == (3, 5)


def test_no_halo_is_enough_for_a_vocoder_that_looks_at_everything(noise: Mel) -> None:
    trial = try_halo(windowed(whole), noise, HOP, (10, 10))
    assert not trial.enough
    assert trial.smallest == (None, None)
    assert influence(whole, [noise], HOP).reach() == (149, 150)


def test_what_fades_away_below_the_rounding_is_not_counted(noise: Mel) -> None:
    def fading(mel: Mel) -> Mel:
        heard, state = [], 0.0
        for value in mel.mean(axis=0):
            state = 0.8 * state + float(value)
            heard.append(state)
        return np.repeat(np.array(heard), HOP)  # float64, so that nothing is rounded away

    found = influence(fading, [noise], HOP)
    assert found.reach() == (149, 0)
    faded = found.faded(float(np.abs(fading(noise)).max()))
    assert 0 < faded < 1e-6
    assert 20 < found.reach(faded)[0] < 100
    assert found.reach(faded)[1] == 0
    assert influence(looking(3, 1), [noise], HOP).faded(1.0) == 0


def test_a_silent_vocoder_needs_no_halo(noise: Mel) -> None:
    trial = try_halo(windowed(lambda mel: np.zeros(mel.shape[1] * HOP, np.float32)), noise, HOP, (2, 2))
    assert (trial.enough, trial.smallest) == (True, (0, 0))


@pytest.mark.parametrize(
    ("lengths", "found"),
    [
        ([(10, 2560), (11, 2816), (30, 7680)], (256, 0)),
        ([(30, 29 * 256), (10, 9 * 256), (11, 10 * 256)], (256, -256)),
        ([(10, 166), (11, 182), (30, 486)], (16, 6)),
        ([(10, 2560), (11, 2815), (30, 7680)], None),
        ([(10, 2560), (16, 4096), (17, 8192)], None),
    ],
)
def test_the_length_rule_is_a_whole_number_of_samples_a_frame_or_none(
    lengths: list[tuple[int, int]], found: tuple[int, int] | None
) -> None:
    rule = length_rule(lengths)
    assert (rule and (rule.hop, rule.extra)) == found


@pytest.mark.parametrize(("least", "found"), [(1, 1), (4, 4), (5, 6), (64, 64), (65, None)])
def test_the_shortest_mel_is_the_first_that_is_taken(noise: Mel, least: int, found: int | None) -> None:
    def mirroring(mel: Mel) -> Mel:
        if mel.shape[1] < least:
            raise MelmillError("too short to be mirrored")
        return np.zeros(mel.shape[1] * HOP, np.float32)

    assert shortest_mel(mirroring, noise, lambda frames: frames * HOP) == found
    assert shortest_mel(mirroring, noise, lambda frames: frames * HOP + 1) is None
