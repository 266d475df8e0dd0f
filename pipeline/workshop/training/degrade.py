"""Mels as acoustic models predict them: clean ones, smoothed, noisy, quantized and tilted at random."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CLEAN_SHARE = 0.35
"""Share of the mels that stay as they are, so that the net also learns to trust clean ones."""


def degrade(mel: Tensor, random: torch.Generator) -> Tensor:
    """Mels with some of the errors of predicted ones; each kind of error is drawn independently.

    Smoothing over 2 to 5 frames (0.6 of the mels that are not left clean) and 2 to 4 bands (0.45); noise of up to 0.35,
    white over bands and frames (0.45); quantization in steps of up to 0.4 (0.15); a tilt of up to 0.4 over the bands
    (0.2). Amounts are in natural logarithms of magnitudes.

    Args:
        mel: the mels, `[batch, frames, n_mels] float32`, natural logarithms.
        random: generator of all random numbers.

    Returns:
        `[batch, frames, n_mels] float32`.
    """
    count, _, bands = mel.shape

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    spoilt = draw(count) >= CLEAN_SHARE
    chosen = draw(5, count) < torch.tensor([0.6, 0.45, 0.45, 0.15, 0.2])[:, None]
    chosen &= spoilt
    widths = 2 + torch.floor(draw(2, count) * torch.tensor([4.0, 3.0])[:, None])
    out = _smoothed(mel, torch.where(chosen[0], widths[0], 1.0), 1)
    out = _smoothed(out, torch.where(chosen[1], widths[1], 1.0), 2)
    noise = torch.randn(out.shape, generator=random) * (0.35 * draw(count) * chosen[2])[:, None, None]
    steps = (0.02 + 0.38 * draw(count))[:, None, None]
    tilt = (0.8 * draw(count) - 0.4) * chosen[4]
    out = out + noise + tilt[:, None, None] * torch.linspace(-1, 1, bands)
    return torch.where(chosen[3][:, None, None], torch.round(out / steps) * steps, out)


def _smoothed(mel: Tensor, widths: Tensor, axis: int) -> Tensor:
    """Each mel of the batch averaged over its own number of frames (axis 1) or bands (axis 2), ends repeated."""
    out = mel.clone()
    for width in widths.unique():
        size = int(width)
        if size > 1:
            rows = widths == width
            lines = mel[rows].transpose(1, 2) if axis == 1 else mel[rows]
            padded = functional.pad(lines, (size // 2, size - 1 - size // 2), mode="replicate")
            averaged = functional.avg_pool1d(padded, size, stride=1)
            out[rows] = averaged.transpose(1, 2) if axis == 1 else averaged
    return out
