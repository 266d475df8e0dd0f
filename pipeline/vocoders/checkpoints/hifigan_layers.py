"""HiFi-GAN's generator as layers, computed from its config.json, and what follows from them: lengths and halo.

Kong, Kim, Bae: HiFi-GAN (2020), https://arxiv.org/abs/2010.05646; code: jik876/hifi-gan, models.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec

Span = tuple[int, int]
"""Positions first..last along time, both included."""


@dataclass(frozen=True)
class HifiganConfig:
    """The keys of HiFi-GAN's config.json that shape the generator and its mels, under their own names.

    Args:
        resblock: "1" (two convolutions a dilation) or "2" (one).
        upsample_rates: of each stage; their product is `hop_size`.
        upsample_kernel_sizes: of each stage, at least its rate [samples at the stage's output].
        upsample_initial_channel: channels before the first stage; each stage halves them.
        resblock_kernel_sizes: of each branch of a stage, odd.
        resblock_dilation_sizes: of each branch, one for each of its residual units.
        num_mels: number of mel bands.
        sampling_rate: of the audio [Hz].
        n_fft: length of the Fourier transform [samples].
        hop_size: from one frame to the next [samples].
        win_size: length of the window [samples].
        fmin: lower edge of the lowest band [Hz].
        fmax: upper edge of the highest band [Hz]; None stands for half of `sampling_rate`.

    Raises:
        ConfigError: if a value is impossible.
    """

    resblock: Literal["1", "2"]
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    num_mels: int
    sampling_rate: int
    n_fft: int
    hop_size: int
    win_size: int
    fmin: float
    fmax: float | None

    def __post_init__(self) -> None:
        rates, kernels = self.upsample_rates, self.upsample_kernel_sizes
        product = 1
        for rate in rates:
            product *= rate
        for holds, what in (
            (self.resblock in ("1", "2"), f'resblock is {self.resblock!r}; it must be "1" or "2"'),
            (len(rates) == len(kernels) > 0, "upsample_rates and upsample_kernel_sizes must be equally long"),
            (all(k >= u for u, k in zip(rates, kernels, strict=False)), "an upsample kernel is smaller than its rate"),
            (all(k % 2 for k in self.resblock_kernel_sizes), "every one of resblock_kernel_sizes must be odd"),
            (
                len(self.resblock_kernel_sizes) == len(self.resblock_dilation_sizes) > 0,
                "resblock_kernel_sizes and resblock_dilation_sizes must be equally long",
            ),
            (self.upsample_initial_channel >> len(rates) > 0, "upsample_initial_channel is too small to be halved"),
            (product == self.hop_size, f"upsample_rates multiply to {product}; hop_size is {self.hop_size}"),
        ):
            if not holds:
                raise ConfigError(f"HiFi-GAN config: {what}")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> HifiganConfig:
        """The config in a decoded config.json; keys that concern training are passed over.

        Raises:
            ConfigError: if a key is missing or a value is impossible.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in plain]:
            raise ConfigError(f"HiFi-GAN config: missing key {', '.join(missing)}")
        values: dict[str, Any] = {name: plain[name] for name in names}
        try:
            for name in names:
                if name == "resblock_dilation_sizes":
                    values[name] = tuple(_positives(dilations) for dilations in values[name])
                elif name.endswith(("_rates", "_sizes")):
                    values[name] = _positives(values[name])
                elif name not in ("resblock", "fmin", "fmax"):
                    values[name] = _positive(values[name])
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"HiFi-GAN config: {error}") from error

    @classmethod
    def read(cls, path: Path) -> HifiganConfig:
        """The config in a config.json.

        Raises:
            ConfigError: if the file cannot be read, or `from_dict` refuses it.
        """
        try:
            plain = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
        if not isinstance(plain, dict):
            raise ConfigError(f"{path}: holds no JSON object")
        return cls.from_dict(plain)

    def mel_spec(self) -> MelSpec:
        """The mels that such a generator is trained on: jik876/hifi-gan, meldataset.py, with this config's numbers.

        Raises:
            ConfigError: if the numbers fit no mel.
        """
        return MelSpec(
            sample_rate=self.sampling_rate, n_fft=self.n_fft, hop_length=self.hop_size, win_length=self.win_size,
            n_mels=self.num_mels, fmin=self.fmin, fmax=self.sampling_rate / 2 if self.fmax is None else self.fmax,
            mel_scale="slaney", mel_norm="slaney", power=1, log="ln", floor=1e-5, framing="same", magnitude_eps=1e-9,
        )  # fmt: skip


def _positive(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 20:
        raise ValueError(f"{value!r:.40} should be a whole number above 0")
    return value


def _positives(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r:.40} should be a list")
    return tuple(map(_positive, value))


@dataclass(frozen=True)
class Layer:
    """A convolution along time that keeps the length, or (`rate` given) a transposed one that multiplies it.

    Args:
        name: its name in the checkpoint's keys.
        inputs: channels.
        outputs: channels.
        kernel: its length.
        dilation: distance of the kernel's taps.
        rate: of upsampling, for a transposed convolution; else None.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    dilation: int = 1
    rate: int | None = None

    @property
    def weight_shape(self) -> tuple[int, int, int]:
        """As torch stores it: a transposed convolution has its input channels first."""
        channels = (self.outputs, self.inputs) if self.rate is None else (self.inputs, self.outputs)
        return (*channels, self.kernel)

    @property
    def padding(self) -> int:
        """Positions cut off (transposed) or padded with zeros on each side."""
        return (self.kernel - 1) * self.dilation // 2 if self.rate is None else (self.kernel - self.rate) // 2

    def length(self, length: int) -> int:
        """Output length for an input of `length`: (length - 1) rate - 2 padding + kernel, if transposed."""
        return length if self.rate is None else (length - 1) * self.rate - 2 * self.padding + self.kernel

    def needs(self, span: Span) -> Span:
        """The input positions on which the output positions of `span` depend.

        Output o of a convolution sums inputs o - padding + dilation j, of a transposed one those i for which
        o = rate i - padding + j, each with 0 <= j < kernel.
        """
        first, last = span
        if self.rate is None:
            return first - self.padding, last - self.padding + (self.kernel - 1) * self.dilation
        return -((self.kernel - 1 - first - self.padding) // self.rate), (last + self.padding) // self.rate


Unit = tuple[Layer, ...]
"""A residual unit: x + its layers in turn, each after a leaky ReLU."""
Branch = tuple[Unit, ...]
"""One ResBlock: its units in turn."""


@dataclass(frozen=True)
class Stage:
    """One upsampling layer, and the branches whose mean follows it."""

    up: Layer
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Generator:
    """All layers of one generator, in order."""

    pre: Layer
    stages: tuple[Stage, ...]
    post: Layer

    def layers(self) -> Iterator[Layer]:
        """Every layer, once."""
        yield self.pre
        for stage in self.stages:
            yield stage.up
            yield from (layer for branch in stage.branches for unit in branch for layer in unit)
        yield self.post

    def samples(self, frames: int) -> int:
        """Length of the waveform [samples] that `frames` frames give."""
        length = frames
        for stage in self.stages:
            length = stage.up.length(length)
        return length

    def halo(self) -> tuple[int, int]:
        """Frames (left, right) beside frame 0 on which its own samples, 0 .. hop - 1, depend.

        Both ends of `Layer.needs` grow with the position, and shifting the samples by a hop shifts the frames by one.
        So the ends of this one frame are the worst case for all samples of any core.
        """
        span = (0, self.samples(2) - self.samples(1) - 1)
        span = self.post.needs(span)
        for stage in reversed(self.stages):
            spans = []
            for branch in stage.branches:
                inner = span
                for layer in reversed([layer for unit in branch for layer in unit]):
                    inner = layer.needs(inner)
                spans.append(inner)
            span = stage.up.needs((min(first for first, _ in spans), max(last for _, last in spans)))
        first, last = self.pre.needs(span)
        return -first, last


def generator(config: HifiganConfig) -> Generator:
    """The generator that a config describes: `Generator`, `ResBlock1` and `ResBlock2` of models.py."""
    stages = []
    channels = config.upsample_initial_channel
    pre = Layer("conv_pre", config.num_mels, channels, 7)
    for i, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True)):
        up = Layer(f"ups.{i}", channels, channels // 2, kernel, rate=rate)
        channels //= 2
        sizes = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
        branches = []
        for number, (size, dilations) in enumerate(sizes, start=i * len(config.resblock_kernel_sizes)):
            units = (_unit(config, f"resblocks.{number}", j, channels, size, d) for j, d in enumerate(dilations))
            branches.append(tuple(units))
        stages.append(Stage(up, tuple(branches)))
    return Generator(pre, tuple(stages), Layer("conv_post", channels, 1, 7))


def _unit(config: HifiganConfig, block: str, number: int, channels: int, kernel: int, dilation: int) -> Unit:
    if config.resblock == "2":
        return (Layer(f"{block}.convs.{number}", channels, channels, kernel, dilation),)
    return (
        Layer(f"{block}.convs1.{number}", channels, channels, kernel, dilation),
        Layer(f"{block}.convs2.{number}", channels, channels, kernel),
    )
