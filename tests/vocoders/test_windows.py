from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import MelmillError
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.windows import decode_windows, windows


@given(st.integers(0, 3000), st.integers(1, 700), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_cores_tile_the_mel_and_halos_lie_on_inner_sides_only(frames: int, window: int, halo: tuple[int, int]) -> None:
    found = windows(frames, window, halo)
    assert [frame for part in found for frame in range(part.core_start, part.core_stop)] == list(range(frames))
    for part in found:
        assert 0 < part.core_stop - part.core_start <= window
        assert part.start == max(0, part.core_start - halo[0])
        assert part.stop == min(frames, part.core_stop + halo[1])


def decoded(vocoder: Vocoder, mel: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return np.concatenate(list(pieces))


class WithHalo:
    """A real vocoder that claims another halo."""

    def __init__(self, vocoder: Vocoder, halo: tuple[int, int]) -> None:
        self.name, self.digest, self.spec, self.halo = vocoder.name, vocoder.digest, vocoder.spec, halo
        self.samples, self.memory, self.decode = vocoder.samples, vocoder.memory, vocoder.decode


# Stretches where the frame at the halo's edge is heard at all: a trained network hardly weighs it in most places.
@pytest.mark.parametrize(("name", "first"), [("hifigan-universal", 0), ("hifigan-ljspeech", 80)])
def test_windows_equal_the_whole_with_the_halo_and_differ_with_a_frame_less(
    name: str, first: int, mel: NDArray[np.float32]
) -> None:
    vocoder, mel = load_vocoder(name, threads=2), mel[:, first : first + 100]
    whole = vocoder.decode(mel)

    def error(halo: tuple[int, int]) -> float:
        return float(np.abs(decoded(WithHalo(vocoder, halo), mel, window=20) - whole).max())

    assert vocoder.halo == (13, 13)
    assert error((13, 13)) < 1e-5
    assert error((12, 13)) > 2e-5
    assert error((13, 12)) > 2e-5


@pytest.mark.parametrize("window", [1, 7, 40, 199, 200])
def test_windows_of_a_generator_with_an_odd_kernel_equal_the_whole(small: OnnxVocoder, window: int) -> None:
    mel = np.random.default_rng(2).normal(-1, 2, (20, 200)).astype(np.float32)
    assert decoded(small, mel, window).shape == (small.samples(200),) == (200 * 16 + 6,)
    assert np.abs(decoded(small, mel, window) - small.decode(mel)).max() < 1e-5


def test_a_long_mel_is_read_window_by_window_as_its_pieces_are_taken(small: OnnxVocoder) -> None:
    frames = 20_000
    mel = np.random.default_rng(3).normal(-1, 2, (20, frames)).astype(np.float32)
    reads: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> NDArray[np.float32]:
        reads.append((start, stop))
        return mel[:, start:stop]

    samples = 0
    for count, piece in enumerate(decode_windows(small, read, frames), start=1):
        assert len(reads) == count
        samples += len(piece)
    assert samples == small.samples(frames)
    assert reads == [(part.start, part.stop) for part in windows(frames, 512, small.halo)]
    assert max(stop - start for start, stop in reads) == 512 + sum(small.halo)


def test_decode_is_told_where_its_window_begins(small: OnnxVocoder, monkeypatch: pytest.MonkeyPatch) -> None:
    mel = np.zeros((20, 100), np.float32)
    told: list[int] = []
    plain = small.decode

    def decode(mel: NDArray[np.float32], first_frame: int = 0) -> NDArray[np.float32]:
        told.append(first_frame)
        return plain(mel, first_frame)

    monkeypatch.setattr(small, "decode", decode)
    decoded(small, mel, window=50)
    assert told == [0, 50 - small.halo[0]]


def test_no_frames_give_no_pieces(small: OnnxVocoder) -> None:
    assert list(decode_windows(small, lambda start, stop: np.zeros((20, 0), np.float32), 0)) == []


def test_a_mel_of_another_length_than_asked_for_is_an_error(small: OnnxVocoder) -> None:
    with pytest.raises(MelmillError, match="frames 0 to 100 were asked for; the mel read has 99"):
        list(decode_windows(small, lambda start, stop: np.zeros((20, 99), np.float32), 100))


def test_a_waveform_of_another_length_than_promised_is_an_error(small: OnnxVocoder) -> None:
    small._model.card = dataclasses.replace(small._model.card, extra_samples=0)
    with pytest.raises(MelmillError, match=r"\(1606,\), not \[1600\]"):
        list(decode_windows(small, lambda start, stop: np.zeros((20, stop - start), np.float32), 100))


def test_a_vocoder_that_breaks_its_own_length_rule_is_found_out(
    small: OnnxVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "decode", lambda mel, first_frame: np.zeros(7, np.float32))
    with pytest.raises(MelmillError, match="gave 7 samples for frames 0 to 100, not 1606"):
        list(decode_windows(small, lambda start, stop: np.zeros((20, stop - start), np.float32), 100))
