from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.slow_layers import slow_conv, slow_conv_transpose, slow_inputs

from pipeline.checkpoints.bigvgan import BigvganConfig, bigvgan_layers, build_bigvgan
from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import Generator
from pipeline.checkpoints.known_families import recognize
from pipeline.errors import CheckpointError, ConfigError
from pipeline.melspec import PRESETS
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder
from pipeline.vocoders.base import BatchVocoder

Plain = dict[str, Any]
State = dict[str, NDArray[Any]]

# configs/ of NVIDIA/BigVGAN.
BASE: Plain = {
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "activation": "snakebeta", "snake_logscale": True,
    "num_mels": 100, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 24000, "fmin": 0, "fmax": 12000,
}  # fmt: skip
FULL = BASE | {
    "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
}  # fmt: skip
SMALL = BASE | {
    "upsample_rates": [4, 2], "upsample_kernel_sizes": [9, 4], "upsample_initial_channel": 32, "num_mels": 6,
    "n_fft": 32, "hop_size": 8, "win_size": 32, "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 2], [2, 3]],
}  # fmt: skip
V2 = {"use_tanh_at_final": False, "use_bias_at_final": False}
CASES = {
    "v1": SMALL,
    "v2": SMALL | V2,
    "snake": SMALL | {"activation": "snake"},
    "linear": SMALL | {"snake_logscale": False} | V2,
    "linear snake, block 2": SMALL | {"snake_logscale": False, "activation": "snake", "resblock": "2"},
}


def layers_of(plain: Plain) -> Generator:
    return bigvgan_layers(HifiganConfig.from_dict(plain), BigvganConfig.from_dict(plain))


def activation_channels(plain: Plain) -> dict[str, int]:
    units = 2 if plain["resblock"] == "1" else 1
    branches, channels = len(plain["resblock_kernel_sizes"]), plain["upsample_initial_channel"]
    found = {"activation_post": channels >> len(plain["upsample_rates"])}
    for block in range(branches * len(plain["upsample_rates"])):
        for number in range(units * len(plain["resblock_dilation_sizes"][block % branches])):
            found[f"resblocks.{block}.activations.{number}"] = channels >> (1 + block // branches)
    return found


def random_state(plain: Plain) -> State:
    rng = np.random.default_rng(3)
    state: State = {}
    for layer in layers_of(plain).layers():
        size = (math.prod(layer.weight_shape[1:])) ** -0.5 if layer.rate is None else (layer.inputs * 2) ** -0.5
        state[f"{layer.name}.weight"] = rng.normal(0, size, layer.weight_shape).astype(np.float32)
        if layer.bias:
            state[f"{layer.name}.bias"] = rng.normal(0, 0.05, layer.outputs).astype(np.float32)
    state["conv_post.weight"] *= np.float32(0.07)  # for a tanh that is not full
    for name, channels in activation_channels(plain).items():
        for key in ("alpha", "beta")[: 1 if plain["activation"] == "snake" else 2]:
            values = rng.normal(0, 0.3, channels)
            state[f"{name}.act.{key}"] = (values if plain["snake_logscale"] else np.exp(values)).astype(np.float32)
        for key in ("upsample", "downsample.lowpass"):
            taps = np.kaiser(12, 4.66) * np.sinc((np.arange(12) - 5.5) / 2) + rng.normal(0, 0.01, 12)
            state[f"{name}.{key}.filter"] = (taps / taps.sum()).reshape(1, 1, 12).astype(np.float32)
    return state


# The generator of bigvgan.py and the activations of alias_free_activation/torch, slowly, in float64.


def slow_activation(state: State, plain: Plain, name: str, x: NDArray[Any]) -> Any:
    parameters = [
        state[f"{name}.act.{key}"].astype(np.float64) for key in ("alpha", "beta") if f"{name}.act.{key}" in state
    ]
    if plain["snake_logscale"]:
        parameters = [np.exp(each) for each in parameters]
    alpha, beta = parameters[0][:, None], parameters[-1][:, None]
    up, down = (state[f"{name}.{key}.filter"][0, 0].astype(np.float64) for key in ("upsample", "downsample.lowpass"))
    # UpSample1d: pad 5, conv_transpose1d of stride 2, times 2, 15 cut off on both sides.
    padded = np.pad(x, ((0, 0), (5, 5)), mode="edge")
    full = np.zeros((len(x), 2 * (padded.shape[1] - 1) + 12))
    for i in range(padded.shape[1]):
        full[:, 2 * i : 2 * i + 12] += 2 * padded[:, i : i + 1] * up
    doubled = full[:, 15:-15]
    assert doubled.shape[1] == 2 * x.shape[1]
    doubled = doubled + np.sin(alpha * doubled) ** 2 / (beta + 1e-9)
    # LowPassFilter1d: pad 5 and 6, conv1d of stride 2.
    padded = np.pad(doubled, ((0, 0), (5, 6)), mode="edge")
    return np.stack([padded[:, 2 * t : 2 * t + 12] @ down for t in range(x.shape[1])], axis=1)


def slow_bigvgan(state: State, plain: Plain, mel: NDArray[np.float32]) -> Any:
    def conv(name: str, x: NDArray[Any], dilation: int = 1) -> Any:
        weight = state[f"{name}.weight"].astype(np.float64)
        return slow_conv(x, weight, state.get(f"{name}.bias", np.zeros(len(weight))), dilation)

    x = conv("conv_pre", mel.astype(np.float64))
    count = len(plain["resblock_kernel_sizes"])
    for i, rate in enumerate(plain["upsample_rates"]):
        x = slow_conv_transpose(x, state[f"ups.{i}.0.weight"], state[f"ups.{i}.0.bias"], rate)
        total = np.zeros_like(x)
        for k in range(count):
            block, y = f"resblocks.{i * count + k}", x
            for j, dilation in enumerate(plain["resblock_dilation_sizes"][k]):
                if plain["resblock"] == "1":
                    inner = slow_activation(state, plain, f"{block}.activations.{2 * j}", y)
                    inner = conv(f"{block}.convs1.{j}", inner, dilation)
                    inner = slow_activation(state, plain, f"{block}.activations.{2 * j + 1}", inner)
                    y = y + conv(f"{block}.convs2.{j}", inner)
                else:
                    inner = slow_activation(state, plain, f"{block}.activations.{j}", y)
                    y = y + conv(f"{block}.convs.{j}", inner, dilation)
            total = total + y
        x = total / count
    x = conv("conv_post", slow_activation(state, plain, "activation_post", x))[0]
    return np.tanh(x) if plain.get("use_tanh_at_final", True) else np.clip(x, -1, 1)


def built(plain: Plain, state: State, folder: Path) -> Vocoder:
    assert recognize(state, "here").name == "bigvgan"
    path = folder / "bigvgan.onnx"
    path.write_bytes(build_bigvgan(state, Settings(plain, "config.json")).SerializeToString(deterministic=True))
    return load_vocoder(str(path), runtime="onnxruntime")


def random_mel(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(-1, 2, (SMALL["num_mels"], frames)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_model_equals_the_slow_generator(tmp_path: Path, name: str) -> None:
    state = random_state(CASES[name])
    vocoder = built(CASES[name], state, tmp_path)
    for frames in (1, 2, 11):
        expected = slow_bigvgan(state, CASES[name], random_mel(frames))
        waveform = vocoder.decode(random_mel(frames))
        assert frames < 11 or (expected.std() > 0.05 and np.mean(np.abs(expected) > 0.99) < 0.05)
        assert waveform.shape == expected.shape == (vocoder.samples(frames),)
        assert np.abs(waveform - expected).max() < 1e-5


@pytest.mark.parametrize(("plain", "halo"), [(BASE, (18, 18)), (FULL, (38, 38))], ids=["base", "full"])
def test_halo_of_the_published_generators_is_the_known_one(plain: Plain, halo: tuple[int, int]) -> None:
    assert layers_of(plain).halo() == halo


def slow_activation_inputs(outputs: set[int]) -> set[int]:
    """The positions on which an activation's outputs depend, tap by tap: down from the doubled rate, up to it."""
    doubled = {2 * t - 5 + tap for t in outputs for tap in range(12)}
    return {(n + 5 - tap) // 2 for n in doubled for tap in range(12) if (n + 5 - tap) % 2 == 0}


def test_halo_covers_every_sample_of_a_core_and_no_more() -> None:
    layers = layers_of(SMALL)
    positions = slow_activation_inputs(slow_inputs(layers.post, set(range(SMALL["hop_size"]))))
    for stage in reversed(layers.stages):
        found: set[int] = set()
        for branch in stage.branches:
            inner = positions
            for layer in reversed([layer for unit in branch for layer in unit]):
                inner = inner | slow_activation_inputs(slow_inputs(layer, inner))
            found |= inner
        positions = slow_inputs(stage.up, found)
    frames = slow_inputs(layers.pre, positions)
    assert layers.halo() == (-min(frames), max(frames))


def test_windows_give_the_samples_of_the_whole(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    mel = random_mel(150)
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], 150, window=20)
    assert np.abs(np.concatenate(list(pieces)) - vocoder.decode(mel)).max() < 1e-5


def test_a_batch_gives_the_samples_of_each(tmp_path: Path) -> None:
    vocoder = built(SMALL, random_state(SMALL), tmp_path)
    mels = np.stack([random_mel(30), random_mel(30)[::-1]])
    alone = np.stack([vocoder.decode(mel) for mel in mels])
    assert isinstance(vocoder, BatchVocoder)
    assert np.abs(vocoder.decode_batch(mels) - alone).max() < 1e-5 < np.abs(alone[0] - alone[1]).max()


def test_contract_is_the_configs() -> None:
    assert HifiganConfig.from_dict(BASE).mel_spec() == PRESETS["bigvgan-24k"]
    card = read_card(build_bigvgan(random_state(SMALL), Settings(SMALL), source="ab" * 32))
    assert (card.family, card.source, card.spec.hop_length, card.extra_samples) == ("bigvgan", "ab" * 32, 8, 2)


def test_checkpoint_with_the_cuda_kernels_option_is_the_same_model() -> None:
    plain = json.loads(json.dumps(SMALL | {"use_cuda_kernel": True}))
    state = random_state(SMALL)
    assert build_bigvgan(state, Settings(plain)) == build_bigvgan(state, Settings(SMALL))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("resblocks.1.activations.2.act.beta"), "lacks resblocks.1.activations.2.act.beta"),
        (lambda state: state.pop("activation_post.upsample.filter"), "lacks activation_post.upsample.filter"),
        (lambda state: state.update({"resblocks.0.activations.9.act.beta": np.ones(1)}), "does not explain: resblocks"),
        (lambda state: state.update({"activation_post.act.alpha": np.ones(3, np.float32)}), r"\(3,\).*floats \(8,\)"),
        (lambda state: state.update({"conv_post.bias": np.full(1, np.nan)}), "not finite .*conv_post.bias"),
    ],
)
def test_a_checkpoint_that_is_not_its_configs_is_refused(change: Any, words: str) -> None:
    state = random_state(SMALL)
    change(state)
    with pytest.raises(CheckpointError, match=words):
        build_bigvgan(state, Settings(SMALL))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "relu"}, "'relu'; it must be snake or snakebeta"),
        ({"activation": ["snake"]}, "must be snake or snakebeta"),
        ({"snake_logscale": 1}, "snake_logscale is 1; it must be true or false"),
        ({"use_tanh_at_final": "no"}, "use_tanh_at_final"),
    ],
)
def test_impossible_config_is_refused_in_words(changes: Plain, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_bigvgan(random_state(SMALL), Settings(SMALL | changes))


def test_config_without_its_own_keys_is_refused_with_their_names() -> None:
    hifigan = {key: value for key, value in SMALL.items() if key not in ("activation", "snake_logscale")}
    with pytest.raises(ConfigError, match=r"config\.json: .*activation, snake_logscale.*--config"):
        build_bigvgan(random_state(SMALL), Settings(hifigan, "config.json"))
