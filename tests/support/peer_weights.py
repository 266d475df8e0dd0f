"""Random weights for modules that are far from linear, real and random mels for them, and what windows differ by.

The huge values of `peers.assert_halo` are no measure here: layer norms take them out again, and snakes hide them.
"""

from __future__ import annotations

import re

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from support.paths import PROMPTS
from support.peers import native_too

from pipeline.vocoders import Vocoder
from pipeline.vocoders.windows import decode_windows

PROMPTS = sorted((PROMPTS).rglob("*.flac"))
# What is promised of every family: 1e-4 absolute, or relative to the peak where that is above 1.
TOLERANCE = 1e-4


def randomize(module: torch.nn.Module, seed: int = 0, lean: str | None = None) -> None:
    """Weights that keep a signal's size from layer to layer, so that it neither dies nor saturates.

    Args:
        lean: "left" or "right": make each kernel look mostly at its outermost neighbours on that side, and residual
            branches louder than what they are added to, so that what lies at the end of a module's reach is heard.
            With equal weights it is below float32's rounding: a product of some twenty small factors.
    """
    generator = torch.Generator().manual_seed(seed)
    rates = {name: layer.stride[0] for name, layer in module.named_modules() if hasattr(layer, "output_padding")}
    with torch.no_grad():
        for name, values in module.named_parameters():
            fresh = torch.empty_like(values)
            rate = rates.get(name.rpartition(".")[0], 1)
            if name.endswith("weight_g"):
                # A transposed convolution's norm is over its outputs, which are half as many as its inputs.
                size = (rate / 2) ** 0.5 if rate > 1 else 0.4 if "convs2" in name else 1.0
                if lean:
                    size *= 0.15 if rate > 1 else 5 if "convs2" in name else 1
                values.copy_(fresh.uniform_(0.9 * size, 1.1 * size, generator=generator))
            elif name.endswith("bias"):
                values.copy_(fresh.normal_(0, 0.05, generator=generator))
            elif name.endswith((".alpha", ".beta")):
                values.copy_(fresh.normal_(0, 0.3, generator=generator))
                if not module.h.snake_logscale:
                    values.exp_()
            elif re.search(r"norm\.weight$|gamma$", name):
                values.copy_(fresh.uniform_(0.5, 1.0, generator=generator))
                if lean and name.endswith("gamma"):
                    values *= 5
            else:
                values.copy_(fresh.normal_(0, values[0].numel() ** -0.5, generator=generator))
                if lean and values.dim() == 3:
                    _lean(values, rate, lean)
        for name, values in module.named_buffers():
            if lean and name.endswith(".filter"):
                # Of BigVGAN's activations: the pair of taps that together reach 5 positions to that side.
                values.fill_(0.02)
                values[..., (0 if "up" in name else 10) if lean == "right" else (11 if "up" in name else 1)] = 0.7
    module.eval()


def _lean(kernel: torch.Tensor, rate: int, lean: str) -> None:
    taps = kernel.shape[2]
    heavy = torch.full((taps,), 0.1)
    if (lean == "right") == (rate > 1):  # the first taps of a transposed convolution weigh the later inputs
        heavy[:rate] = 1
    else:
        heavy[taps - rate :] = 1
    kernel *= heavy


def settle(module: torch.nn.Module, last: torch.nn.Module, mel: NDArray[np.float32], size: float) -> None:
    """Scales the last layer's weights so that its outputs have standard deviation `size`."""
    seen: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    with torch.no_grad():
        module(torch.from_numpy(mel)[None])
        hook.remove()
        factor = size / seen[0].std()
        for name, values in last.named_parameters():
            if name != "weight_v":
                values *= factor


def noise(n_mels: int, frames: int, seed: int = 0) -> NDArray[np.float32]:
    """A random mel with the range of real ones, `[n_mels, frames]`."""
    return np.random.default_rng(seed).normal(-5, 2.5, (n_mels, frames)).astype(np.float32)


def speech(seconds: float, sample_rate: int) -> torch.Tensor:
    """A prompt's beginning as if it had that sample rate, `[1, samples]`."""
    waveform, _ = soundfile.read(PROMPTS[0], dtype="float32")
    return torch.from_numpy(waveform[: round(seconds * sample_rate)])[None]


def same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Whether two waveforms are the same within what is promised. The expected one must be a signal."""
    assert found.shape == expected.shape
    assert expected.std() > 0.01
    assert np.mean(np.abs(np.abs(expected) - 1) < 1e-3) < 0.05  # a saturated one would hide everything
    return bool(np.abs(found - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max()))


class WithHalo:
    """A vocoder that claims another halo."""

    def __init__(self, vocoder: Vocoder, left: int, right: int) -> None:
        self.name, self.spec, self.samples, self.decode = vocoder.name, vocoder.spec, vocoder.samples, vocoder.decode
        self.halo = vocoder.halo[0] + left, vocoder.halo[1] + right


def window_error(vocoder: Vocoder, mel: NDArray[np.float32], window: int, left: int = 0, right: int = 0) -> float:
    """Largest difference of the windows' samples from those of the whole, relative to the peak, with a halo of some
    frames more."""
    whole = vocoder.decode(mel)
    claimed = WithHalo(vocoder, left, right)
    pieces = decode_windows(claimed, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return float(np.abs(np.concatenate(list(pieces)) - whole).max() / np.abs(whole).max())


def assert_windows(vocoder: Vocoder, lean: str | None = None) -> None:
    """Windows give the samples of the whole with the vocoder's halo, and clearly others with a frame less on the side
    that its weights lean to.

    Weights that lean make whatever is rounded louder, too.
    """
    mel = noise(vocoder.spec.n_mels, 2 * sum(vocoder.halo))
    window = sum(vocoder.halo)
    exact = window_error(vocoder, mel, window)
    assert exact < (1e-4 if lean else 1e-5)
    if lean:
        short = window_error(vocoder, mel, window, **{lean: -1})
        print(f"{vocoder.name}: halo {vocoder.halo}, error {exact:.1e}, with a frame less on the {lean} {short:.1e}")
        assert short > 10 * max(exact, 1e-5)


def assert_same_windows(vocoder: Vocoder) -> None:
    """Windows give the samples of the whole, bit for bit, in native kernels."""
    (native,) = native_too(vocoder)
    mel = noise(native.spec.n_mels, 2 * sum(native.halo))
    for window in (1 + sum(vocoder.halo), 13):
        assert window_error(native, mel, window) == 0
