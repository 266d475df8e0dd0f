"""Decoding before waveforms are taken gives what decoding at once gives, in order, and no more ahead than it may."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import BadMelError
from pipeline.vocoders import ahead, decode_ahead, decode_mels, decode_together
from pipeline.vocoders.base import Window
from pipeline.vocoders.onnx_vocoder import OnnxVocoder

LENGTHS = (50, 7, 200, 1, 64)
WINDOW = 20


@dataclass(frozen=True)
class Mel:
    number: int
    frames: int
    bad: bool = False

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        if self.bad and start > 0:
            raise BadMelError(f"mel {self.number} is bad")
        values = np.random.default_rng(self.number).normal(-1, 2, (20, self.frames))
        return values.astype(np.float32)[:, start:stop]


MELS = [Mel(number, frames) for number, frames in enumerate(LENGTHS)]


class Watched:
    """A real vocoder that says when it works."""

    def __init__(self, vocoder: OnnxVocoder) -> None:
        self.name, self.digest, self.spec, self.halo = vocoder.name, vocoder.digest, vocoder.spec, vocoder.halo
        self.samples, self.memory, self.window = vocoder.samples, vocoder.memory, vocoder.window
        self._decode = vocoder.decode
        self.decoded = threading.Semaphore(0)
        self.threads: set[int] = set()
        self.calls = 0

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        self.threads.add(threading.get_ident())
        self.calls += 1
        waveform = self._decode(mel, window)
        self.decoded.release()
        return waveform


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "melmill decode"]


@pytest.mark.parametrize("decode", [decode_ahead, decode_together])
@pytest.mark.parametrize("together", [1, 1000, 10**6])
def test_samples_and_order_are_those_of_decoding_at_once(
    small: OnnxVocoder, decode: Any, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_TOGETHER_SAMPLES", together)
    wanted = [(mel, np.concatenate(list(pieces))) for mel, pieces in decode_mels(small, MELS, WINDOW)]
    found = [(mel, np.concatenate(list(pieces))) for mel, pieces in decode(small, MELS, WINDOW)]
    assert [mel for mel, _ in found] == [mel for mel, _ in wanted]
    for (_, ours), (_, theirs) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert decoders() == []


def test_the_vocoder_works_while_its_last_piece_is_encoded(small: OnnxVocoder) -> None:
    vocoder = Watched(small)
    with contextlib.closing(decode_ahead(vocoder, MELS, WINDOW)) as decoded:
        _, pieces = next(decoded)
        next(pieces)
        for _ in range(8):  # of the next mels, too, though no more pieces are taken
            assert vocoder.decoded.acquire(timeout=30)
    assert threading.get_ident() not in vocoder.threads


def test_no_more_pieces_wait_than_there_is_room_for(small: OnnxVocoder) -> None:
    vocoder = Watched(small)
    with contextlib.closing(decode_ahead(vocoder, [Mel(0, 400)], WINDOW, pieces=3)) as decoded:
        _, pieces = next(decoded)
        next(pieces)
        for _ in range(1 + 3 + 1):  # one is taken, three wait, and one has no room
            assert vocoder.decoded.acquire(timeout=30)
        assert not vocoder.decoded.acquire(timeout=0.3)
    assert decoders() == []


def test_short_mels_are_decoded_together_and_no_more_than_there_is_room_for(
    small: OnnxVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_TOGETHER_SAMPLES", 4 * small.samples(10))
    vocoder = Watched(small)
    decoded = decode_together(vocoder, [Mel(number, 10) for number in range(8)], WINDOW)
    next(decoded)
    assert vocoder.calls == 5
    for _ in range(4):
        next(decoded)
    assert vocoder.calls == 5
    next(decoded)
    assert vocoder.calls == 8


@pytest.mark.parametrize("decode", [decode_ahead, decode_together])
def test_a_bad_mel_fails_at_its_turn_and_what_nobody_takes_is_dropped(small: OnnxVocoder, decode: Any) -> None:
    mels = [Mel(0, 50), Mel(1, 90, bad=True), Mel(2, 70), Mel(3, 30)]
    found = []
    for mel, pieces in decode(small, mels, WINDOW):
        if mel.bad:
            assert len(next(pieces)) == WINDOW * 16
            with pytest.raises(BadMelError, match="mel 1 is bad"):
                list(pieces)
        elif mel.number == 2:
            next(pieces)  # its encoder failed
        else:
            found.append((mel.number, sum(map(len, pieces))))
    assert found == [(0, small.samples(50)), (3, small.samples(30))]


def test_an_error_of_what_lists_the_mels_is_raised(small: OnnxVocoder) -> None:
    def listed() -> Iterator[Mel]:
        yield MELS[0]
        raise LookupError("no more mels")

    decoded = decode_ahead(small, listed(), WINDOW)
    next(decoded)
    with pytest.raises(LookupError, match="no more mels"):
        next(decoded)
    assert decoders() == []
