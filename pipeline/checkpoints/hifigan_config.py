"""HiFi-GAN's config.json: the shape of a generator, and its mels.

Kong, Kim, Bae: HiFi-GAN (2020), https://arxiv.org/abs/2010.05646; code: jik876/hifi-gan.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec


@dataclass(frozen=True)
class GeneratorShape:
    """The shape of a generator; the fields have the names of HiFi-GAN's config.json.

    Args:
        resblock: kind of residual block, "1" (two convolutions for each dilation) or "2" (one).
        upsample_rates: rate of each stage; the product of all is the hop.
        upsample_kernel_sizes: kernel size of each stage, at least its rate [samples at the stage's output].
        upsample_initial_channel: number of channels before the first stage; each stage halves it.
        resblock_kernel_sizes: kernel size of each branch of a stage, odd.
        resblock_dilation_sizes: dilations of each branch, one for each of its residual units.
        num_mels: number of mel bands.

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

    def __post_init__(self) -> None:
        rates, kernels = self.upsample_rates, self.upsample_kernel_sizes
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
        ):
            if not holds:
                raise ConfigError(f"HiFi-GAN config: {what}")

    @property
    def hop(self) -> int:
        """Number of samples that a frame becomes, without what odd kernels add at the end."""
        return math.prod(self.upsample_rates)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The shape in a decoded config.json; keys that concern training are ignored.

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


@dataclass(frozen=True)
class HifiganConfig(GeneratorShape):
    """The keys of HiFi-GAN's config.json that define the generator and its mels, under their own names.

    Args:
        sampling_rate: sample rate of the audio [Hz].
        n_fft: length of the Fourier transform [samples].
        hop_size: distance from one frame to the next [samples]; the product of `upsample_rates`.
        win_size: length of the window [samples].
        fmin: lower edge of the lowest band [Hz].
        fmax: upper edge of the highest band [Hz]; None stands for half of `sampling_rate`.

    Raises:
        ConfigError: if a value is impossible.
    """

    sampling_rate: int
    n_fft: int
    hop_size: int
    win_size: int
    fmin: float
    fmax: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hop != self.hop_size:
            raise ConfigError(f"HiFi-GAN config: upsample_rates multiply to {self.hop}; hop_size is {self.hop_size}")

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
            raise ConfigError(f"{path}: does not hold a JSON object")
        return cls.from_dict(plain)

    def mel_spec(self) -> MelSpec:
        """The mels that such a generator is trained on: meldataset.py of jik876/hifi-gan, with this config's numbers.

        Raises:
            ConfigError: if no mel can have these numbers.
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
    # More than any generator has: sizes are bounded before layers are made.
    if not isinstance(value, list | tuple) or len(value) > _MOST_SIZES:
        raise ValueError(f"{value!r:.40} should be a list of up to {_MOST_SIZES} numbers")
    return tuple(map(_positive, value))


_MOST_SIZES = 64
