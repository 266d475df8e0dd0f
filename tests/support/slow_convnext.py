"""A ConvNeXt net of any `ConvNextShape`, slowly and from the definitions, in float64; shapes; weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.convnext.shape import ConvNextShape

Weights = dict[str, NDArray[np.float32]]

LIFT = ConvNextShape(bands=80, width=256, hidden=512, blocks=4, outputs=593)
SMALL = {
    "two blocks": ConvNextShape(bands=20, width=32, hidden=48, blocks=2, outputs=33),
    "no block": ConvNextShape(bands=80, width=48, hidden=16, blocks=0, outputs=64),
    "wide": ConvNextShape(bands=13, width=208, hidden=16, blocks=1, outputs=1),
    "few taps": ConvNextShape(bands=7, width=16, hidden=160, blocks=3, outputs=97, taps=3, epsilon=1e-3),
}
_ERF = np.vectorize(math.erf)


def random_weights(shape: ConvNextShape, seed: int = 7) -> Weights:
    """Weights that keep the size of activations."""
    rng, weights = np.random.default_rng(seed), {}
    for name, size in shape.weight_shapes().items():
        if name.endswith(".bias"):
            values = rng.normal(0, 0.1, size)
        elif len(size) == 1:
            values = rng.uniform(0.5, 1.5, size)
        else:
            values = rng.normal(0, size[0] ** -0.5, size)
        weights[name] = values.astype(np.float32)
    return weights


def slow_convnext(shape: ConvNextShape, weights: Weights, mel: NDArray[np.float32]) -> NDArray[np.float64]:
    """The outputs `[frames, outputs]` of a mel `[bands, frames]`."""

    def layer(name: str) -> tuple[Any, Any]:
        return tuple(weights[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))

    def linear(name: str, x: NDArray[Any]) -> Any:
        weight, bias = layer(name)
        return x @ weight + bias

    def norm(name: str, x: NDArray[Any]) -> Any:
        weight, bias = layer(name)
        apart = x - x.mean(axis=1, keepdims=True)
        return apart / np.sqrt((apart**2).mean(axis=1, keepdims=True) + shape.epsilon) * weight + bias

    def seen(x: NDArray[Any]) -> Any:
        """`[frames, taps, channels]`: the rows that each frame sees."""
        padded = np.pad(x, ((shape.reach, shape.reach), (0, 0)))
        return np.stack([padded[tap : tap + len(x)] for tap in range(shape.taps)], axis=1)

    x = norm("norm_in", linear("embed", seen(mel.T.astype(np.float64)).reshape(mel.shape[1], -1)))
    for number in range(shape.blocks):
        weight, bias = layer(f"blocks.{number}.depthwise")
        y = norm(f"blocks.{number}.norm", (seen(x) * weight).sum(axis=1) + bias)
        y = linear(f"blocks.{number}.up", y)
        x = x + linear(f"blocks.{number}.down", y * (1 + _ERF(y / np.sqrt(2))) / 2)
    last = np.concatenate([norm("norm_out", x), mel.T], axis=1)
    found: NDArray[np.float64] = linear("head", last)
    return found
