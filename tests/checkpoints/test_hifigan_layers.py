from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.hifigans import CONFIGS
from support.slow_layers import slow_frames

from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import generator
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS


@pytest.mark.parametrize(("name", "halo"), [("V1", (13, 13)), ("V2", (13, 13)), ("V3", (11, 11))])
def test_halo_of_the_published_generators_is_the_known_one(name: str, halo: tuple[int, int]) -> None:
    assert generator(CONFIGS[name]).halo() == halo


@pytest.mark.parametrize("name", ["V3", "odd"])
def test_halo_covers_every_sample_of_a_core_and_no_more(name: str) -> None:
    layers, hop = generator(CONFIGS[name]), CONFIGS[name].hop_size
    frames = [frame for sample in range(hop) for frame in slow_frames(layers, sample)]
    assert layers.halo() == (-min(frames), max(frames))


def test_length_counts_what_an_odd_kernel_adds() -> None:
    # (T-1) 4 - 2*2 + 9 = 4T + 1, then (4T) 2 - 2*1 + 5 = 8T + 3, then (8T + 2) 2 - 2 + 4 = 16T + 6.
    assert [generator(CONFIGS["odd"]).samples(frames) for frames in (1, 2, 10)] == [22, 38, 166]
    assert generator(CONFIGS["V1"]).samples(10) == 2560


def test_mels_of_the_published_config_are_the_preset() -> None:
    assert CONFIGS["V1"].mel_spec() == PRESETS["hifigan-22k"]


def test_missing_fmax_is_half_the_sample_rate() -> None:
    assert dataclasses.replace(CONFIGS["V1"], fmax=None).mel_spec().fmax == 11025


def plain(config: HifiganConfig, **changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(dataclasses.asdict(config))), "learning_rate": 0.0002, **changes}


def test_config_json_is_read_and_its_training_keys_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(plain(CONFIGS["V3"])))
    assert HifiganConfig.read(path) == CONFIGS["V3"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resblock": "3"}, "resblock"),
        ({"hop_size": 300}, "multiply to 256"),
        ({"upsample_rates": [256]}, "equally long"),
        ({"upsample_rates": 8}, "should be a list"),
        ({"upsample_rates": [8, [8], 2, 2]}, "whole number"),
        ({"upsample_kernel_sizes": [4, 16, 4, 4]}, "smaller than its rate"),
        ({"resblock_kernel_sizes": [4, 7, 11]}, "odd"),
        ({"resblock_dilation_sizes": [1, 3, 5]}, "should be a list"),
        ({"resblock_dilation_sizes": None}, "HiFi-GAN config"),
        ({"upsample_initial_channel": 8}, "too small"),
        ({"num_mels": 0}, "above 0"),
        ({"num_mels": True}, "above 0"),
    ],
)
def test_impossible_config_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        HifiganConfig.from_dict(plain(CONFIGS["V1"], **changes))


def test_missing_key_of_a_config_is_named() -> None:
    values = plain(CONFIGS["V1"])
    del values["upsample_rates"]
    with pytest.raises(ConfigError, match="missing key upsample_rates"):
        HifiganConfig.from_dict(values)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff"])
def test_config_that_is_no_json_object_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        HifiganConfig.read(path)
