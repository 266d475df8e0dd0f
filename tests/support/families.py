"""A small model with random weights of every family that is built in a way of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.known_families import family
from pipeline.checkpoints.state_dict import StateReader
from pipeline.melspec import PRESETS

BANDS = 20
SPEC = dataclasses.replace(PRESETS["hifigan-22k"], n_fft=64, hop_length=16, win_length=64, n_mels=BANDS)
CENTERED = dataclasses.replace(SPEC, framing="center")
_SHAPE: dict[str, Any] = {
    "resblock": "1", "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [2, 3]], "num_mels": BANDS,
    "sampling_rate": 22050, "n_fft": 64, "hop_size": 16, "win_size": 64, "fmin": 0, "fmax": 8000,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "hifigan": _SHAPE,
    "istftnet": _SHAPE | {
        "upsample_rates": [2, 2], "upsample_kernel_sizes": [4, 4], "gen_istft_n_fft": 16, "gen_istft_hop_size": 4,
    },
    "bigvgan": _SHAPE | {
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]], "activation": "snakebeta", "snake_logscale": True,
    },
    "speechbrain-hifigan": {
        "resblock_type": "1", "upsample_factors": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4],
        "upsample_initial_channel": 32, "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [2, 3]],
        "in_channels": BANDS,
    },
    "vocos": {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {"sample_rate": 22050, "n_fft": 64, "hop_length": 16, "n_mels": BANDS, "padding": "center"},
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {"input_channels": BANDS, "dim": 24, "intermediate_dim": 48, "num_layers": 2},
        },
        "head": {
            "class_path": "vocos.heads.ISTFTHead",
            "init_args": {"dim": 24, "n_fft": 64, "hop_length": 16, "padding": "center"},
        },
    },
}  # fmt: skip


def random_model(name: str, path: Path) -> Path:
    """The .onnx of a family with random weights."""
    path.write_bytes(_random(name)[0].SerializeToString(deterministic=True))
    return path


def random_weights(name: str) -> dict[str, NDArray[np.float32]]:
    """The state dict of that model."""
    return _random(name)[1]


def _random(name: str) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]]]:
    """Weights are drawn as they are asked for, so that activations keep about their size."""
    state: dict[str, NDArray[np.float32]] = {}
    rng = np.random.default_rng(11)

    def find(self: StateReader, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        inputs = int(np.prod(shape[1:])) if len(shape) > 1 else 100
        last = 0.002 if name == "bigvgan" else 0.2  # so that the tanh is not full
        size = inputs**-0.5 * (last if key.startswith("conv_post") else 1)
        state[key] = np.asarray(rng.normal(0, size, shape) + key.endswith("norm.weight"), np.float32)
        return state[key]

    settings = Settings(CONFIGS[name], f"{name}.config", CENTERED if name == "vocos" else SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateReader, "_find", find)
        return family(name).build({}, settings, None, "0" * 64), state
