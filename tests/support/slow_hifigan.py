"""A generator of any `HifiganShape`, slowly and from the definitions, in float64; shapes of small ones; weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.shape import HifiganShape

Weights = dict[str, NDArray[np.float32]]

V1 = HifiganShape(80, 512, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True)
SMALL = {
    "V1": HifiganShape(20, 64, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True),
    "V3": HifiganShape(80, 64, (8, 8, 4), (16, 16, 8), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), pairs=False),
    "SpeechT5": HifiganShape(80, 64, (4,) * 4, (8,) * 4, (3, 7, 11), ((1, 3, 5),) * 3, pairs=True, normalized=True),
    "ParallelWaveGAN, hop 300": HifiganShape(
        80, 64, (5, 5, 4, 3), (10, 10, 8, 6), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True,
        cuts=((3, 2), (3, 2), (2, 2), (2, 1)), edge=5,
    ),
    "SpeechBrain": HifiganShape(
        80, 64, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True, mirrored=True
    ),
    "odd channels": HifiganShape(100, 150, (4, 2), (8, 4), (3, 9), ((1, 2), (4,)), pairs=True, slope=0.2),
    "odd kernels": HifiganShape(20, 32, (4, 2, 2), (9, 5, 4), (3, 5), ((1, 2), (2, 3)), pairs=True),
    "three units": HifiganShape(20, 96, (4, 2), (4, 7), (1, 7), ((1,), (1, 2, 3)), pairs=False, last_slope=0.1),
}  # fmt: skip


def random_weights(shape: HifiganShape, seed: int = 7) -> Weights:
    """Weights that keep the size of activations, so that the tanh at the end is not full; one bias is missing."""
    rng, weights = np.random.default_rng(seed), {}
    for name, size in shape.weight_shapes().items():
        transposed = name.startswith("ups.")
        terms = size[0] * size[2] / shape.rates[int(name[4:])] if transposed else size[1] * size[2]
        scale = 0.3 if name.startswith("resblocks") else 1
        weights[f"{name}.weight"] = rng.normal(0, scale / np.sqrt(terms), size).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.05, size[1 if transposed else 0]).astype(np.float32)
    del weights["conv_post.bias"]
    if shape.normalized:
        weights["mean"] = rng.normal(-1, 1, shape.mels).astype(np.float32)
        weights["scale"] = rng.uniform(0.5, 2, shape.mels).astype(np.float32)
    return weights


def slow_hifigan(shape: HifiganShape, weights: Weights, mel: NDArray[np.float32]) -> NDArray[np.float64]:
    """The waveform of a mel `[mels, frames]`: `Generator` of jik876's models.py."""

    def bias(name: str, outputs: int) -> Any:
        return weights.get(f"{name}.bias", np.zeros(outputs, np.float32)).astype(np.float64)[:, None]

    def conv(name: str, x: NDArray[Any], dilation: int = 1) -> Any:
        weight = weights[f"{name}.weight"].astype(np.float64)
        pad = weight.shape[2] // 2 * dilation
        x_padded = np.pad(x, ((0, 0), (pad, pad)), mode="reflect" if shape.mirrored else "constant")
        taps = [weight[:, :, j] @ x_padded[:, j * dilation :][:, : x.shape[1]] for j in range(weight.shape[2])]
        return sum(taps) + bias(name, len(weight))

    def up(stage: int, x: NDArray[Any]) -> Any:
        name, rate = f"ups.{stage}", shape.rates[stage]
        weight = weights[f"{name}.weight"].astype(np.float64)
        left, right = shape.sides(stage)
        full = np.zeros((weight.shape[1], (x.shape[1] - 1) * rate + weight.shape[2]))
        for j in range(weight.shape[2]):
            full[:, j::rate][:, : x.shape[1]] += weight[:, :, j].T @ x
        return full[:, left : full.shape[1] - right] + bias(name, weight.shape[1])

    def leaky(x: NDArray[Any], slope: float = shape.slope) -> NDArray[Any]:
        return np.where(x > 0, x, slope * x)

    x: Any = mel.astype(np.float64)
    if shape.normalized:
        x = (x - weights["mean"][:, None]) / weights["scale"][:, None]
    x = conv("conv_pre", x)
    for stage in range(len(shape.rates)):
        x = up(stage, leaky(x))
        ends = []
        for branch, dilations in enumerate(shape.dilations):
            block, y = f"resblocks.{stage * len(shape.kernels) + branch}", x
            for unit, dilation in enumerate(dilations):
                if shape.pairs:
                    inner = leaky(conv(f"{block}.convs1.{unit}", leaky(y), dilation))
                    y = y + conv(f"{block}.convs2.{unit}", inner)
                else:
                    y = y + conv(f"{block}.convs.{unit}", leaky(y), dilation)
            ends.append(y)
        x = sum(ends) / len(ends)
    waveform: NDArray[np.float64] = np.tanh(conv("conv_post", leaky(x, shape.last_slope)))[0]
    return waveform
