"""The phase stage: what it promises of mels, magnitudes, windows and lengths."""

import dataclasses

import numpy as np
import pytest
import soundfile
import soxr
from support.frame_by_frame import mel_to_magnitude, reconstruct
from support.numpy_stft import stft
from support.paths import PROMPTS

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel
from pipeline.dsp.phase import phase_halo
from pipeline.dsp.phase_tables import PHASE_BLOCK, random_phases
from pipeline.dsp.stft import framed
from pipeline.melspec import PRESETS

PROMPT = PROMPTS / "it_IT_m_Carlo" / "vm-nobodyavail.flac"
HIFIGAN = PRESETS["hifigan-22k"]
SPEECH = soxr.resample(soundfile.read(PROMPT, dtype="float32")[0], 16000, 22050)
MEL = log_mel(SPEECH, HIFIGAN)


def true_magnitude(spec=HIFIGAN):
    """`[bins, frames]` of the speech, as its mel's frames lie."""
    return np.abs(stft(framed(np.pad(SPEECH, spec.padding, mode="reflect"), spec), spec)).T


METHODS = ["fast-griffin-lim", "admm"]


def distance(audio, mel=MEL):
    again = log_mel(audio, HIFIGAN)
    return float(np.abs(again - mel[:, : again.shape[1]]).mean())


def apart(audio, magnitude):
    again = np.abs(stft(framed(np.pad(audio, 384), HIFIGAN), HIFIGAN)).T
    return np.linalg.norm(again - magnitude[:, : again.shape[1]]) / np.linalg.norm(magnitude)


def test_a_frame_starts_from_the_same_phases_in_every_window():
    magnitude = mel_to_magnitude(MEL, HIFIGAN, updates=5)
    whole = reconstruct(magnitude, HIFIGAN, iterations=0)
    window = reconstruct(magnitude[:, 50:100], HIFIGAN, iterations=0, first_frame=50)
    first = 64 + 3  # the first block that begins in the window, and what its first frames share with the one before
    np.testing.assert_array_equal(window[(first - 50) * 256 : 40 * 256], whole[first * 256 : 90 * 256])


def test_a_steady_sine_is_carried_on_at_its_own_frequency_within_a_block():
    hertz, frames = 1234.5, 3 * PHASE_BLOCK
    sine = np.sin(2 * np.pi * hertz / 22050 * np.arange((frames - 1) * 256 + 1024)).astype(np.float32)
    started = reconstruct(np.abs(stft(framed(sine, HIFIGAN), HIFIGAN)).T, HIFIGAN, iterations=0)
    block = started[(PHASE_BLOCK + 4) * 256 : (2 * PHASE_BLOCK - 4) * 256]
    peak = np.argmax(np.abs(np.fft.rfft(block * np.hanning(len(block)), 1 << 18))) / (1 << 18) * 22050
    assert abs(peak - hertz) < 1
    assert np.abs(block).max() == pytest.approx(1, abs=0.05)  # all frames add up: they are in phase


def test_phases_are_drawn_by_absolute_frame_and_bin():
    whole = random_phases(0, 5 * PHASE_BLOCK, 513)
    np.testing.assert_array_equal(random_phases(3 * PHASE_BLOCK, PHASE_BLOCK + 1, 513), whole[3:])
    angles = whole * 2.0**-32
    assert all(abs(np.corrcoef(angles[a], angles[b])[0, 1]) < 0.2 for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(("framing", "lost"), [("same", 0), ("center", 1)])
@pytest.mark.parametrize("sizes", [(1024, 256, 1024), (2048, 300, 1200)], ids=["hop 256", "hop 300"])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_audio_has_a_hop_for_each_frame_or_for_each_but_the_last(framing, lost, sizes, frames):
    names = ("n_fft", "hop_length", "win_length")
    spec = dataclasses.replace(HIFIGAN, framing=framing, **dict(zip(names, sizes, strict=True)))
    audio = reconstruct(np.ones((1 + sizes[0] // 2, frames), np.float32), spec, iterations=1)
    assert audio.dtype == np.float32
    assert audio.shape == ((frames - lost) * sizes[1],)


@pytest.mark.parametrize("method", METHODS)
def test_iterations_bring_the_audio_nearer_to_the_mel(method):
    flat = mel_to_magnitude(MEL, HIFIGAN, updates=30)
    few, more, most = (distance(reconstruct(flat, HIFIGAN, iterations, method)) for iterations in (4, 32, 100))
    assert more < 0.5 * few
    assert most < 0.75 * more


def test_the_mel_is_kept_and_the_magnitudes_are_only_a_start():
    flat = mel_to_magnitude(MEL, HIFIGAN, updates=30)
    assert distance(reconstruct(flat, HIFIGAN, 32)) < 0.08
    assert distance(reconstruct(flat, HIFIGAN, 32, anchor=1.0)) > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_an_anchor_keeps_magnitudes_that_are_right(method):
    true = true_magnitude()
    without, with_it = (apart(reconstruct(true, HIFIGAN, 16, method, anchor=anchor), true) for anchor in (0.0, 1.0))
    assert with_it < 0.7 * without


def test_bins_without_a_band_keep_their_level():
    magnitude = mel_to_magnitude(MEL, HIFIGAN, updates=10)
    above = slice(np.flatnonzero(mel_filterbank(HIFIGAN).any(axis=0))[-1] + 8, 505)
    magnitude[above] = 0.5
    audio = reconstruct(magnitude, HIFIGAN, 16)
    levels = np.abs(stft(framed(audio, HIFIGAN), HIFIGAN)).T[above]
    assert abs(20 * np.log10(np.sqrt((levels**2).mean()) / 0.5)) < 3


@pytest.mark.parametrize("spec", [HIFIGAN, PRESETS["tacotron2-22k"]], ids=["same", "center"])
@pytest.mark.parametrize(("iterations", "method"), [(0, METHODS[0]), (1, METHODS[0]), (3, METHODS[0]), (3, METHODS[1])])
def test_windows_equal_the_whole_at_the_halo_bit_for_bit_and_not_with_a_frame_less(spec, iterations, method):
    magnitude = true_magnitude(spec)
    whole = reconstruct(magnitude, spec, iterations, method, anchor=0.2)
    left, right = phase_halo(spec, iterations)
    stop = 150

    def error(start, left, right):
        first, last = start - left, stop + right
        window = reconstruct(magnitude[:, first:last], spec, iterations, method, first, anchor=0.2)
        return np.abs(window[left * 256 : (left + stop - start) * 256] - whole[start * 256 : stop * 256]).max()

    assert max(error(start, left, right) for start in range(100, 100 + PHASE_BLOCK)) == 0
    assert max(error(start, left - 1, right) for start in range(100, 100 + PHASE_BLOCK)) > 0
    assert error(100, left, right - 1) > 0


def test_silence_stays_below_80_decibels():
    silence = log_mel(np.zeros(8000, np.float32), HIFIGAN)
    assert np.abs(reconstruct(mel_to_magnitude(silence, HIFIGAN), HIFIGAN)).max() < 1e-4
