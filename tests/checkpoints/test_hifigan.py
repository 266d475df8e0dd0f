from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from support.hifigans import CONFIGS, random_state
from support.paths import REFERENCE
from support.slow_layers import slow_generator

from pipeline.checkpoints.cached_hifigan import cached_hifigan
from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.checkpoint_file import generator_state
from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.errors import CheckpointError
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.windows import decode_windows

State = dict[str, NDArray[Any]]
Reference = dict[str, NDArray[np.float32]]

# Two correct float32 implementations of V1 differ by 1e-5 to 1e-4: tests/data/reference/README.md.
FLOAT32 = 1e-4


@pytest.fixture(scope="module")
def universal() -> Vocoder:
    return load_vocoder("hifigan-universal", threads=2)


@pytest.fixture(params=sorted(REFERENCE.glob("*.npz")), ids=lambda path: path.stem)
def reference(request: pytest.FixtureRequest) -> Reference:
    with np.load(request.param) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", ["universal", "ljspeech"])
def test_published_checkpoints_give_the_waveforms_of_the_original_code(reference: Reference, name: str) -> None:
    waveform = load_vocoder(f"hifigan-{name}", threads=2).decode(reference["mel"])
    assert np.abs(waveform - reference[name]).max() < FLOAT32


def test_windows_give_the_waveforms_of_the_original_code(universal: Vocoder, reference: Reference) -> None:
    mel = reference["mel"]
    pieces = decode_windows(universal, lambda start, stop: mel[:, start:stop], mel.shape[1], window=100)
    assert np.abs(np.concatenate(list(pieces)) - reference["universal"]).max() < FLOAT32


@pytest.mark.parametrize("name", ["V2", "V3", "odd"])
def test_model_equals_the_slow_generator(name: str) -> None:
    config = CONFIGS[name]
    state = random_state(config)
    mel = np.random.default_rng(1).normal(-1, 2, (config.num_mels, 9)).astype(np.float32)
    model = build_hifigan(state, config, "0" * 64)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    waveform = session.run(None, {"mel": mel[None]})[0][0]
    expected = slow_generator(state, config, mel)
    assert 0.05 < expected.std() < 0.9  # neither silent nor saturated, or the comparison would prove nothing
    assert waveform.shape == expected.shape == (9 * config.hop_size + read_card(model).extra_samples,)
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
def test_every_spelling_of_weight_norm_gives_the_same_bytes(spelling: str) -> None:
    state = random_state(CONFIGS["odd"])
    model = build_hifigan(state, CONFIGS["odd"], "0" * 64)
    other = build_hifigan(respell(state, spelling), CONFIGS["odd"], "0" * 64)
    assert other.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_left_over_keys_are_named() -> None:
    state = random_state(CONFIGS["odd"]) | {"resblocks.99.bias": np.zeros(1, np.float32)}
    with pytest.raises(CheckpointError, match=r"does not explain: resblocks\.99\.bias"):
        build_hifigan(state, CONFIGS["odd"], "")


def test_two_spellings_at_once_are_left_over_keys() -> None:
    state = random_state(CONFIGS["odd"])
    state["conv_pre.weight"] = state["conv_pre.weight_v"]
    with pytest.raises(CheckpointError, match=r"does not explain: conv_pre\.weight_g, conv_pre\.weight_v"):
        build_hifigan(state, CONFIGS["odd"], "")


@pytest.mark.parametrize("key", ["ups.1.weight_g", "ups.1.bias", "conv_post.weight_v"])
def test_missing_keys_are_named(key: str) -> None:
    state = random_state(CONFIGS["odd"])
    del state[key]
    with pytest.raises(CheckpointError, match=f"lacks {key}"):
        build_hifigan(state, CONFIGS["odd"], "")


def test_checkpoint_of_another_config_is_refused_with_both_shapes() -> None:
    with pytest.raises(CheckpointError, match=r"conv_pre.* \(128, .*floats \(256, "):
        build_hifigan(random_state(CONFIGS["V2"]), CONFIGS["V3"], "")


@pytest.mark.parametrize(("key", "value"), [("conv_pre.bias", np.nan), ("ups.0.weight_v", 0.0)])
def test_weights_that_are_not_finite_are_refused(key: str, value: float) -> None:
    state = random_state(CONFIGS["odd"])
    state[key] = np.full_like(state[key], value)
    with pytest.raises(CheckpointError, match="not finite"):
        build_hifigan(state, CONFIGS["odd"], "")


def test_model_carries_its_card() -> None:
    card = read_card(build_hifigan(random_state(CONFIGS["odd"]), CONFIGS["odd"], "ab" * 32))
    assert (card.family, card.spec, card.source) == ("hifigan", CONFIGS["odd"].mel_spec(), "ab" * 32)
    assert card.extra_samples == 6


@pytest.mark.parametrize(
    "content", [{}, {"generator": 1}, {"generator": {"a": 1}}, [], {"discriminator": {}}, {"model": {}}]
)
def test_file_without_a_generator_is_refused(content: Any) -> None:
    with pytest.raises(CheckpointError, match=r"here\.pth: there is no generator"):
        generator_state(content, "here.pth")


def test_missing_checkpoint_is_a_checkpoint_error(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(dataclasses.asdict(CONFIGS["odd"])))
    with pytest.raises(CheckpointError, match="cannot be read"):
        cached_hifigan(tmp_path / "none.pth", config)
