"""Config files beside checkpoints, as other projects write them."""

from pathlib import Path

import pytest

from pipeline.checkpoints.config_file import Tagged, parse_config, read_config
from pipeline.errors import ConfigError


def test_tags_are_data_and_values_are_those_of_yaml_1_1() -> None:
    text = (
        "n_fft: !ref <window>\nmodel: !new:speechbrain.Generator\n  factors: [8, !ref <n>]\n"
        "shape: !!python/tuple [1, 2]\nbias: no\nrate: 1e-5\n"
    )
    assert parse_config(text, "hyperparams.yaml") == {
        "n_fft": Tagged("!ref", "<window>"),
        "model": {"factors": [8, Tagged("!ref", "<n>")]},
        "shape": [1, 2],
        "bias": False,
        "rate": 1e-5,
    }


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("hop_size: 256\nfft_size: 1024\nhop_size: 300\n")
    with pytest.raises(ConfigError, match=r'config\.yaml: (.|\n)*duplicate key "hop_size"(.|\n)*line 3'):
        read_config(path)
