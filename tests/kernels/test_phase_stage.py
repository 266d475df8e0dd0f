"""The phase stage: that of plain numpy, by every preset; and the same bits for every target, from mel to waveform."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from support import numpy_phase
from support.frame_by_frame import mel_to_magnitude, reconstruct
from support.kernels import TARGETS
from support.numpy_stft import stft
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.dsp.phase_tables import overlap_of
from pipeline.dsp.stft import framed
from pipeline.kernels.phase_stage import Method, PhaseStage
from pipeline.melspec import PRESETS, MelSpec


def speech(spec: MelSpec) -> NDArray[np.float32]:
    recording = soundfile.read(PROMPTS / "it_IT_m_Carlo" / "vm-nobodyavail.flac", dtype="float32")[0]
    return soxr.resample(recording, 16000, spec.sample_rate)[: 2 * spec.sample_rate]


@pytest.mark.parametrize("method", ["fast-griffin-lim", "admm"])
@pytest.mark.parametrize("name", PRESETS)
def test_it_is_the_stage_of_plain_numpy(name: str, method: Method) -> None:
    spec = PRESETS[name]
    magnitude = np.abs(stft(framed(speech(spec), spec), spec)).T
    for iterations, first_frame in ((0, 0), (1, 70), (4, 0)):
        got, wanted = (
            stage(magnitude, spec, iterations, method, first_frame, 0.2)
            for stage in (reconstruct, numpy_phase.reconstruct)
        )
        noise = np.square(got - wanted).mean() / np.square(wanted).mean()
        assert 10 * np.log10(noise) < -70


@pytest.mark.parametrize("method", ["fast-griffin-lim", "admm"])
@pytest.mark.parametrize("name", ["hifigan-22k", "nemo-44k", "styletts2-24k"])
def test_the_samples_are_the_same_bits_for_every_target_from_the_mel_on(name: str, method: Method) -> None:
    spec = PRESETS[name]
    mel, found = log_mel(speech(spec), spec), set()
    for target in TARGETS:
        magnitude = mel_to_magnitude(mel, spec, 10, target)
        found.add((magnitude.tobytes(), reconstruct(magnitude, spec, 3, method, 0, 0.2, target).tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 32, 33])
def test_blocks_need_not_be_full(frames: int) -> None:
    spec = PRESETS["hifigan-22k"]
    magnitude = np.random.default_rng(frames).uniform(0, 1, (513, frames)).astype(np.float32)
    got = reconstruct(magnitude, spec, 2, "admm")
    wanted = numpy_phase.reconstruct(magnitude, spec, 2, "admm")
    np.testing.assert_allclose(got, wanted, atol=3e-3 * np.abs(wanted).max())


def test_silence_and_the_faintest_magnitudes_stay_finite() -> None:
    spec = PRESETS["hifigan-22k"]
    for level in (0.0, 1e-12, 1e-9, 1e9):
        samples = reconstruct(np.full((513, 40), level, np.float32), spec, 8, "admm", 0, 0.2)
        assert np.isfinite(samples).all()
        assert samples.any() == (level > 0)


def test_memory_grows_with_the_iterations_and_not_with_the_mel() -> None:
    stage = PhaseStage(overlap_of(PRESETS["hifigan-22k"]), 1, "admm", 0.2)
    few, more = (sum(stage.memory(iterations, 90).values()) * 4 for iterations in (16, 32))
    assert few < 5e6
    assert more < 9e6
