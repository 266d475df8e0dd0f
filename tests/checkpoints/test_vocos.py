from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from support.slow_layers import slow_conv

from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.istft import Istft
from pipeline.checkpoints.known_families import recognize
from pipeline.checkpoints.model_card import KEY
from pipeline.checkpoints.vocos import build_vocos
from pipeline.checkpoints.vocos_config import VocosConfig
from pipeline.dsp.filterbank import mel_filterbank
from pipeline.errors import BadMelError, CheckpointError, ConfigError, MelmillError
from pipeline.melspec import PRESETS
from pipeline.vocoders import decode_windows, load_vocoder
from pipeline.vocoders.istft_vocoder import IstftVocoder
from pipeline.vocoders.onnx_model import OnnxModel

Plain = dict[str, Any]
State = dict[str, NDArray[Any]]


def config(padding: str, dim: int, inner: int, layers: int, n_fft: int, hop: int, n_mels: int) -> Plain:
    """As the config.yaml of charactr/vocos-mel-24khz."""
    features = {"sample_rate": 24000, "n_fft": n_fft, "hop_length": hop, "n_mels": n_mels, "padding": padding}
    backbone = {"input_channels": n_mels, "dim": dim, "intermediate_dim": inner, "num_layers": layers}
    head = {"dim": dim, "n_fft": n_fft, "hop_length": hop, "padding": padding}
    return {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures", "init_args": features
        },
        "backbone": {"class_path": "vocos.models.VocosBackbone", "init_args": backbone},
        "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": head},
    }  # fmt: skip


SMALL = config("center", 24, 40, 2, 64, 16, 6)
SAME = config("same", 24, 40, 2, 64, 16, 6)
MEL_24K = config("center", 512, 1536, 8, 1024, 256, 100)


def settings(plain: Plain) -> Settings:
    return Settings(plain, "config.yaml")


def random_state(plain: Plain) -> State:
    rng = np.random.default_rng(4)
    wanted = VocosConfig.of(settings(plain))
    dim, inner, bins = wanted.dim, wanted.intermediate_dim, 1 + wanted.istft.n_fft // 2
    shapes = {"embed": (dim, wanted.input_channels, 7), "norm": (dim,), "final_layer_norm": (dim,)}
    for number in range(wanted.num_layers):
        block = f"convnext.{number}"
        shapes |= {f"{block}.dwconv": (dim, 1, 7), f"{block}.norm": (dim,), f"{block}.gamma": (dim,)}
        shapes |= {f"{block}.pwconv1": (inner, dim), f"{block}.pwconv2": (dim, inner)}
    state: State = {}
    for name, shape in {
        **{f"backbone.{name}": shape for name, shape in shapes.items()},
        "head.out": (2 * bins, dim),
    }.items():
        if name.endswith("gamma"):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
            continue
        near = 1.0 if name.endswith("norm") else 0.0
        state[f"{name}.weight"] = (near + rng.normal(0, math.prod(shape[1:]) ** -0.5 / (1 + 4 * near), shape)).astype(
            np.float32
        )
        state[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(wanted.istft.n_fft) / wanted.istft.n_fft)
    state["head.istft.window"] = state["feature_extractor.mel_spec.spectrogram.window"] = hann.astype(np.float32)
    state["feature_extractor.mel_spec.mel_scale.fb"] = mel_filterbank(wanted.features).T
    return state


# The modules of vocos/models.py, modules.py, heads.py and spectral_ops.py, slowly, in float64.


def slow_vocos(state: State, plain: Plain, mel: NDArray[np.float32]) -> Any:
    weights = {name: values.astype(np.float64) for name, values in state.items()}

    def norm(name: str, x: NDArray[Any]) -> Any:
        centred = x - x.mean(axis=0)
        scaled = centred / np.sqrt(np.mean(centred**2, axis=0) + 1e-6)
        return scaled * weights[f"{name}.weight"][:, None] + weights[f"{name}.bias"][:, None]

    def linear(name: str, x: NDArray[Any]) -> Any:
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"][:, None]

    x = norm("backbone.norm", slow_conv(mel, weights["backbone.embed.weight"], weights["backbone.embed.bias"]))
    for number in range(plain["backbone"]["init_args"]["num_layers"]):
        block = f"backbone.convnext.{number}"
        depthwise, bias = weights[f"{block}.dwconv.weight"], weights[f"{block}.dwconv.bias"]
        y = np.concatenate([slow_conv(x[c : c + 1], depthwise[c : c + 1], bias[c : c + 1]) for c in range(len(x))])
        y = linear(f"{block}.pwconv1", norm(f"{block}.norm", y))
        y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
        x = x + weights[f"{block}.gamma"][:, None] * linear(f"{block}.pwconv2", y)
    magnitude, phase = np.split(linear("head.out", norm("backbone.final_layer_norm", x)), 2)
    return slow_istft(np.minimum(np.exp(magnitude), 100) * np.exp(1j * phase), plain["head"]["init_args"])


def slow_istft(spectrum: NDArray[Any], head: Plain) -> Any:
    n_fft, hop = head["n_fft"], head["hop_length"]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    signal, envelope = np.zeros((2, (spectrum.shape[1] - 1) * hop + n_fft))
    for t, column in enumerate(spectrum.T):
        signal[t * hop : t * hop + n_fft] += np.fft.irfft(column) * hann
        envelope[t * hop : t * hop + n_fft] += hann**2
    cut = n_fft // 2 if head["padding"] == "center" else (n_fft - hop) // 2
    return signal[cut : len(signal) - cut] / envelope[cut : len(signal) - cut]


def built(plain: Plain, state: State, folder: Path) -> IstftVocoder:
    assert recognize(state, "here").name == "vocos"
    path = folder / "vocos.onnx"
    path.write_bytes(build_vocos(state, settings(plain)).SerializeToString(deterministic=True))
    vocoder = load_vocoder(str(path))
    assert isinstance(vocoder, IstftVocoder)
    return vocoder


def random_mel(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(-4, 2, (6, frames)).astype(np.float32)


@pytest.mark.parametrize("plain", [SMALL, SAME, config("center", 24, 40, 2, 64, 32, 6)], ids=["center", "same", "half"])
def test_waveform_equals_the_slow_modules(tmp_path: Path, plain: Plain) -> None:
    state = random_state(plain)
    vocoder = built(plain, state, tmp_path)
    for frames in (2, 3, 300):
        expected = slow_vocos(state, plain, random_mel(frames))
        assert expected.std() > 0.05
        assert vocoder.decode(random_mel(frames)).shape == expected.shape == (vocoder.samples(frames),)
        assert np.abs(vocoder.decode(random_mel(frames)) - expected).max() < 1e-5


def test_loud_magnitudes_are_clipped(tmp_path: Path) -> None:
    state = random_state(SMALL)
    state["head.out.bias"][:33] += 4.5
    expected = slow_vocos(state, SMALL, random_mel(40))
    assert np.abs(built(SMALL, state, tmp_path).decode(random_mel(40)) - expected).max() < 1e-5 * np.abs(expected).max()
    state["head.out.bias"][:33] += 10
    assert np.abs(slow_vocos(state, SMALL, random_mel(40))).max() < 3 * np.abs(expected).max()  # the bound was met


@pytest.mark.parametrize("plain", [SMALL, SAME], ids=["center", "same"])
def test_windows_are_those_of_the_whole_to_the_bit_and_not_with_a_frame_less(tmp_path: Path, plain: Plain) -> None:
    vocoder, mel = built(plain, random_state(plain), tmp_path), random_mel(300)
    whole = vocoder.decode(mel)

    def windowed(halo: tuple[int, int]) -> Any:
        vocoder.halo = halo
        return np.concatenate(list(decode_windows(vocoder, lambda start, stop: mel[:, start:stop], 300, window=37)))

    left, right = vocoder.halo
    assert windowed((left, right)).shape == whole.shape
    assert np.abs(windowed((left, right)) - whole).max() < 1e-6
    assert np.abs(windowed((left - 1, right)) - whole).max() > 1e-5
    assert np.abs(windowed((left, right - 1)) - whole).max() > 1e-5


@pytest.mark.parametrize(("padding", "halo"), [("center", (28, 29)), ("same", (29, 29))])
def test_halo_of_the_published_shape_is_the_known_one(padding: str, halo: tuple[int, int]) -> None:
    istft = Istft(1024, 256, padding)  # type: ignore[arg-type]
    assert tuple(27 + reach for reach in istft.halo) == halo


@pytest.mark.parametrize(
    "istft", [Istft(64, 16, "center"), Istft(64, 16, "same"), Istft(64, 32, "center"), Istft(66, 20, "same")]
)
def test_reach_of_the_inverse_transform_is_found_frame_by_frame(istft: Istft) -> None:
    covering = [
        frame
        for frame in range(-20, 20)
        for sample in range(istft.hop)
        if 0 <= sample - (frame * istft.hop - istft.cut) < istft.n_fft
    ]
    assert istft.halo == (-min(covering), max(covering))


def test_contract_and_lengths_are_those_of_the_preset() -> None:
    wanted = VocosConfig.of(settings(MEL_24K))
    assert wanted.features == PRESETS["vocos-24k"]
    assert [wanted.istft.samples(frames) for frames in (1, 2, 100)] == [0, 256, 99 * 256]


def test_a_batch_gives_the_samples_of_each(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    mels = np.stack([random_mel(30), random_mel(30)[::-1]])
    alone = np.stack([vocoder.decode(mel) for mel in mels])
    assert np.abs(vocoder.decode_batch(mels) - alone).max() < 1e-5 < np.abs(alone[0] - alone[1]).max()


def test_a_vocoder_travels_without_its_weights(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    sent = pickle.dumps(vocoder)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).decode(random_mel(9)), vocoder.decode(random_mel(9)))  # noqa: S301
    assert pickle.loads(sent).digest == vocoder.digest != OnnxModel(tmp_path / "vocos.onnx").digest  # noqa: S301


def test_a_mel_of_one_frame_has_no_samples_and_one_of_none_is_refused(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    assert vocoder.decode(random_mel(1)).shape == (0,)
    with pytest.raises(BadMelError):
        vocoder.decode(random_mel(0))


def changed(plain: Plain, section: str, key: str, value: Any) -> Plain:
    plain = copy.deepcopy(plain)
    plain[section]["init_args"][key] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (
            SMALL | {"head": {"class_path": "vocos.heads.IMDCTCosHead"}},
            "IMDCTCosHead'; melmill reads only",
        ),
        (SMALL | {"backbone": None}, "config.yaml has no backbone"),
        (changed(SMALL, "backbone", "adanorm_num_embeddings", 4), "adaptive layer norm"),
        (changed(SMALL, "backbone", "dim", 0), "dim is 0; it must be a whole number"),
        (changed(SMALL, "backbone", "num_layers", 10**9), "num_layers is 1000000000"),
        (changed(SMALL, "backbone", "input_channels", 7), "input_channels is 7; another part of the config says 6"),
        (changed(SMALL, "backbone", "layer_scale_init_value", "a"), "layer_scale_init_value is 'a'"),
        (changed(SMALL, "head", "dim", 7), "head.dim is 7"),
        (changed(SMALL, "head", "hop_length", 8), "hop_length is 16; another part of the config says 8"),
        (changed(SMALL, "head", "padding", ["same"]), "must be same or center"),
        (changed(SMALL, "head", "n_fft", 30), "n_fft 30, hop 16"),
    ],
)
def test_impossible_config_is_refused_in_words(plain: Plain, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_vocos(random_state(SMALL), settings(plain))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("backbone.convnext.1.gamma"), "lacks backbone.convnext.1.gamma"),
        (
            lambda state: state.update({"backbone.convnext.2.gamma": np.ones(24)}),
            "does not explain: backbone.conv",
        ),
        (lambda state: state["head.istft.window"].fill(1), "head.istft.window .* differs from that of its config"),
        (lambda state: state.update({"feature_extractor.mel_spec.mel_scale.fb": np.ones((33, 6))}), "with other mels"),
    ],
)
def test_a_checkpoint_that_is_not_its_configs_is_refused(change: Any, words: str) -> None:
    state = random_state(SMALL)
    change(state)
    with pytest.raises(CheckpointError, match=words):
        build_vocos(state, settings(SMALL))


def test_blocks_without_a_scale_are_read(tmp_path: Path) -> None:
    plain = changed(SMALL, "backbone", "layer_scale_init_value", -1.0)
    state = random_state(SMALL)
    ones = state | {name: np.ones_like(values) for name, values in state.items() if name.endswith("gamma")}
    bare = {name: values for name, values in state.items() if not name.endswith("gamma")}
    found = built(plain, bare, tmp_path).decode(random_mel(20))
    assert np.abs(found - slow_vocos(ones, SMALL, random_mel(20))).max() < 1e-5


@pytest.mark.parametrize(
    ("istft", "words"),
    [
        ({"n_fft": 64, "hop": 16}, "does not describe a transform"),
        ({"n_fft": 64, "hop": 16, "padding": "no"}, "does not describe a transform"),
        ({"n_fft": 64, "hop": 0, "padding": "same"}, "hop 0"),
        ({"n_fft": 32, "hop": 16, "padding": "same"}, r"give spectrum \[batch, 2, frames, 17\]"),
        ({"n_fft": 64, "hop": 8, "padding": "center"}, "hop of 8 samples.* of 16"),
        ("no", "damaged"),
    ],
)
def test_a_card_with_another_transform_than_the_models_is_refused(tmp_path: Path, istft: Any, words: str) -> None:
    model = build_vocos(random_state(SMALL), settings(SMALL))
    plain = json.loads(next(entry.value for entry in model.metadata_props if entry.key == KEY))
    onnx.helper.set_model_props(model, {KEY: json.dumps(plain | {"istft": istft})})
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match=words):
        load_vocoder(str(path))


def test_a_card_keeps_its_transform() -> None:
    card = read_card(build_vocos(random_state(SAME), settings(SAME)))
    assert card.istft == Istft(64, 16, "same")
    assert (card.extra_samples, card.family) == (0, "vocos")


def test_a_spectrum_of_another_length_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    monkeypatch.setattr(OnnxModel, "run", lambda self, mel, name: np.zeros((1, 2, 8, 33), np.float32))
    with pytest.raises(MelmillError, match=r"9 frames gave a spectrum of shape \(2, 8, 33\), not \(2, 9, 33\)"):
        vocoder.decode(random_mel(9))
