"""A generator of any `HifiganShape`, slowly and from the definitions, in float64; shapes of small ones; weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.kernels.hifigan.shape import HifiganShape

Weights = dict[str, NDArray[np.float32]]

V1 = HifiganShape(80, 512, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True)
SMALL = {
    "V1": HifiganShape(20, 64, (8, 8, 2, 2), (16, 16, 4, 4), (3, 7, 11), ((1, 3, 5),) * 3, pairs=True),
    "V3": HifiganShape(80, 64, (8, 8, 4), (16, 16, 8), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), pairs=False),
    "SpeechT5": HifiganShape(80, 64, (4,) * 4, (8,) * 4, (3,), ((1, 3, 5),), pairs=True, normalized=True),
    "ParallelWaveGAN, hop 300": HifiganShape(
        80, 64, (5, 5, 4, 3), (10, 10, 8, 6), (3, 7), ((1, 3, 5),) * 2, pairs=True,
        cuts=((3, 2), (3, 2), (2, 2), (2, 1)), edge=5,
    ),
    "SpeechBrain": HifiganShape(
        80, 64, (8, 8, 2, 2), (16, 16, 4, 4), (3, 11), ((1, 3, 5),) * 2, pairs=True, mirrored=True
    ),
    "odd channels": HifiganShape(100, 150, (4, 2), (8, 4), (3, 9), ((1, 2), (4,)), pairs=True, slope=0.2),
    "odd kernels": HifiganShape(20, 32, (4, 2, 2), (9, 5, 4), (3, 5), ((1, 2), (2, 3)), pairs=True),
    "BigVGAN": HifiganShape(
        20, 64, (4, 2), (8, 4), (3, 11), ((1, 3, 5), (1, 2)), pairs=True, snakes="log"
    ),
    "BigVGAN v2": HifiganShape(
        20, 44, (4, 2), (9, 5), (3, 5), ((1, 2), (2, 3)), pairs=False, snakes="linear", clipped=True
    ),
    "iSTFTNet": HifiganShape(
        20, 32, (4, 2), (8, 4), (3, 7), ((1, 3), (1, 2)), pairs=True, transform=InverseTransform(16, 4)
    ),
    "iSTFTNet, odd kernels, no ends": HifiganShape(
        20, 44, (4, 2), (9, 5), (3, 5), ((1, 2), (2, 3)), pairs=False, transform=InverseTransform(12, 6)
    ),
    "three units": HifiganShape(20, 96, (4, 2), (4, 7), (1, 7), ((1,), (1, 2, 3)), pairs=False, last_slope=0.1),
}  # fmt: skip


def random_weights(shape: HifiganShape, seed: int = 7) -> Weights:
    """Weights that keep the size of activations, so that the tanh at the end is not full; one bias is missing."""
    rng, weights = np.random.default_rng(seed), {}
    for name, size in shape.weight_shapes().items():
        transposed = name.startswith("ups.")
        terms = size[0] * size[2] / shape.rates[int(name[4:])] if transposed else size[1] * size[2]
        quiet = name == "conv_post" and (shape.snakes or shape.transform)
        scale = 0.3 if name.startswith("resblocks") or quiet else 1
        weights[f"{name}.weight"] = rng.normal(0, scale / np.sqrt(terms), size).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.05, size[1 if transposed else 0]).astype(np.float32)
    for name, size in shape.snake_shapes().items():
        if name.endswith(("up", "down")):  # each a filter of its own that is not symmetric, not far from the real one
            taps = np.kaiser(12, 4.66) * np.sinc((np.arange(12) - 5.5) / 2) + rng.normal(0, 0.02, 12)
            weights[name] = (taps / taps.sum() * (2 if name.endswith("up") else 1)).astype(np.float32)
        else:
            values = rng.normal(0, 0.3, size)
            weights[name] = (values if shape.snakes == "log" else np.exp(values)).astype(np.float32)
    for name, size in shape.transform_shapes().items():
        weights[name] = rng.normal(0, 0.2, size).astype(np.float32)
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

    def activated(layer: str, x: NDArray[Any], slope: float = shape.slope) -> NDArray[Any]:
        return snake(layer, x) if shape.snakes else np.where(x > 0, x, slope * x)

    def snake(layer: str, x: NDArray[Any]) -> Any:
        alpha, beta, up, down = (
            weights[f"{layer}.{part}"].astype(np.float64) for part in ("alpha", "beta", "up", "down")
        )
        return slow_snake(x, *(np.exp(each) if shape.snakes == "log" else each for each in (alpha, beta)), up, down)

    x: Any = mel.astype(np.float64)
    if shape.normalized:
        x = (x - weights["mean"][:, None]) / weights["scale"][:, None]
    x = conv("conv_pre", x)
    for stage in range(len(shape.rates)):
        x = up(stage, x if shape.snakes else np.where(x > 0, x, shape.slope * x))
        ends = []
        for branch, dilations in enumerate(shape.dilations):
            block, y = f"resblocks.{stage * len(shape.kernels) + branch}", x
            for unit, dilation in enumerate(dilations):
                if shape.pairs:
                    first, second = (f"{block}.convs{number}.{unit}" for number in (1, 2))
                    inner = conv(first, activated(first, y), dilation)
                    y = y + conv(second, activated(second, inner))
                else:
                    only = f"{block}.convs.{unit}"
                    y = y + conv(only, activated(only, y), dilation)
            ends.append(y)
        x = sum(ends) / len(ends)
    x = activated("conv_post", x, shape.last_slope)
    if shape.transform:
        x = np.concatenate([x[:, 1:2], x], axis=1)
        return _overlapped(conv("conv_post", x), shape.transform, weights)
    last: NDArray[np.float64] = conv("conv_post", x)[0]
    return np.clip(last, -1, 1) if shape.clipped else np.tanh(last)


def _overlapped(x: Any, transform: InverseTransform, weights: Weights) -> NDArray[np.float64]:
    """The end of models.py and TorchSTFT.inverse, with a transform by a matrix, from `[n_fft + 2, frames]`."""
    bins, n_fft, hop = len(x) // 2, transform.n_fft, transform.hop
    magnitude, phase = np.exp(x[:bins]), np.sin(x[bins:])
    spectra = np.concatenate([magnitude * np.cos(phase), magnitude * np.sin(phase)])
    signal = np.zeros((x.shape[1] - 1) * hop + n_fft)
    for t, frame in enumerate(spectra.T @ weights["istft.basis"].astype(np.float64)):
        signal[t * hop : t * hop + n_fft] += frame
    signal = signal[n_fft // 2 : len(signal) - n_fft // 2]
    edge = n_fft // 2 - hop
    signal[:edge] *= weights["istft.first"]
    signal[len(signal) - edge :] *= weights["istft.last"]
    return signal


def slow_snake(x: Any, alpha: Any, beta: Any, up: Any, down: Any) -> Any:
    """The activation of `[channels, length]`: UpSample1d, Snake or SnakeBeta, DownSample1d of NVIDIA/BigVGAN.

    `up` holds the factor 2.
    """
    padded = np.pad(x, ((0, 0), (5, 5)), mode="edge")
    full = np.zeros((len(x), 2 * (padded.shape[1] - 1) + 12))
    for tap in range(12):
        full[:, tap::2][:, : padded.shape[1]] += up[tap] * padded
    doubled = full[:, 15:-15]
    doubled = doubled + np.sin(alpha[:, None] * doubled) ** 2 / (beta[:, None] + 1e-9)
    padded = np.pad(doubled, ((0, 0), (5, 6)), mode="edge")
    return sum(down[tap] * padded[:, tap::2][:, : x.shape[1]] for tap in range(12))
