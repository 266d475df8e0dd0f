"""The shape of a HiFi-GAN generator: all that its code and its geometry depend on.

Kong, Kim, Bae: HiFi-GAN (2020), https://arxiv.org/abs/2010.05646; code: jik876/hifi-gan, models.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm, prod
from typing import Literal

from pipeline.kernels.minimal_filtering import MOST_TAPS, for_taps

Sides = tuple[int, int]
Precision = Literal["float32", "mixed"]
"""Whether all products are float32, or those of most convolutions of branches bfloat16, with sums in float32."""
_LONGEST_PERIOD = 1 << 20


@dataclass(frozen=True)
class HifiganShape:
    """The shape of a generator.

    Its weights are named as in jik876/hifi-gan, with weight norm removed: `conv_pre`, `ups.S` for stage S,
    `resblocks.B.convs1.U` and `.convs2.U` (or `.convs.U`, if not `pairs`) for unit U of block B, `conv_post`, each with
    `.weight` and `.bias`; blocks are counted over all stages.

    Args:
        mels: number of mel bands.
        channels: number of channels before the first stage; each stage halves it, rounded down.
        rates: factor of upsampling of each stage; the product of all is the hop.
        rate_kernels: kernel size of each stage's transposed convolution, at least its rate.
        kernels: kernel size of each branch of a stage.
        dilations: dilations of each branch, one for each of its residual units.
        pairs: whether a second, undilated convolution follows each dilated one (ResBlock1), or not (ResBlock2).
        cuts: numbers of rows (left, right) that each stage cuts off the output of its transposed convolution; half of
            kernel - rate, rounded down, on both sides if None.
        edge: kernel size of the first and of the last convolution.
        mirrored: whether convolutions see their input mirrored at its ends (SpeechBrain) rather than zeros.
        normalized: whether the mel is first normalized by the weights `mean` and `scale` (SpeechT5).
        slope: slope of each leaky ReLU below 0, except of the last.
        last_slope: slope of the leaky ReLU before the last convolution.
        precision: precision of its products; see `in_pairs`.
    """

    mels: int
    channels: int
    rates: tuple[int, ...]
    rate_kernels: tuple[int, ...]
    kernels: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]
    pairs: bool
    cuts: tuple[Sides, ...] | None = None
    edge: int = 7
    mirrored: bool = False
    normalized: bool = False
    slope: float = 0.1
    last_slope: float = 0.01
    precision: Precision = "float32"

    @property
    def hop(self) -> int:
        """Number of samples of a frame."""
        return prod(self.rates)

    def width(self, stage: int) -> int:
        """Number of channels after a stage, counted from 0; before the first one for -1."""
        return self.channels >> (stage + 1)

    def sides(self, stage: int) -> Sides:
        """Number of rows (left, right) that a stage's transposed convolution loses."""
        if self.cuts is not None:
            return self.cuts[stage]
        half = (self.rate_kernels[stage] - self.rates[stage]) // 2
        return half, half

    def lengths(self, frames: int) -> list[int]:
        """Number of rows before the first stage and after each one; the last is the number of samples."""
        lengths = [frames]
        for stage, (rate, kernel) in enumerate(zip(self.rates, self.rate_kernels, strict=True)):
            lengths.append((lengths[-1] - 1) * rate + kernel - sum(self.sides(stage)))
        return lengths

    def samples(self, frames: int) -> int:
        """Number of samples of a mel."""
        return self.lengths(frames)[-1]

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, as torch stores it: a transposed convolution has its input channels first."""
        shapes: dict[str, tuple[int, ...]] = {"conv_pre": (self.channels, self.mels, self.edge)}
        for stage, kernel in enumerate(self.rate_kernels):
            width = self.width(stage)
            shapes[f"ups.{stage}"] = (self.width(stage - 1), width, kernel)
            for branch, taps in enumerate(self.kernels):
                for unit in range(len(self.dilations[branch])):
                    for name in unit_names(self, stage, branch, unit):
                        shapes[name] = (width, width, taps)
        return {**shapes, "conv_post": (1, self.width(len(self.rates) - 1), self.edge)}


def unit_names(shape: HifiganShape, stage: int, branch: int, unit: int) -> tuple[str, ...]:
    """Names of the convolutions of a residual unit, in order."""
    block = f"resblocks.{stage * len(shape.kernels) + branch}"
    if shape.pairs:
        return f"{block}.convs1.{unit}", f"{block}.convs2.{unit}"
    return (f"{block}.convs.{unit}",)


def in_pairs(shape: HifiganShape, stage: int, taps: int) -> bool:
    """Whether a stage's convolutions with so many taps multiply bfloat16.

    In mixed precision all do except the longest ones of the first two stages: their filtering, of 12 taps, enlarges the
    errors of rounded values most. On HiFi-GAN V1 and 18 s of prompts, the noise of those that do is 42.6 dB below the
    samples. With the longest ones of the second stage it would be 39.3 dB, and those of the first alone make 33.1.
    """
    return shape.precision == "mixed" and not (stage < 2 and for_taps(taps).taps == MOST_TAPS)


def period(shape: HifiganShape) -> int:
    """Number of frames after which the tiles of all convolutions begin at the same places again."""
    found = 1
    for stage in range(len(shape.rates)):
        rows = prod(shape.rates[: stage + 1])
        for taps, dilations in zip(shape.kernels, shape.dilations, strict=True):
            tiles = [for_taps(taps).outputs * dilation for dilation in {1, *dilations}]
            found = lcm(found, *(tile // gcd(tile, rows) for tile in tiles))
    return found


def why_not(shape: HifiganShape) -> str | None:
    """Why the compiled code does not take a shape; None if it does."""
    for stage, (rate, kernel) in enumerate(zip(shape.rates, shape.rate_kernels, strict=True)):
        left, right = shape.sides(stage)
        if kernel < rate or left < 0 or not 0 <= kernel - rate - left - right < rate:
            return (
                f"the transposed convolution of stage {stage} with rate {rate} and kernel size {kernel}, cut by {left} "
                f"and {right}, does not make {rate} to {2 * rate - 1} rows of a single one"
            )
    for taps in shape.kernels:
        if taps % 2 == 0 or taps > MOST_TAPS:
            return f"a residual block has kernel size {taps}; odd sizes up to {MOST_TAPS} are compiled"
    if shape.edge % 2 == 0:
        return f"the first and the last convolution have kernel size {shape.edge}, which is not odd"
    if not (0 < shape.slope < 1 and 0 < shape.last_slope < 1):
        return f"the leaky ReLUs have slopes {shape.slope} and {shape.last_slope}, which are not between 0 and 1"
    if period(shape) > _LONGEST_PERIOD:
        return f"the dilations {shape.dilations} have too large a common multiple"
    return None
