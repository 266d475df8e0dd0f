"""Generators' layers, slowly and from the definitions, in float64: what the models that are built must equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import Generator, Layer

State = dict[str, NDArray[Any]]


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
    """The generator of models.py."""

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


def slow_inputs(layer: Layer, outputs: set[int]) -> set[int]:
    """The inputs of a layer on which outputs depend, from the definition, tap by tap."""
    if layer.rate is None:
        return {o - layer.padding + layer.dilation * j for o in outputs for j in range(layer.kernel)}
    taps = [o + layer.padding - j for o in outputs for j in range(layer.kernel)]
    return {tap // layer.rate for tap in taps if tap % layer.rate == 0}


def slow_frames(layers: Generator, sample: int) -> set[int]:
    """The frames on which one sample depends, through every layer."""
    positions = slow_inputs(layers.post, {sample})
    for stage in reversed(layers.stages):
        found: set[int] = set()
        for branch in stage.branches:
            inner = positions
            for unit in reversed(branch):
                through = inner
                for layer in reversed(unit):
                    through = slow_inputs(layer, through)
                inner = inner | through
            found |= inner
        positions = slow_inputs(stage.up, found)
    return slow_inputs(layers.pre, positions)
