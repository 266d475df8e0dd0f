"""Lift with the weights that are shipped: the same samples in every window, and better than no net where it matters."""

import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import soundfile
import soxr
from numpy.typing import NDArray
from support.corpora import SPEC
from support.kernels import TARGETS
from support.numpy_stft import stft
from support.paths import PROMPTS

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel
from pipeline.dsp.net_magnitude import UPDATES, net_magnitude_blocks
from pipeline.dsp.phase import reconstruct_blocks
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.dsp.stft import framed
from pipeline.errors import BadMelError
from pipeline.melspec import PRESETS
from pipeline.vocoders import decode_windows, load_vocoder
from pipeline.vocoders.base import Window
from pipeline.vocoders.griffin_lim import GriffinLim
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.lift_net import LevelNet
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.registry import LIFTS

Mel = NDArray[np.float32]
LIFT_WEIGHTS = LIFTS["lift"][0]


def speech(*names: str) -> NDArray[np.float32]:
    waveform = np.concatenate([soundfile.read(PROMPTS / f"{name}.flac", dtype="float32")[0] for name in names])
    return soxr.resample(waveform, 16000, SPEC.sample_rate).astype(np.float32)


@pytest.fixture(scope="module")
def mel() -> Mel:
    return log_mel(speech("ru_RU_f_IvrvoiceRU/demo-nomatch", "en_US_f_Allison/tt-weasels"), SPEC)


@pytest.fixture(scope="module")
def lift() -> Lift:
    vocoder = load_vocoder("lift")
    assert isinstance(vocoder, Lift)
    return vocoder


@pytest.mark.parametrize(
    ("name", "preset", "teacher"),
    [
        ("lift", "hifigan-22k", "hifigan-universal"),
        ("lift-hq", "hifigan-22k", "hifigan-universal"),
        ("lift-speecht5-16k", "speecht5-16k", None),
    ],
)
def test_the_weights_are_small_and_say_what_they_were_made_from(name: str, preset: str, teacher: str | None) -> None:
    weights = LIFTS[name][0]
    assert weights.stat().st_size < 8e6
    card = OnnxModel(weights).card
    assert card.family == "lift"
    assert card.spec == PRESETS[preset]
    assert card.training is not None
    assert card.training["teacher"] == teacher
    assert str(card.training["steps"]) in weights.with_suffix(".md").read_text()
    licence = weights.with_name("LICENSE.md").read_text()
    assert "CC BY-SA 3.0" in licence
    assert f"`{weights.name}`" in licence


def test_speech_at_16_khz_is_kept_by_weights_of_its_own() -> None:
    spec = PRESETS["speecht5-16k"]
    recording = soundfile.read(PROMPTS / "it_IT_m_Carlo/check-number-dial-again.flac", dtype="float32")[0]
    mel = log_mel(recording, spec)
    made = load_vocoder("lift-speecht5-16k", PRESETS["espnet"]).decode(mel)
    natural = np.abs(log_mel(made, spec) - mel)[mel > -4] * np.log(10)
    assert natural.mean() < 0.11


def test_the_same_mel_gives_the_same_samples_and_the_length_it_promises(lift: Lift, mel: Mel) -> None:
    waveform = lift.decode(mel)
    assert waveform.dtype == np.float32
    assert waveform.shape == (lift.samples(mel.shape[1]),)
    np.testing.assert_array_equal(waveform, lift.decode(mel.copy(order="F")))
    np.testing.assert_array_equal(waveform, pickle.loads(pickle.dumps(lift)).decode(mel))  # noqa: S301


@pytest.mark.parametrize("window", [64, 200, 512])
def test_windows_at_the_halo_give_the_samples_of_the_whole_bit_for_bit(lift: Lift, mel: Mel, window: int) -> None:
    pieces = decode_windows(lift, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    np.testing.assert_array_equal(np.concatenate(list(pieces)), lift.decode(mel))


def test_mels_of_the_other_framing_are_taken_as_they_lie(lift: Lift) -> None:
    centered, recording = PRESETS["tacotron2-22k"], speech("ru_RU_f_IvrvoiceRU/demo-nomatch")
    mel = log_mel(recording, centered)
    vocoder = load_vocoder("lift", centered)
    assert vocoder is load_vocoder("lift", centered)
    assert vocoder.digest not in (lift.digest, load_vocoder("lift-hq", centered).digest)
    assert {each.remedy for each in centered.compare(vocoder.spec)} == {"negligible"}
    whole = vocoder.decode(mel)
    assert len(whole) == (mel.shape[1] - 1) * 256
    assert np.abs(log_mel(whole, centered) - mel)[:, 2:-2].mean() < 0.11
    np.testing.assert_array_equal(whole, pickle.loads(pickle.dumps(vocoder)).decode(mel))  # noqa: S301
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], 100)
    np.testing.assert_array_equal(np.concatenate(list(pieces)), whole)
    # In place: speech, and the envelope of what was made of it, rise and fall together.
    envelopes = [
        np.sqrt(np.square(each[: len(whole) // 64 * 64]).reshape(-1, 64).mean(axis=1)) for each in (recording, whole)
    ]
    lags = [np.corrcoef(np.roll(envelopes[1], lag), envelopes[0])[0, 1] for lag in range(-4, 5)]
    assert np.argmax(lags) == 4


@pytest.mark.parametrize(("name", "updates"), [("lift", 0), ("lift-speecht5-16k", UPDATES)])
def test_magnitudes_of_predicted_mels_are_not_updated_if_the_net_was_trained_for_that(name: str, updates: int) -> None:
    """The weights for SpeechT5 were trained before."""
    model = OnnxModel(LIFTS[name][0])
    spec = model.card.spec
    mel = log_mel(speech("ru_RU_f_IvrvoiceRU/demo-nomatch"), spec)[:, :60]
    levels = LevelNet(model).levels(mel)
    blocks = net_magnitude_blocks(levels, spec, 0, updates=updates)
    wanted = reconstruct_blocks(blocks, 60, spec, 3, "admm", 0, 0.2)
    recorded = load_vocoder(name, spec)
    predicted = load_vocoder(name, spec, mels="predicted")
    np.testing.assert_array_equal(predicted.decode(mel), wanted)
    assert predicted.digest != recorded.digest
    pieces = decode_windows(predicted, lambda start, stop: mel[:, start:stop], 60, 32)
    np.testing.assert_array_equal(np.concatenate(list(pieces)), wanted)


def test_a_tenth_of_the_halo_is_not_enough(lift: Lift, mel: Mel) -> None:
    whole, (left, right) = lift.decode(mel), (lift.halo[0] // 10, lift.halo[1] // 10)
    assert lift.halo[0] == 3 * lift.iterations + 2 + PHASE_BLOCK - 1 + OnnxModel(LIFT_WEIGHTS).card.halo[0]
    window = Window(200 - left, 300 + right, 200, 300, mel.shape[1])
    made = lift.decode(mel[:, window.start : window.stop], window)
    assert np.abs(made - whole[200 * 256 : 300 * 256]).max() > 1e-3


def test_one_frame_and_silence_are_vocoded(lift: Lift) -> None:
    assert lift.decode(np.full((80, 1), -4, np.float32)).shape == (256,)
    assert np.abs(lift.decode(log_mel(np.zeros(8000, np.float32), SPEC))).max() < 1e-3


@pytest.mark.parametrize("value", [-1e6, 100.0])
def test_values_that_no_waveform_has_still_give_finite_audio(lift: Lift, value: float) -> None:
    assert np.isfinite(lift.decode(np.full((80, 5), value, np.float32))).all()


def test_nan_is_refused(lift: Lift) -> None:
    with pytest.raises(BadMelError, match="NaN"):
        lift.decode(np.full((80, 5), np.nan, np.float32))


@pytest.mark.parametrize("frames", [300, 2000])
def test_memory_covers_what_the_net_and_the_phase_stage_take(lift: Lift, frames: int) -> None:
    mel = np.full((80, frames), -4, np.float32)
    lift.decode(mel[:, :10])
    tracemalloc.start()
    lift.decode(mel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < lift.memory(frames) < 1.5 * peak
    assert 5e6 < lift.shared_memory < 7e6


def test_the_same_mel_gives_the_same_samples_in_the_code_of_every_processor(
    lift: Lift, mel: Mel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = lift.decode(mel[:, :200])
    for target in TARGETS[1:]:
        monkeypatch.setenv("MELMILL_KERNELS", target.cpu)
        made = Lift(OnnxModel(LIFT_WEIGHTS), "lift", lift.iterations)
        assert made.digest == lift.digest
        np.testing.assert_array_equal(made.decode(mel[:, :200]), wanted)


def test_prepare_compiles_all_that_decoding_needs(
    lift: Lift, mel: Mel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path))
    program = "import sys; from pipeline.vocoders import load_vocoder; load_vocoder('lift').prepare()"
    subprocess.run([sys.executable, "-c", program], check=True)
    made = {each.name for each in (tmp_path / "kernels").iterdir()}
    decode = (
        "import numpy as np; from pipeline.vocoders import load_vocoder as v; v('lift').decode(np.zeros((80, 50), 'f'))"
    )
    subprocess.run([sys.executable, "-c", decode], check=True)
    assert made == {each.name for each in (tmp_path / "kernels").iterdir()} != set()


def mel_error(waveform: NDArray[np.float32], clean: Mel) -> float:
    again = log_mel(waveform, SPEC)
    return float(np.abs(again - clean[:, : again.shape[1]]).mean())


def test_it_keeps_a_clean_mel(lift: Lift, mel: Mel) -> None:
    assert mel_error(lift.decode(mel), mel) < 0.11


def test_it_is_nearer_to_the_clean_mel_than_no_net_where_the_mel_was_smoothed(lift: Lift, mel: Mel) -> None:
    smoothed = scipy.ndimage.uniform_filter(mel, 3, mode="nearest")
    without = mel_error(GriffinLim(SPEC, iterations=lift.iterations).decode(smoothed), mel)
    assert mel_error(lift.decode(smoothed), mel) < 0.93 * without


def test_the_band_above_the_mel_is_not_silent(lift: Lift, mel: Mel) -> None:
    above = np.flatnonzero(mel_filterbank(SPEC).any(axis=0))[-1] + 4
    power = (np.abs(stft(framed(lift.decode(mel), SPEC), SPEC)) ** 2).mean(axis=0)
    taught = (np.abs(stft(framed(load_vocoder("hifigan-universal", threads=2).decode(mel), SPEC), SPEC)) ** 2).mean(
        axis=0
    )
    apart = 10 * np.log10(power[above:500].mean() / taught[above:500].mean())
    assert abs(apart) < 3
