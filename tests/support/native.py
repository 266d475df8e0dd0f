"""Generators of every kind that the native kernels take, as models with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.known_families import family
from pipeline.checkpoints.state_dict import StateReader
from pipeline.melspec import PRESETS, MelSpec, Normalization

BANDS = 20
_SIZES = {"n_fft": 64, "win_length": 64, "n_mels": BANDS}
_HIFIGAN: dict[str, Any] = {
    "resblock": "1", "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3, "num_mels": BANDS,
    "sampling_rate": 22050, "n_fft": 64, "hop_size": 16, "win_size": 64, "fmin": 0, "fmax": 8000,
}  # fmt: skip
_PWG: dict[str, Any] = {
    "in_channels": BANDS, "channels": 32, "upsample_scales": [5, 3], "upsample_kernel_sizes": [10, 6],
    "resblock_kernel_sizes": [3, 7], "resblock_dilations": [[1, 3], [1, 2]],
    "nonlinear_activation_params": {"negative_slope": 0.2}, "kernel_size": 5,
}  # fmt: skip
_SPEECHT5: dict[str, Any] = {
    "upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 32, "model_in_dim": BANDS,
    "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [1, 3]], "leaky_relu_slope": 0.15,
}  # fmt: skip
_SPEECHBRAIN: dict[str, Any] = {
    "resblock_type": "1", "upsample_factors": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4],
    "upsample_initial_channel": 32, "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [2, 3]],
    "in_channels": BANDS,
}  # fmt: skip
_BIGVGAN: dict[str, Any] = _HIFIGAN | {
    "activation": "snakebeta", "snake_logscale": True, "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 4]],
}  # fmt: skip
_ISTFTNET: dict[str, Any] = _HIFIGAN | {
    "upsample_rates": [2, 2], "upsample_kernel_sizes": [4, 4], "resblock_kernel_sizes": [3, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 4]], "gen_istft_n_fft": 16, "gen_istft_hop_size": 4,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "hifigan": ("hifigan", _HIFIGAN),
    "hifigan, ResBlock2": (
        "hifigan", _HIFIGAN | {"resblock": "2", "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]]},
    ),
    "hifigan, odd kernels and channels": (
        "hifigan", _HIFIGAN | {"upsample_kernel_sizes": [9, 5, 4], "upsample_initial_channel": 44},
    ),
    "pwg-hifigan": ("pwg-hifigan", {"generator_params": _PWG}),
    "pwg-hifigan without biases": (
        "pwg-hifigan", {"generator_params": _PWG | {"bias": False, "use_additional_convs": False}},
    ),
    "speecht5-hifigan": ("speecht5-hifigan", _SPEECHT5),
    "speecht5-hifigan as it is": ("speecht5-hifigan", _SPEECHT5 | {"normalize_before": False}),
    "speechbrain-hifigan": ("speechbrain-hifigan", _SPEECHBRAIN),
    "bigvgan": ("bigvgan", _BIGVGAN),
    "bigvgan v2, linear, odd kernels and channels": (
        "bigvgan", _BIGVGAN | {
            "activation": "snake", "snake_logscale": False, "use_tanh_at_final": False, "use_bias_at_final": False,
            "upsample_kernel_sizes": [9, 5, 4], "upsample_initial_channel": 44,
        },
    ),
    "bigvgan, block 2": (
        "bigvgan", _BIGVGAN | {"resblock": "2", "activation": "snake", "resblock_dilation_sizes": [[1, 2], [3, 5]]},
    ),
    "istftnet": ("istftnet", _ISTFTNET),
    "istftnet, block 2, no ends": (
        "istftnet", _ISTFTNET | {
            "resblock": "2", "resblock_dilation_sizes": [[1, 2], [3, 5]], "upsample_initial_channel": 44,
            "gen_istft_n_fft": 8,
        },
    ),
    "speechbrain-hifigan, ResBlock2": ("speechbrain-hifigan", _SPEECHBRAIN | {"resblock_type": "2"}),
}  # fmt: skip
"""Name -> family and config."""

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "BigVGAN base": ("bigvgan", {
        "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
        "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3, "activation": "snakebeta", "snake_logscale": True, "num_mels": 100,
        "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 24000, "fmin": 0, "fmax": 12000,
    }),
    "iSTFTNet V1": ("istftnet", {
        "resblock": "1", "upsample_rates": [8, 8], "upsample_kernel_sizes": [16, 16], "upsample_initial_channel": 512,
        "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3, "gen_istft_n_fft": 16,
        "gen_istft_hop_size": 4, "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
        "sampling_rate": 22050, "fmin": 0, "fmax": 8000,
    }),
}  # fmt: skip
"""Sizes that were published: name -> family and config."""

State = dict[str, NDArray[np.float32]]


def native_model(name: str, **changes: Any) -> tuple[onnx.ModelProto, State]:
    """One of `MODELS`, and the weights that its builder asked for by their own names.

    Weights are drawn so that activations keep about their size.

    Args:
        name: name of the model.
        changes: keys of the config that have another value.
    """
    kind, config = MODELS[name]
    return _made(kind, config | changes, _spec(kind))


def published_model(name: str) -> tuple[onnx.ModelProto, State]:
    """The same for one of `PUBLISHED`."""
    return _made(*PUBLISHED[name], None)


def _made(kind: str, config: dict[str, Any], spec: MelSpec | None) -> tuple[onnx.ModelProto, State]:
    state: State = {}
    rng = np.random.default_rng(3)

    def find(self: StateReader, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if key == "scale":
            state[key] = rng.uniform(0.5, 1.0, shape).astype(np.float32)
            return state[key]
        if key.endswith((".alpha", ".beta")):
            values = rng.normal(0, 0.3, shape)
            state[key] = (values if config["snake_logscale"] else np.exp(values)).astype(np.float32)
            return state[key]
        if key.endswith(".filter"):  # not symmetric, and not far from the real one
            taps = np.kaiser(12, 4.66) * np.sinc((np.arange(12) - 5.5) / 2) + rng.normal(0, 0.02, 12)
            state[key] = (taps / taps.sum()).reshape(shape).astype(np.float32)
            return state[key]
        inputs = int(np.prod(shape[1:])) if len(shape) > 1 else 100
        last = (0.05 if kind == "bigvgan" else 0.3) if "conv_post" in key or key.startswith("output_conv") else 1
        state[key] = rng.normal(0, last * inputs**-0.5, shape).astype(np.float32)
        return state[key]

    settings = Settings(config, "config.json", spec)
    stats = Normalization((0.0,) * BANDS, (1.0,) * BANDS) if kind == "pwg-hifigan" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateReader, "_find", find)
        return family(kind).build({}, settings, stats, "0" * 64), state


def _spec(kind: str) -> MelSpec:
    hop = 15 if kind == "pwg-hifigan" else 16
    return dataclasses.replace(PRESETS["hifigan-22k"], hop_length=hop, framing="center", **_SIZES)


def write_native(name: str, path: Path, change: Callable[[onnx.ModelProto], Any] = lambda model: None) -> Path:
    """The .onnx of one of `MODELS`, after a change."""
    model, _ = native_model(name)
    change(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path
