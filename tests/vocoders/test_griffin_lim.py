"""Griffin-Lim as a vocoder: the same samples in every window, and nearer to the mel than librosa's."""

import dataclasses
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
from support.librosa_griffin_lim import librosa_waveform
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.errors import ContractError
from pipeline.melspec import PRESETS, Normalization
from pipeline.vocoders.base import CompiledVocoder, Window
from pipeline.vocoders.griffin_lim import GriffinLim

HIFIGAN = PRESETS["hifigan-22k"]
HTK_16K = dataclasses.replace(
    HIFIGAN, sample_rate=16000, hop_length=200, win_length=800, n_mels=64, fmin=50.0, fmax=7600.0,
    mel_scale="htk", mel_norm="none", power=2, log="log10", floor=1e-10, framing="center", magnitude_eps=0.0,
    normalization=Normalization((-2.0,) * 64, (1.5,) * 64),
)  # fmt: skip
SPECS = {
    **{name: PRESETS[name] for name in ("hifigan-22k", "tacotron2-22k")},
    "16 kHz": HTK_16K,
    "hop 300": dataclasses.replace(HIFIGAN, n_fft=2048, hop_length=300, win_length=1200),
}


def speech(sample_rate, *names):
    waveform = np.concatenate([soundfile.read(PROMPTS / f"{name}.flac", dtype="float32")[0] for name in names])
    return soxr.resample(waveform, 16000, sample_rate)


def mel_distance(waveform, mel, spec):
    again = log_mel(waveform, spec)
    frames = min(again.shape[1], mel.shape[1])
    return float(np.mean(np.abs(again[:, :frames] - mel[:, :frames])))


@pytest.fixture(scope="module")
def mel():
    return log_mel(speech(22050, "ru_RU_f_IvrvoiceRU/demo-nomatch", "en_US_f_Allison/tt-weasels"), HIFIGAN)


def window_error(vocoder, mel, whole, start, stop, halo):
    """Largest difference [full scale] of frames start to stop, decoded with that halo, from those of the whole."""
    hop = vocoder.spec.hop_length
    first, last = max(0, start - halo[0]), min(mel.shape[1], stop + halo[1])
    made = vocoder.decode(mel[:, first:last], Window(first, last, start, stop, mel.shape[1]))
    return np.abs(made - whole[start * hop : stop * hop]).max()


def test_the_same_mel_gives_the_same_samples(mel):
    np.testing.assert_array_equal(GriffinLim(HIFIGAN).decode(mel), GriffinLim(HIFIGAN).decode(mel.copy(order="F")))


SAMPLES_IN_A_FRESH_PROCESS = """
import dataclasses, hashlib
import numpy as np
from pipeline.melspec import PRESETS
from pipeline.vocoders.griffin_lim import GriffinLim
wide = dict(sample_rate=44100, n_fft=2048, hop_length=512, win_length=2048, n_mels=80, fmax=22050.0)
for spec in (PRESETS["hifigan-22k"], dataclasses.replace(PRESETS["hifigan-22k"], **wide)):
    mel = np.random.default_rng(0).uniform(-11, 0, (80, 200)).astype(np.float32)
    print(hashlib.sha256(GriffinLim(spec, iterations=2).decode(mel).tobytes()).hexdigest())
"""


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"OPENBLAS_NUM_THREADS": "4"},
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL X86_V4"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_the_samples_depend_neither_on_threads_nor_on_what_numpy_makes_of_the_processor(elsewhere):
    command = [sys.executable, "-W", "ignore", "-c", SAMPLES_IN_A_FRESH_PROCESS]
    here, there = (
        subprocess.run(command, env={**os.environ, **more}, capture_output=True, check=True)
        for more in ({"OPENBLAS_NUM_THREADS": "1"}, elsewhere)
    )
    assert len(here.stdout.split()) == 2
    assert here.stdout == there.stdout


def test_prepare_compiles_all_that_decode_needs(mel, tmp_path, monkeypatch):
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path))
    monkeypatch.setattr("pipeline.kernels.recipe._loaded", {})
    vocoder = GriffinLim(HIFIGAN)
    assert isinstance(vocoder, CompiledVocoder)
    vocoder.prepare()
    made = {each.name for each in (tmp_path / "kernels").iterdir()}
    vocoder.decode(mel)
    assert made == {each.name for each in (tmp_path / "kernels").iterdir()} != set()


def test_another_position_gives_other_samples_of_the_same_mel(mel):
    vocoder = GriffinLim(HIFIGAN, iterations=2, updates=10)
    frames = mel.shape[1]
    later = vocoder.decode(mel, Window(1, frames + 1, 1, frames + 1, frames + 1))
    assert np.abs(later - vocoder.decode(mel)).max() > 0.01


def test_windows_of_a_mel_give_the_samples_of_the_whole(mel):
    vocoder = GriffinLim(HIFIGAN)
    whole = vocoder.decode(mel)
    assert vocoder.halo == (129, 98)
    for start, stop in ((0, 101), (101, 260), (260, 451), (451, mel.shape[1])):
        assert window_error(vocoder, mel, whole, start, stop, vocoder.halo) == 0


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_the_halo_is_as_large_as_it_must_be_and_no_larger(spec, iterations):
    vocoder = GriffinLim(spec, iterations=iterations, updates=10)
    left, right = vocoder.halo
    starts = range(60, 60 + PHASE_BLOCK)
    # The left halo is needed whole where a block begins at its end. Behind that block the speech is so quiet that the
    # tails of windows on the block's last frame are seen in it.
    last = next(start for start in starts if (start - left) % PHASE_BLOCK == 0) - left + PHASE_BLOCK - 1
    wave = speech(spec.sample_rate, "fr_CA_f_June/vm-sorry").copy()
    wave[(last + 2) * spec.hop_length : 110 * spec.hop_length] *= 1e-3
    mel = log_mel(wave, spec)
    whole = vocoder.decode(mel)
    assert max(window_error(vocoder, mel, whole, start, 110, (left, right)) for start in starts) == 0
    assert max(window_error(vocoder, mel, whole, start, 110, (left - 1, right)) for start in starts) > 0
    assert window_error(vocoder, mel, whole, 60, 110, (left, right - 1)) > 0


def test_a_sixth_of_the_halo_is_clearly_worse(mel):
    vocoder = GriffinLim(HIFIGAN)
    whole = vocoder.decode(mel)
    starts = (150, 250, 350, 450)
    assert max(window_error(vocoder, mel, whole, start, start + 60, (16, 16)) for start in starts) > 1e-3


@pytest.mark.parametrize(
    "name",
    [
        "en_US_f_Allison/privacy-prompt",
        "es_MX_f_Allison/queue-holdtime",
        "fr_CA_f_June/queue-youarenext",
        "it_IT_m_Carlo/demo-nomatch",
        "ru_RU_f_IvrvoiceRU/tt-weasels",
    ],
)
def test_it_is_nearer_to_the_mel_than_librosa_with_as_many_iterations(name):
    waveform = speech(22050, name)
    mel = log_mel(waveform, HIFIGAN)
    ours = mel_distance(GriffinLim(HIFIGAN).decode(mel), mel, HIFIGAN)
    assert ours < 0.08
    assert ours < 0.6 * mel_distance(librosa_waveform(mel, HIFIGAN), mel, HIFIGAN)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_it_vocodes_mels_of_any_spec(spec):
    waveform = speech(spec.sample_rate, "it_IT_m_Carlo/check-number-dial-again")
    mel = log_mel(waveform, spec)
    vocoder = GriffinLim(spec)
    audio = vocoder.decode(mel)
    assert audio.dtype == np.float32
    assert audio.shape == (vocoder.samples(mel.shape[1]),)
    scale = 1.0 if spec.normalization is None else spec.normalization.scale[0]
    natural = (
        mel_distance(audio, mel, spec) * scale / spec.log_scale / spec.power
    )  # in natural logarithms of magnitudes
    assert natural < 0.2


# Above what a mel keeps of speech it is lost in the floor: of the lower ones, 1e-7, more of a quiet prompt is left.
PRESET_BOUNDS = dict.fromkeys(PRESETS, 0.08) | {"f5-vocos-24k": 0.14, "vocos-24k": 0.19}


@pytest.mark.parametrize("name", PRESETS)
def test_copy_synthesis_by_every_preset_comes_back_near_the_mel(name):
    """In natural logarithms of magnitudes, whatever the preset's own units."""
    spec = PRESETS[name]
    mel = log_mel(speech(spec.sample_rate, "it_IT_m_Carlo/check-number-dial-again")[: 2 * spec.sample_rate], spec)
    audio = GriffinLim(spec).decode(mel)
    assert np.isfinite(audio).all()
    scale = 1.0 if spec.normalization is None else spec.normalization.scale[0]
    assert mel_distance(audio, mel, spec) * scale / spec.log_scale / spec.power < PRESET_BOUNDS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_windows_give_the_samples_of_the_whole_by_every_preset(name):
    spec = PRESETS[name]
    mel = log_mel(speech(spec.sample_rate, "fr_CA_f_June/vm-sorry")[: 2 * spec.sample_rate], spec)
    vocoder = GriffinLim(spec, iterations=1, updates=3)
    whole = vocoder.decode(mel)
    for start, stop in ((0, 50), (50, mel.shape[1])):
        assert window_error(vocoder, mel, whole, start, stop, vocoder.halo) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hop_length": 1024}, "win_length 1024 every hop_length 1024 samples leave samples between them"),
        ({"hop_length": 512, "win_length": 540}, "win_length 540 every hop_length 512 samples"),
        ({"fmin": 50.0, "fmax": 60.0, "n_mels": 2}, "from fmin 50 to fmax 60 Hz, lie between two bins .* 21.5332 Hz"),
    ],
)
def test_what_cannot_be_inverted_is_refused_in_words(changes, words):
    with pytest.raises(ContractError, match=f"griffin-lim cannot invert mels of this contract: .*{words}"):
        GriffinLim(dataclasses.replace(HIFIGAN, framing="center", **changes))


def test_frames_that_overlap_by_half_are_enough():
    spec = dataclasses.replace(HIFIGAN, hop_length=512)
    mel = log_mel(speech(22050, "fr_CA_f_June/vm-sorry")[:22050], spec)
    assert mel_distance(GriffinLim(spec).decode(mel), mel, spec) < 0.08


@pytest.mark.parametrize(("spec", "samples"), [(HIFIGAN, 256), (PRESETS["tacotron2-22k"], 0)], ids=["same", "center"])
def test_a_mel_of_one_frame_gives_a_hop_or_nothing(spec, samples):
    vocoder = GriffinLim(spec, iterations=2)
    assert vocoder.samples(1) == samples
    assert vocoder.decode(np.full((80, 1), -4, np.float32)).shape == (samples,)


@pytest.mark.parametrize("frames", [300, 2000])
@pytest.mark.parametrize("spec", [HIFIGAN, SPECS["hop 300"]], ids=["hop 256", "hop 300"])
def test_memory_is_what_decoding_takes_or_up_to_half_more(frames, spec):
    vocoder = GriffinLim(spec, iterations=2, updates=2)
    mel = np.full((80, frames), -4, np.float32)
    vocoder.decode(mel[:, :10])
    tracemalloc.start()
    vocoder.decode(mel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < vocoder.memory(frames) < 1.5 * peak


def test_the_digest_names_the_spec_and_the_parameters():
    same = GriffinLim(HIFIGAN)
    others = [
        GriffinLim(PRESETS["tacotron2-22k"]),
        GriffinLim(HIFIGAN, iterations=31),
        GriffinLim(HIFIGAN, updates=29),
        GriffinLim(dataclasses.replace(HIFIGAN, floor=1e-6)),
    ]
    assert same.digest == GriffinLim(HIFIGAN, iterations=32, updates=30).digest
    assert int(same.digest, 16) > 0
    assert len({same.digest, *(other.digest for other in others)}) == 5
