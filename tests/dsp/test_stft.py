"""The STFT and its inverse, against librosa and against loops over frames."""

import dataclasses

import librosa
import numpy as np
import pytest
from support.numpy_stft import stft

from pipeline.dsp.stft import _add_overlapping, framed, istft, window
from pipeline.melspec import PRESETS

HIFIGAN = PRESETS["hifigan-22k"]
GEOMETRIES = [(1024, 256, 1024), (2048, 300, 1200), (512, 100, 400), (512, 128, 301)]  # n_fft, hop_length, win_length


def geometry(n_fft, hop_length, win_length):
    sizes = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length}
    return dataclasses.replace(HIFIGAN, **sizes, framing="center")


def noise(samples):
    return np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)


@pytest.mark.parametrize("sizes", GEOMETRIES)
def test_stft_is_that_of_librosa(sizes):
    spec, signal = geometry(*sizes), noise(9000)
    n_fft, hop_length, win_length = sizes
    wanted = librosa.stft(
        signal.astype(np.float64), n_fft=n_fft, hop_length=hop_length, win_length=win_length, center=False
    )
    got = stft(framed(signal, spec), spec).T
    assert got.dtype == np.complex64
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("sizes", GEOMETRIES)
def test_istft_of_an_stft_gives_the_signal_back(sizes):
    spec, signal = geometry(*sizes), noise(9000)
    spectrum = stft(framed(signal, spec), spec)
    back = istft([spectrum[:5], spectrum[5:6], spectrum[6:]], spec)
    inner = slice(spec.n_fft, len(back) - spec.n_fft)  # where every sample lies in several windows
    assert back.dtype == np.float32
    assert np.abs(back[inner] - signal[inner]).max() < 1e-6


def test_istft_has_the_length_that_its_frames_span():
    for frames in (1, 2, 7):
        spectrum = np.ones((frames, 1025), np.complex64)
        assert istft([spectrum], geometry(2048, 300, 1200)).shape == ((frames - 1) * 300 + 2048,)


@pytest.mark.parametrize("hop_length", [1, 3, 4, 5, 8, 12])
def test_overlap_add_is_the_sum_of_shifted_frames(hop_length):
    frames = np.random.default_rng(1).integers(-9, 9, (6, 12)).astype(np.float32)
    wanted = np.zeros(5 * hop_length + 12, np.float32)
    for t, frame in enumerate(frames):
        wanted[t * hop_length : t * hop_length + 12] += frame
    hops = np.zeros((6 + -(-12 // hop_length) - 1, hop_length), np.float32)
    _add_overlapping(frames[:4], hops)
    _add_overlapping(frames[4:], hops[4:])
    np.testing.assert_array_equal(hops.reshape(-1)[: len(wanted)], wanted)


def test_window_is_a_periodic_hann_window_centred_in_n_fft():
    hann = librosa.filters.get_window("hann", 301, fftbins=True)
    np.testing.assert_allclose(window(geometry(512, 128, 301)), librosa.util.pad_center(hann, size=512), atol=1e-7)


def test_window_is_shared_and_cannot_be_written():
    assert window(HIFIGAN) is window(HIFIGAN)
    with pytest.raises(ValueError, match="read-only"):
        window(HIFIGAN)[0] = 1
