from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.families import CONFIGS, random_model
from support.native import write_native

from pipeline.errors import BadMelError, MelmillError
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.base import Window
from pipeline.vocoders.native_vocoder import NativeVocoder
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.windows import decode_mels, decode_windows, equal_windows, windows


@given(st.integers(0, 3000), st.integers(1, 700), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_cores_tile_the_mel_and_halos_lie_on_inner_sides_only(frames: int, window: int, halo: tuple[int, int]) -> None:
    found = windows(frames, window, halo)
    assert [frame for part in found for frame in range(part.core_start, part.core_stop)] == list(range(frames))
    for part in found:
        assert 0 < part.core_stop - part.core_start <= window
        assert part.start == max(0, part.core_start - halo[0])
        assert part.stop == min(frames, part.core_stop + halo[1])
        assert part.frames == frames


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
    vocoder, mel = load_vocoder(name, threads=2, runtime="onnxruntime"), mel[:, first : first + 100]
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


def test_decode_is_told_its_window_and_the_length_of_the_mel(
    small: OnnxVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mel = np.zeros((20, 100), np.float32)
    told: list[Window] = []
    plain = small.decode

    def decode(mel: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        told.append(window)
        return plain(mel, window)

    monkeypatch.setattr(small, "decode", decode)
    decoded(small, mel, window=50)
    left, right = small.halo
    assert told == [Window(0, 50 + right, 0, 50, 100), Window(50 - left, 100, 50, 100, 100)]


def test_a_core_is_cut_out_and_goes_to_the_end_of_the_waveform_if_it_ends_with_the_mel() -> None:
    waveform = np.arange(46, dtype=np.float32)  # frames 10 to 14 of 10 samples, and 6 more
    assert Window(10, 14, 12, 13, 20).core(waveform, 10).tolist() == list(range(20, 30))
    assert Window(10, 14, 12, 14, 14).core(waveform, 10).tolist() == list(range(20, 46))
    assert Window.whole(4).core(waveform, 10).tolist() == list(range(46))


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
    monkeypatch.setattr(small, "decode", lambda mel, window: np.zeros(7, np.float32))
    with pytest.raises(MelmillError, match="gave 7 samples for frames 0 to 100, not 1606"):
        list(decode_windows(small, lambda start, stop: np.zeros((20, stop - start), np.float32), 100))


@given(st.integers(0, 3000), st.integers(1, 700), st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_equal_windows_tile_the_mel_with_a_halo_or_a_true_end_on_both_sides(
    frames: int, window: int, halo: tuple[int, int]
) -> None:
    found = equal_windows(frames, window, halo)
    assert [frame for part in found for frame in range(part.core_start, part.core_stop)] == list(range(frames))
    assert {part.stop - part.start for part in found} <= {min(frames, window + sum(halo))}
    for part in found:
        assert part.core_start < part.core_stop
        assert part.start == 0 or part.core_start - part.start >= halo[0]
        assert part.stop == frames or part.stop - part.core_stop >= halo[1]
    assert [part.start for part in found] == sorted(part.start for part in found)


class Mel:
    """A random mel that remembers what was read of it."""

    def __init__(self, frames: int, fault: Exception | None = None) -> None:
        self.frames, self.fault = frames, fault
        self.values = np.random.default_rng(frames).normal(-1, 2, (20, frames)).astype(np.float32)
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        self.reads.append((start, stop))
        if self.fault is not None and start > 0:
            raise self.fault
        return self.values[:, start:stop]


@pytest.fixture
def batched(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[OnnxVocoder, list[int]]]:
    """The small vocoder on the CPU, made to take batches, and the sizes of those that it got."""

    def build(batch: int) -> tuple[OnnxVocoder, list[int]]:
        vocoder = OnnxVocoder(OnnxModel(small_model, batch=batch))
        sizes: list[int] = []
        plain = vocoder.decode_batch

        def decode_batch(mels: NDArray[np.float32]) -> NDArray[np.float32]:
            sizes.append(len(mels))
            return plain(mels)

        monkeypatch.setattr(vocoder, "decode_batch", decode_batch)
        return vocoder, sizes

    return build


Batched = Callable[[int], tuple[OnnxVocoder, list[int]]]


@pytest.mark.parametrize("batch", [2, 5, 16])
def test_batches_of_several_mels_equal_each_mel_alone(batched: Batched, small: OnnxVocoder, batch: int) -> None:
    vocoder, sizes = batched(batch)
    mels = [Mel(frames) for frames in (300, 41, 1, 512, 40, 33, 77, 300)]
    for mel, pieces in decode_mels(vocoder, mels, 24):
        found, alone = np.concatenate(list(pieces)), small.decode(mel.values)
        assert found.shape == alone.shape
        assert np.abs(found - alone).max() < 1e-5
    assert max(sizes) == batch
    windows_in_all = sum(len(equal_windows(mel.frames, 24, small.halo)) for mel in mels)
    assert sum(sizes) == windows_in_all
    assert len(sizes) < windows_in_all / batch + 5  # one for each length of the short mels, and a rest


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_gives_the_samples_of_the_whole_in_batches(family: str, tmp_path: Path) -> None:
    path = random_model(family, tmp_path / "random.onnx")
    vocoder = load_vocoder(str(path), runtime="onnxruntime", batch=8)
    mels = [Mel(frames) for frames in (400, 57, 130)]
    for mel, pieces in decode_mels(vocoder, mels, 32):
        found, whole = np.concatenate(list(pieces)), load_vocoder(str(path), runtime="onnxruntime").decode(mel.values)
        assert found.shape == whole.shape
        assert np.abs(whole).max() > 0.05
        assert np.abs(found - whole).max() < 1e-5


def test_the_universal_hifigan_in_batches_gives_its_samples(mel: NDArray[np.float32]) -> None:
    alone = load_vocoder("hifigan-universal", threads=2, runtime="onnxruntime").decode(mel[:, :60])
    vocoder = load_vocoder("hifigan-universal", threads=2, runtime="onnxruntime", batch=3)
    assert np.abs(decoded(vocoder, mel[:, :60], 16) - alone).max() < 1e-5


def test_a_window_that_is_not_full_is_decoded_as_it_is_and_not_padded(batched: Batched) -> None:
    vocoder, _ = batched(4)
    lengths: list[int] = []
    plain = vocoder.decode_batch
    vocoder.decode_batch = lambda mels: (lengths.append(mels.shape[2]), plain(mels))[1]  # type: ignore[method-assign]
    for _, pieces in decode_mels(vocoder, [Mel(30), Mel(200), Mel(31)], 24):
        list(pieces)
    assert set(lengths) == {30, 31, 24 + sum(vocoder.halo)}


def test_no_more_than_a_batch_is_read_ahead(batched: Batched) -> None:
    vocoder, _ = batched(4)
    taken: list[Mel] = []

    def mels() -> Iterator[Mel]:
        for _ in range(1000):
            taken.append(Mel(100))
            yield taken[-1]

    _, pieces = next(decode_mels(vocoder, mels(), 24))
    next(pieces)
    assert sum(len(mel.reads) for mel in taken) == 4
    assert len(taken) <= 5


def test_mels_of_other_lengths_do_not_make_it_read_ahead_without_end(batched: Batched) -> None:
    vocoder, _ = batched(4)
    taken: list[int] = []

    def mels() -> Iterator[Mel]:
        for frames in range(2, 40):
            taken.append(frames)
            yield Mel(frames)

    _, pieces = next(decode_mels(vocoder, mels(), 24))
    next(pieces)
    assert len(taken) <= 5


def test_what_goes_wrong_with_a_mel_is_raised_at_its_turn_and_the_others_are_whole(
    batched: Batched, small: OnnxVocoder
) -> None:
    vocoder, sizes = batched(16)
    broken, poisoned = Mel(200, BadMelError("its chunk is missing")), Mel(201)
    poisoned.values[3, 100] = np.nan
    mels, errors = [Mel(199), broken, poisoned, Mel(202)], []
    for mel, pieces in decode_mels(vocoder, mels, 24):
        try:
            found = np.concatenate(list(pieces))
        except BadMelError as error:
            errors.append((mel, str(error)))
            continue
        assert np.abs(found - small.decode(mel.values)).max() < 1e-5
    assert [mel for mel, _ in errors] == [broken, poisoned]
    assert errors[0][1] == "its chunk is missing"
    assert "NaN" in errors[1][1]
    assert max(sizes) > 1


def test_pieces_that_are_not_taken_do_not_disturb_the_next_mel(batched: Batched, small: OnnxVocoder) -> None:
    vocoder, _ = batched(3)
    mels = [Mel(150), Mel(151)]
    decoder = decode_mels(vocoder, mels, 24)
    next(next(decoder)[1])
    second = np.concatenate(list(next(decoder)[1]))
    assert np.abs(second - small.decode(mels[1].values)).max() < 1e-5


def test_a_batch_of_one_is_decoded_as_ever(small_model: Path) -> None:
    mel = Mel(100)
    list(decode_windows(OnnxVocoder(OnnxModel(small_model, batch=1)), mel.read, 100, 40))
    assert mel.reads == [(part.start, part.stop) for part in windows(100, 40, OnnxVocoder(OnnxModel(small_model)).halo)]
    assert equal_windows(100, 40, (3, 3))[0] == Window(0, 46, 0, 43, 100)


@pytest.fixture
def native(tmp_path: Path) -> NativeVocoder:
    return NativeVocoder(OnnxModel(write_native("hifigan", tmp_path / "small.onnx")))


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_give_the_samples_of_one_bit_for_bit(native: NativeVocoder, threads: int) -> None:
    frames = (300, 41, 1, 512, 40, 33, 77, 300)
    one, several = (
        [np.concatenate(list(pieces)) for _, pieces in decode_mels(native, map(Mel, frames), 24, each)]
        for each in (1, threads)
    )
    for ours, theirs in zip(several, one, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_threads_decode_at_once_and_the_mels_are_read_by_the_one_that_takes_the_pieces(
    native: NativeVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, together, readers = native.decode, threading.Barrier(2, timeout=20), set()

    def decode(mel: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        together.wait()
        return plain(mel, window)

    class Watched(Mel):
        def read(self, start: int, stop: int) -> NDArray[np.float32]:
            readers.add(threading.get_ident())
            return super().read(start, stop)

    monkeypatch.setattr(native, "decode", decode)
    for mel, pieces in decode_mels(native, [Watched(20), Watched(21), Watched(50)], 30, threads=2):
        np.testing.assert_array_equal(np.concatenate(list(pieces)), plain(mel.values))
    assert readers == {threading.get_ident()}


def test_threads_read_two_windows_each_ahead(native: NativeVocoder) -> None:
    taken: list[Mel] = []

    def mels() -> Iterator[Mel]:
        for _ in range(1000):
            taken.append(Mel(100))
            yield taken[-1]

    _, pieces = next(decode_mels(native, mels(), 60, threads=3))
    next(pieces)
    assert sum(len(mel.reads) for mel in taken) == 6
    assert len(taken) == 3


def test_what_goes_wrong_in_a_thread_is_raised_at_its_mels_turn(native: NativeVocoder) -> None:
    broken, poisoned = Mel(200, BadMelError("its chunk is missing")), Mel(201)
    poisoned.values[3, 100] = np.nan
    mels, errors = [Mel(199), broken, poisoned, Mel(202)], []
    for mel, pieces in decode_mels(native, mels, 24, threads=4):
        try:
            found = np.concatenate(list(pieces))
        except BadMelError as error:
            errors.append((mel, str(error)))
            continue
        np.testing.assert_array_equal(found, native.decode(mel.values))
    assert [mel for mel, _ in errors] == [broken, poisoned]
    assert errors[0][1] == "its chunk is missing"
    assert "NaN" in errors[1][1]
