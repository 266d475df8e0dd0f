from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipeline.checkpoints.card import Card
from pipeline.checkpoints.files import generator_state
from pipeline.checkpoints.hifigan import build_hifigan, cached_hifigan
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.tensor_files import CheckpointError
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.windows import decode_windows

Configs = dict[str, HifiganConfig]
State = dict[str, NDArray[Any]]
RandomState = Callable[[HifiganConfig], State]
Reference = dict[str, NDArray[np.float32]]

# Two correct float32 implementations of V1 differ by 1e-5 to 1e-4: tests/data/reference/README.md.
FLOAT32 = 1e-4


@pytest.mark.parametrize("name", ["universal", "ljspeech"])
def test_published_checkpoints_give_the_waveforms_of_the_original_code(reference: Reference, name: str) -> None:
    waveform = load_vocoder(f"hifigan-{name}", threads=2).decode(reference["mel"])
    assert np.abs(waveform - reference[name]).max() < FLOAT32


def test_windows_give_the_waveforms_of_the_original_code(universal: Vocoder, reference: Reference) -> None:
    mel = reference["mel"]
    pieces = decode_windows(universal, lambda start, stop: mel[:, start:stop], mel.shape[1], window=100)
    assert np.abs(np.concatenate(list(pieces)) - reference["universal"]).max() < FLOAT32


# The generator of models.py, slowly and from the definitions, in float64.


def slow_conv(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], dilation: int = 1) -> Any:
    kernel, length = weight.shape[2], x.shape[1]
    padding = (kernel * dilation - dilation) // 2
    padded = np.pad(x, ((0, 0), (padding, padding)))
    taps = [weight[:, :, j] @ padded[:, j * dilation : j * dilation + length] for j in range(kernel)]
    return bias[:, None] + np.sum(taps, axis=0)


def slow_conv_transpose(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], rate: int) -> Any:
    kernel, length = weight.shape[2], x.shape[1]
    padding = (kernel - rate) // 2
    full = np.zeros((weight.shape[1], (length - 1) * rate + kernel))
    for i in range(length):
        full[:, i * rate : i * rate + kernel] += np.einsum("ijk,i->jk", weight, x[:, i])
    return bias[:, None] + full[:, padding : full.shape[1] - padding]


def slow_generator(state: State, config: HifiganConfig, mel: NDArray[np.float32]) -> Any:
    def weight(name: str) -> Any:
        g, v = (state[f"{name}.weight_{letter}"].astype(np.float64) for letter in "gv")
        return g * v / np.linalg.norm(v.reshape(len(v), -1), axis=1)[:, None, None]

    def conv(name: str, x: NDArray[Any], dilation: int = 1) -> Any:
        return slow_conv(x, weight(name), state[f"{name}.bias"], dilation)

    def leaky(x: NDArray[Any], slope: float = 0.1) -> NDArray[Any]:
        return np.where(x > 0, x, slope * x)

    x = conv("conv_pre", mel.astype(np.float64))
    count = len(config.resblock_kernel_sizes)
    for i, rate in enumerate(config.upsample_rates):
        x = slow_conv_transpose(leaky(x), weight(f"ups.{i}"), state[f"ups.{i}.bias"], rate)
        total = np.zeros_like(x)
        for k in range(count):
            block, y = f"resblocks.{i * count + k}", x
            for j, dilation in enumerate(config.resblock_dilation_sizes[k]):
                if config.resblock == "1":
                    y = y + conv(f"{block}.convs2.{j}", leaky(conv(f"{block}.convs1.{j}", leaky(y), dilation)))
                else:
                    y = y + conv(f"{block}.convs.{j}", leaky(y), dilation)
            total = total + y
        x = total / count
    return np.tanh(conv("conv_post", leaky(x, 0.01)))[0]


@pytest.mark.parametrize("name", ["V2", "V3", "odd"])
def test_model_equals_the_slow_generator(configs: Configs, random_state: RandomState, name: str) -> None:
    config = configs[name]
    state = random_state(config)
    mel = np.random.default_rng(1).normal(-1, 2, (config.num_mels, 9)).astype(np.float32)
    model = build_hifigan(state, config, "0" * 64)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    waveform = session.run(None, {"mel": mel[None]})[0][0]
    expected = slow_generator(state, config, mel)
    assert 0.05 < expected.std() < 0.9  # neither silent nor saturated, or the comparison would prove nothing
    assert waveform.shape == expected.shape == (9 * config.hop_size + Card.read(model).extra_samples,)
    assert np.abs(waveform - expected).max() < 1e-5


def respell(state: State, spelling: str) -> State:
    """The same weights, weight norm written in another way."""
    spelled = {}
    for key, value in state.items():
        name = key.removesuffix("_g").removesuffix("_v").removesuffix(".weight")
        if key.endswith("_g") and spelling == "plain":
            v = state[f"{name}.weight_v"].astype(np.float64)
            norm = np.sqrt(np.cumsum(np.square(v.reshape(len(v), -1)), axis=1)[:, -1])[:, None, None]
            spelled[f"{name}.weight"] = (value * v / norm).astype(np.float32)
        elif key.endswith(("_g", "_v")) and spelling == "parametrizations":
            spelled[f"{name}.parametrizations.weight.original{'gv'.index(key[-1])}"] = value
        elif not key.endswith("_v"):
            spelled[key] = value
    return spelled


@pytest.mark.parametrize("spelling", ["parametrizations", "plain"])
def test_every_spelling_of_weight_norm_gives_the_same_bytes(
    configs: Configs, random_state: RandomState, spelling: str
) -> None:
    state = random_state(configs["odd"])
    model = build_hifigan(state, configs["odd"], "0" * 64)
    other = build_hifigan(respell(state, spelling), configs["odd"], "0" * 64)
    assert other.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_left_over_keys_are_named(configs: Configs, random_state: RandomState) -> None:
    state = random_state(configs["odd"]) | {"resblocks.99.bias": np.zeros(1, np.float32)}
    with pytest.raises(CheckpointError, match=r"does not explain: resblocks\.99\.bias"):
        build_hifigan(state, configs["odd"], "")


def test_two_spellings_at_once_are_left_over_keys(configs: Configs, random_state: RandomState) -> None:
    state = random_state(configs["odd"])
    state["conv_pre.weight"] = state["conv_pre.weight_v"]
    with pytest.raises(CheckpointError, match=r"does not explain: conv_pre\.weight_g, conv_pre\.weight_v"):
        build_hifigan(state, configs["odd"], "")


@pytest.mark.parametrize("key", ["ups.1.weight_g", "ups.1.bias", "conv_post.weight_v"])
def test_missing_keys_are_named(configs: Configs, random_state: RandomState, key: str) -> None:
    state = random_state(configs["odd"])
    del state[key]
    with pytest.raises(CheckpointError, match=f"misses {key}"):
        build_hifigan(state, configs["odd"], "")


def test_checkpoint_of_another_config_is_refused_with_both_shapes(configs: Configs, random_state: RandomState) -> None:
    with pytest.raises(CheckpointError, match=r"conv_pre.* \(128, .*floats \(256, "):
        build_hifigan(random_state(configs["V2"]), configs["V3"], "")


@pytest.mark.parametrize(("key", "value"), [("conv_pre.bias", np.nan), ("ups.0.weight_v", 0.0)])
def test_weights_that_are_not_finite_are_refused(
    configs: Configs, random_state: RandomState, key: str, value: float
) -> None:
    state = random_state(configs["odd"])
    state[key] = np.full_like(state[key], value)
    with pytest.raises(CheckpointError, match="not finite"):
        build_hifigan(state, configs["odd"], "")


def test_model_carries_its_card(configs: Configs, random_state: RandomState) -> None:
    card = Card.read(build_hifigan(random_state(configs["odd"]), configs["odd"], "ab" * 32))
    assert (card.family, card.spec, card.source) == ("hifigan", configs["odd"].mel_spec(), "ab" * 32)
    assert card.extra_samples == 6


@pytest.mark.parametrize(
    "content", [{}, {"generator": 1}, {"generator": {"a": 1}}, [], {"discriminator": {}}, {"model": {}}]
)
def test_file_without_a_generator_is_refused(content: Any) -> None:
    with pytest.raises(CheckpointError, match=r"here\.pth: holds no generator"):
        generator_state(content, "here.pth")


def test_missing_checkpoint_is_a_checkpoint_error(configs: Configs, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(dataclasses.asdict(configs["odd"])))
    with pytest.raises(CheckpointError, match="cannot be read"):
        cached_hifigan(tmp_path / "none.pth", config)
