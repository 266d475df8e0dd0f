from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.slow_layers import slow_conv, slow_conv_transpose, slow_frames, slow_inputs

from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.istftnet import IstftnetConfig, build_istftnet, istftnet_layers
from pipeline.checkpoints.known_families import recognize
from pipeline.errors import CheckpointError, ConfigError
from pipeline.melspec import PRESETS
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder

Plain = dict[str, Any]
State = dict[str, NDArray[Any]]

# config_v1.json of rishikksh20/iSTFTNet-pytorch.
V1: Plain = {
    "resblock": "1", "upsample_rates": [8, 8], "upsample_kernel_sizes": [16, 16], "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "gen_istft_n_fft": 16, "gen_istft_hop_size": 4, "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
    "sampling_rate": 22050, "fmin": 0, "fmax": 8000,
}  # fmt: skip
SMALL = V1 | {
    "upsample_rates": [2, 2], "upsample_kernel_sizes": [4, 4], "upsample_initial_channel": 16, "num_mels": 6,
    "n_fft": 64, "hop_size": 16, "win_size": 64, "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 2], [2, 3]],
}  # fmt: skip
CASES = {
    "quarter": SMALL,
    "half": SMALL | {"gen_istft_n_fft": 8},
    "eighth": SMALL | {"gen_istft_n_fft": 32, "upsample_rates": [2, 4], "hop_size": 32},
}


def random_state(plain: Plain) -> State:
    rng = np.random.default_rng(3)
    state: State = {}
    for layer in istftnet_layers(IstftnetConfig.from_dict(plain)).layers():
        size = 1.4 * (math.prod(layer.weight_shape[1:]) if layer.rate is None else 2 * layer.inputs) ** -0.5
        state[f"{layer.name}.weight"] = rng.normal(0, size, layer.weight_shape).astype(np.float32)
        state[f"{layer.name}.bias"] = rng.normal(0, 0.05, layer.outputs).astype(np.float32)
    state["conv_post.weight"] *= np.float32(0.3)  # a logarithm
    return state


def slow_istftnet(state: State, plain: Plain, mel: NDArray[np.float32]) -> Any:
    """models.py and stft.py (TorchSTFT: torch.istft, centred), in float64."""

    def conv(name: str, x: NDArray[Any], dilation: int = 1) -> Any:
        return slow_conv(x, state[f"{name}.weight"].astype(np.float64), state[f"{name}.bias"], dilation)

    def leaky(x: NDArray[Any], slope: float = 0.1) -> NDArray[Any]:
        return np.where(x > 0, x, slope * x)

    x = conv("conv_pre", mel.astype(np.float64))
    count = len(plain["resblock_kernel_sizes"])
    for i, rate in enumerate(plain["upsample_rates"]):
        x = slow_conv_transpose(leaky(x), state[f"ups.{i}.weight"], state[f"ups.{i}.bias"], rate)
        total = np.zeros_like(x)
        for k in range(count):
            block, y = f"resblocks.{i * count + k}", x
            for j, dilation in enumerate(plain["resblock_dilation_sizes"][k]):
                y = y + conv(f"{block}.convs2.{j}", leaky(conv(f"{block}.convs1.{j}", leaky(y), dilation)))
            total = total + y
        x = total / count
    x = conv("conv_post", np.pad(leaky(x, 0.01), ((0, 0), (1, 0)), mode="reflect"))
    n_fft, hop = plain["gen_istft_n_fft"], plain["gen_istft_hop_size"]
    spectrum = np.exp(x[: n_fft // 2 + 1]) * np.exp(1j * np.sin(x[n_fft // 2 + 1 :]))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    signal, envelope = np.zeros((2, (x.shape[1] - 1) * hop + n_fft))
    for t, column in enumerate(spectrum.T):
        signal[t * hop : t * hop + n_fft] += np.fft.irfft(column) * hann
        envelope[t * hop : t * hop + n_fft] += hann**2
    inside = slice(n_fft // 2, len(signal) - n_fft // 2)
    return signal[inside] / envelope[inside]


def built(plain: Plain, state: State, folder: Path) -> Vocoder:
    assert recognize(state, "here").name == "istftnet"
    path = folder / "istftnet.onnx"
    path.write_bytes(build_istftnet(state, Settings(plain, "config.json")).SerializeToString(deterministic=True))
    return load_vocoder(str(path))


def random_mel(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(-1, 2, (6, frames)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_model_equals_the_slow_generator_to_both_ends(tmp_path: Path, name: str) -> None:
    state = random_state(CASES[name])
    vocoder = built(CASES[name], state, tmp_path)
    for frames in (1, 2, 13):
        expected = slow_istftnet(state, CASES[name], random_mel(frames))
        assert expected.std() > 0.01
        waveform = vocoder.decode(random_mel(frames))
        assert waveform.shape == expected.shape == (frames * CASES[name]["hop_size"],)
        assert np.abs(waveform - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_halo_covers_every_sample_of_a_core_and_no_more(name: str) -> None:
    plain = CASES[name]
    layers = istftnet_layers(IstftnetConfig.from_dict(plain))
    assert layers.synthesis is not None
    hop = plain["hop_size"]
    # A position of the last layer sees its inputs one earlier: one is mirrored before them.
    places = slow_inputs(layers.synthesis, set(range(hop)))
    frames = [frame for place in places for frame in slow_frames(layers, place - 1)]
    assert layers.halo() == (-min(frames), max(frames))


def test_windows_give_the_samples_of_the_whole(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    mel = random_mel(120)
    whole = vocoder.decode(mel)
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], 120, window=25)
    assert np.abs(np.concatenate(list(pieces)) - whole).max() < 1e-5 * np.abs(whole).max()


def test_contract_is_the_configs() -> None:
    assert IstftnetConfig.from_dict(V1).mel_spec() == PRESETS["hifigan-22k"]
    assert istftnet_layers(IstftnetConfig.from_dict(V1)).samples(10) == 2560
    card = read_card(build_istftnet(random_state(SMALL), Settings(SMALL), source="ab" * 32))
    assert (card.family, card.source, card.spec.hop_length, card.extra_samples) == ("istftnet", "ab" * 32, 16, 0)
    assert card.istft is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gen_istft_n_fft": 18}, "gen_istft_n_fft is 18, gen_istft_hop_size is 4"),
        ({"gen_istft_n_fft": 0}, "gen_istft_n_fft is 0"),
        ({"gen_istft_hop_size": "4"}, "gen_istft_hop_size is '4'"),
        ({"gen_istft_n_fft": 32}, "16 samples of a frame, fewer than gen_istft_n_fft, 32"),
        ({"hop_size": 256}, "hop_size is 256"),
    ],
)
def test_impossible_config_is_refused_in_words(changes: Plain, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_istftnet(random_state(SMALL), Settings(SMALL | changes))


def test_config_of_hifigan_is_refused_with_the_names_of_what_it_lacks() -> None:
    hifigan = {key: value for key, value in SMALL.items() if not key.startswith("gen_")}
    with pytest.raises(ConfigError, match=r"config\.json: missing key gen_istft_n_fft, gen_istft_hop_size; give"):
        build_istftnet(random_state(SMALL), Settings(hifigan, "config.json"))


def test_a_checkpoint_that_is_not_its_configs_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"conv_post.weight is float32 \(18, 4, 7\).*\(10, 4, 7\)"):
        build_istftnet(random_state(SMALL), Settings(SMALL | {"gen_istft_n_fft": 8}))
