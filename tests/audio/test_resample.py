"""Resampling in pieces: soxr's samples of the whole, exactly as many as stated."""

from fractions import Fraction

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.audio.resample import resampled, resampled_length

RATES = [(22050, 16000), (22050, 48000), (24000, 44100), (44100, 8000), (16000, 48000), (22050, 22051)]


def noise(samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(samples).normal(0, 0.3, samples).astype(np.float32)


def in_pieces(waveform: NDArray[np.float32], cuts: list[int], source: int, target: int) -> NDArray[np.float32]:
    pieces = list(resampled(np.split(waveform, sorted(cuts)), source, target))
    return np.concatenate([np.zeros(0, np.float32), *pieces])


@pytest.mark.parametrize(("source", "target"), RATES)
@settings(max_examples=25)
@given(st.integers(1, 6000).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), max_size=5))))
def test_the_samples_are_those_of_the_whole_whatever_the_pieces(
    source: int, target: int, case: tuple[int, list[int]]
) -> None:
    samples, cuts = case
    waveform = noise(samples)
    found = in_pieces(waveform, cuts, source, target)
    assert len(found) == resampled_length(samples, source, target)
    whole = soxr.resample(waveform, source, target, quality="VHQ")
    assert abs(len(whole) - len(found)) <= 1  # soxr rounds halves either way
    common = min(len(whole), len(found))
    np.testing.assert_array_equal(found[:common], whole[:common])


@given(st.integers(0, 10**10), st.integers(8000, 48000), st.integers(8000, 48000))
def test_the_length_is_the_nearest_to_the_duration(samples: int, source: int, target: int) -> None:
    exact = Fraction(samples * target, source)
    assert abs(resampled_length(samples, source, target) - exact) <= Fraction(1, 2)


def test_the_length_of_half_a_sample_is_rounded_up_where_soxr_alone_rounds_it_down() -> None:
    assert len(soxr.resample(noise(120), 24000, 44100, quality="VHQ")) == 220
    assert len(in_pieces(noise(120), [], 24000, 44100)) == 221


def test_a_sine_stays_the_same_sine_at_the_same_place() -> None:
    time = np.arange(22050) / 22050
    found = in_pieces(np.sin(2 * np.pi * 440 * time).astype(np.float32), [100, 5000], 22050, 48000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    assert np.abs(found - wanted)[1000:-1000].max() < 1e-6


def test_the_same_rate_gives_the_same_pieces() -> None:
    pieces = [noise(10), noise(0), noise(7)]
    assert [id(piece) for piece in resampled(pieces, 22050, 22050)] == [id(piece) for piece in pieces]


def test_no_sample_gives_none() -> None:
    assert list(resampled([noise(0)], 22050, 16000)) == []
    assert list(resampled([], 22050, 16000)) == []
