"""The shape of a generator of HiFi-GAN, BigVGAN or iSTFTNet: all that its code and its geometry depend on.

Kong, Kim, Bae: HiFi-GAN (2020), https://arxiv.org/abs/2010.05646; code: jik876/hifi-gan, models.py. Lee, Ping,
Ginsburg, Catanzaro, Yoon: BigVGAN (2023), https://arxiv.org/abs/2206.04658; code: NVIDIA/BigVGAN, bigvgan.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm, prod
from typing import Literal

from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.kernels.minimal_filtering import MOST_TAPS, for_taps

Sides = tuple[int, int]
Precision = Literal["float32", "mixed"]
"""Whether all products are float32, or those of most convolutions of branches bfloat16, with sums in float32."""
Scale = Literal["linear", "log"]
"""Whether the parameters of snakes are those of the formula, or their logarithms."""
TAPS, SNAKE_REACH = 12, 5
"""Taps of each of a snake's two filters; the number of rows on each side on which a row of its output depends."""
_LONGEST_PERIOD = 1 << 20
_LONG = 8
"""Kernels of more taps than this count as long."""


@dataclass(frozen=True)
class HifiganShape:
    """The shape of a generator.

    Its weights are named as in jik876/hifi-gan, with weight norm removed: `conv_pre`, `ups.S` for stage S,
    `resblocks.B.convs1.U` and `.convs2.U` (or `.convs.U`, if not `pairs`) for unit U of block B, `conv_post`, each with
    `.weight` and `.bias`; blocks are counted over all stages. BigVGAN has a snake before each convolution of a residual
    unit and before `conv_post`, and no other activation. The weights of a snake have the name of the convolution that
    follows: `.alpha` and `.beta` `[channels]`, `.up` and `.down` `[TAPS]`; see `snake`. iSTFTNet's `conv_post` gives
    spectra, of its input after one more row, which mirrors row 1. `istft.basis` `[n_fft + 2, n_fft]` makes frames of
    them, and `istft.first` and `istft.last` are factors of the outermost samples.

    Args:
        mels: number of mel bands.
        channels: number of channels before the first stage; each stage halves it, rounded down.
        rates: factor of upsampling of each stage.
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
        snakes: scale of the parameters of BigVGAN's snakes; None for leaky ReLUs.
        clipped: whether samples are clipped to -1 .. 1 (BigVGAN v2) rather than taken through a tanh.
        transform: what makes samples of iSTFTNet's last rows; None where the last convolution makes them.
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
    snakes: Scale | None = None
    clipped: bool = False
    transform: InverseTransform | None = None
    precision: Precision = "float32"

    @property
    def hop(self) -> int:
        """Number of samples of a frame."""
        return self.rows * self.row_samples

    @property
    def rows(self) -> int:
        """Number of rows that all stages make of a frame."""
        return prod(self.rates)

    @property
    def row_samples(self) -> int:
        """Number of samples of a row after the last stage."""
        return self.transform.hop if self.transform else 1

    @property
    def context(self) -> int:
        """Number of rows on each side on which an activation depends; 0 for leaky ReLUs, which work point by point."""
        return SNAKE_REACH if self.snakes else 0

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
        """Number of rows before the first stage and after each one."""
        lengths = [frames]
        for stage, (rate, kernel) in enumerate(zip(self.rates, self.rate_kernels, strict=True)):
            lengths.append((lengths[-1] - 1) * rate + kernel - sum(self.sides(stage)))
        return lengths

    def samples(self, frames: int) -> int:
        """Number of samples of a mel."""
        return self.lengths(frames)[-1] * self.row_samples

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
        outputs = self.transform.n_fft + 2 if self.transform else 1
        return {**shapes, "conv_post": (outputs, self.width(len(self.rates) - 1), self.edge)}

    def snake_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight of a snake by its name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, size in self.weight_shapes().items() if self.snakes else ():
            if name.startswith(("resblocks", "conv_post")):
                shapes |= {f"{name}.{part}": size[1:2] for part in ("alpha", "beta")}
                shapes |= {f"{name}.{part}": (TAPS,) for part in ("up", "down")}
        return shapes

    def transform_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of the inverse transform by its name."""
        if self.transform is None:
            return {}
        n_fft, edge = self.transform.n_fft, self.transform.edge
        return {"istft.basis": (n_fft + 2, n_fft), "istft.first": (edge,), "istft.last": (edge,)}


def unit_names(shape: HifiganShape, stage: int, branch: int, unit: int) -> tuple[str, ...]:
    """Names of the convolutions of a residual unit, in order."""
    block = f"resblocks.{stage * len(shape.kernels) + branch}"
    if shape.pairs:
        return f"{block}.convs1.{unit}", f"{block}.convs2.{unit}"
    return (f"{block}.convs.{unit}",)


def in_pairs(shape: HifiganShape, stage: int, taps: int) -> bool:
    """Whether a stage's convolutions with this number of taps multiply bfloat16.

    In mixed precision all do except the long ones of the first stage, which add most of the noise. On HiFi-GAN V1 and
    24 prompts of three seconds, the noise is 41.6 dB or more below the samples, 45.7 dB in the median.
    """
    return shape.precision == "mixed" and not (stage == 0 and taps > _LONG)


def period(shape: HifiganShape) -> int:
    """Number of frames after which the tiles of all convolutions begin at the same places again."""
    found = 1
    for stage in range(len(shape.rates)):
        rows = prod(shape.rates[:stage])
        upsampled = for_taps(-(-shape.rate_kernels[stage] // shape.rates[stage])).outputs
        found, rows = lcm(found, upsampled // gcd(upsampled, rows)), rows * shape.rates[stage]
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
    if shape.precision == "mixed" and (shape.snakes or shape.transform):
        return "only HiFi-GAN has mixed precision"
    if shape.snakes and shape.transform:
        return "it has BigVGAN's snakes and iSTFTNet's inverse transform"
    if shape.mirrored and (shape.snakes or shape.transform):
        return "its convolutions mirror their input, which those of BigVGAN and iSTFTNet do not"
    if shape.transform and (shape.transform.n_fft % (2 * shape.transform.hop) or shape.transform.n_fft > shape.hop):
        return f"{shape.transform} does not overlap evenly within a frame of {shape.hop} samples"
    if period(shape) > _LONGEST_PERIOD:
        return f"the dilations {shape.dilations} have too large a common multiple"
    return None
