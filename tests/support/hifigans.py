"""Generators of HiFi-GAN: the published sizes, and one with odd kernels; with random weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import generator

V1 = HifiganConfig(
    resblock="1", upsample_rates=(8, 8, 2, 2), upsample_kernel_sizes=(16, 16, 4, 4), upsample_initial_channel=512,
    resblock_kernel_sizes=(3, 7, 11), resblock_dilation_sizes=((1, 3, 5), (1, 3, 5), (1, 3, 5)), num_mels=80,
    sampling_rate=22050, n_fft=1024, hop_size=256, win_size=1024, fmin=0.0, fmax=8000.0,
)  # fmt: skip
V2 = dataclasses.replace(V1, upsample_initial_channel=128)
V3 = dataclasses.replace(
    V1, resblock="2", upsample_rates=(8, 8, 4), upsample_kernel_sizes=(16, 16, 8), upsample_initial_channel=256,
    resblock_kernel_sizes=(3, 5, 7), resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
)  # fmt: skip
# Kernel minus rate is odd in the first two stages: 4 + 2 = 6 samples more than frames * hop, and a lopsided halo.
ODD = dataclasses.replace(
    V1, upsample_rates=(4, 2, 2), upsample_kernel_sizes=(9, 5, 4), upsample_initial_channel=32, num_mels=20,
    n_fft=64, hop_size=16, win_size=64, resblock_kernel_sizes=(3, 5), resblock_dilation_sizes=((1, 2), (2, 3)),
)  # fmt: skip
CONFIGS = {"V1": V1, "V2": V2, "V3": V3, "odd": ODD}


def random_state(config: HifiganConfig) -> dict[str, NDArray[Any]]:
    """A state dict with weight norm whose activations keep their size, so that the tanh at the end is not full."""
    rng = np.random.default_rng(7)
    state: dict[str, NDArray[Any]] = {}
    for layer in generator(config).layers():
        rows = layer.weight_shape[0]
        state[f"{layer.name}.weight_g"] = rng.uniform(0.8, 1.3, (rows, 1, 1)).astype(np.float32)
        state[f"{layer.name}.weight_v"] = rng.normal(0, 1, layer.weight_shape).astype(np.float32)
        state[f"{layer.name}.bias"] = rng.normal(0, 0.05, layer.outputs).astype(np.float32)
    return state


def small_hifigan(path: Path) -> Path:
    """The .onnx of a small random generator with odd kernels: 20 bands, hop 16."""
    path.write_bytes(build_hifigan(random_state(ODD), ODD, "0" * 64).SerializeToString(deterministic=True))
    return path
