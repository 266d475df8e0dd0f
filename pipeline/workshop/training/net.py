"""The net of `lift` in torch: from a log-mel to linear magnitudes and to a correction of the mel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.net_magnitude import UPDATES
from pipeline.kernels.net_magnitudes import LARGEST_LOG, SMALLEST_BAND
from pipeline.melspec import MelSpec

KERNEL = 7
"""Number of frames that a convolution sees."""

# Smallest log-magnitude; smaller ones are replaced by it. It is 100 dB below that of a full-scale sine (n_fft / 4).
SMALLEST_LOG_MAGNITUDE = -11.5
_TINY = 1e-9
# About the log-magnitude of speech above 8 kHz.
_LEVEL_WITHOUT_BAND = -4.0


@dataclass(frozen=True)
class LiftShape:
    """The size of a net.

    Args:
        width: number of channels between blocks.
        hidden: number of channels inside a block.
        blocks: number of ConvNeXt blocks.
    """

    width: int = 256
    hidden: int = 512
    blocks: int = 4

    @property
    def context(self) -> int:
        """Number of frames on each side on which a frame of magnitudes depends."""
        return (KERNEL // 2) * (1 + self.blocks)


class Block(nn.Module):
    """A ConvNeXt block over `[batch, frames, width]`.

    Source: Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022, in one dimension.
    """

    def __init__(self, shape: LiftShape) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(shape.width, shape.width, KERNEL, padding=KERNEL // 2, groups=shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        self.up = nn.Linear(shape.width, shape.hidden)
        self.down = nn.Linear(shape.hidden, shape.width)
        self.scale = nn.Parameter(torch.full((shape.width,), 1 / max(1, shape.blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, frames, width]` to the same."""
        y = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        y = self.down(nn.functional.gelu(self.up(y)))
        return x + y * self.scale


class LiftNet(nn.Module):
    """From a mel to magnitudes. The mel is `ln` of the filterbank's outputs, whatever the logarithm of the spec is.

    Besides log-magnitudes the net gives a correction for each band and frame of the mel: none for a clean mel, the
    difference to a clean one for a mel that is smoothed or noisy. Multiplicative updates then move the magnitudes
    towards the corrected mel. Both are trained, so that magnitudes can be had without the updates, too: these follow
    the mel less, and are nearer to speech where the mel is not one of speech.

    Args:
        spec: contract of the mels.
        shape: size of the net.
        mean: mean of each band over the training speech, `[n_mels] float32`.
        deviation: standard deviation of all bands over the training speech.
    """

    def __init__(self, spec: MelSpec, shape: LiftShape, mean: NDArray[np.float32], deviation: float) -> None:
        super().__init__()
        self.spec, self.shape = spec, shape
        bank = mel_filterbank(spec)
        bins = bank.shape[1]
        self.embed = nn.Conv1d(spec.n_mels, shape.width, KERNEL, padding=KERNEL // 2)
        self.norm_in = nn.LayerNorm(shape.width, eps=1e-6)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm_out = nn.LayerNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, bins)
        self.correction = nn.Linear(shape.width, spec.n_mels)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():  # bins without a band have no start from the mel
            self.head.bias[torch.tensor(bank.sum(axis=0) == 0)] = _LEVEL_WITHOUT_BAND
        # The magnitudes that spread each filter's energy evenly: a start, which the net corrects.
        sums = bank.sum(axis=0)
        spread = bank / np.maximum(sums, np.float32(_TINY))
        level = np.log(np.maximum(bank.sum(axis=1), np.float32(_TINY)))
        self.register_buffer("bank", torch.tensor(bank))
        self.register_buffer("spread", torch.tensor(spread))
        self.register_buffer("level", torch.tensor(level))
        self.register_buffer("uncovered", torch.tensor((sums == 0).astype(np.float32)))
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(np.float32(deviation)))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log-magnitudes `[batch, frames, bins]` of mels `[batch, frames, n_mels]`, both natural logarithms.

        Returns:
            The magnitudes before the updates, and those after them.
        """
        x = self.embed(((mel - self.mean) / self.deviation).transpose(1, 2)).transpose(1, 2)
        x = self.norm_in(x)
        for block in self.blocks:
            x = block(x)
        x = self.norm_out(x)
        skip = (mel - self.level) / self.spec.power @ self.spread
        wanted = mel + self.correction(x)
        before_updates = torch.clamp(self.head(x) + skip, -LARGEST_LOG, LARGEST_LOG)
        linear = torch.exp(self.spec.power * before_updates)
        for _ in range(UPDATES):
            present = torch.log(linear @ self.bank.T + SMALLEST_BAND)
            ratio = torch.exp(torch.clamp(wanted - present, -LARGEST_LOG, LARGEST_LOG))
            linear = linear * (ratio @ self.spread + self.uncovered)
        return before_updates, torch.log(linear + 1e-30) / self.spec.power
