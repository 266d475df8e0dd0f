"""MelSpec: the mel contract, its presets, comparison, and the conversions that are exact."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, ContractError

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney", "none"]
Log = Literal["ln", "log10", "db"]
Framing = Literal["same", "center"]
Remedy = Literal["exact", "negligible", "impossible"]

# The most that a contract may say: a store's is read before anything else, and the filterbank is taken into memory.
_MOST_SIZES = {"sample_rate": 1_000_000, "n_fft": 32768, "hop_length": 32768, "win_length": 32768, "n_mels": 1024}
_MOST_VALUES = {"fmin": 1e6, "fmax": 1e6, "floor": 1e6, "magnitude_eps": 1.0}
_LEAST_FLOOR = 1e-37  # a float32 above its subnormals
_MOST_LOG = 1e6


@dataclass(frozen=True)
class Normalization:
    """Per-band normalization of log-mel values: `(value - mean) / scale`.

    Args:
        mean: one mean for each band, in log-mel units.
        scale: one divisor for each band, positive, in log-mel units.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise ConfigError(
                f"normalization: {len(self.mean)} means, {len(self.scale)} scales; give one of each a band"
            )
        if not all(-_MOST_LOG <= value <= _MOST_LOG for value in self.mean):
            raise ConfigError(f"normalization: every mean must be within {_MOST_LOG:g} of 0")
        if not all(1 / _MOST_LOG <= value <= _MOST_LOG for value in self.scale):
            raise ConfigError(f"normalization: every scale must be from {1 / _MOST_LOG:g} to {_MOST_LOG:g}")


@dataclass(frozen=True)
class Difference:
    """One field in which two contracts differ.

    Args:
        field: the field's name.
        source: the value of the mel's own contract.
        target: the value that is wanted.
        remedy: "exact" if the values convert exactly, "negligible" if the field changes log-mel values only near
            the floor, of speech by less than 0.02, "impossible" if the information is not there.
    """

    field: str
    source: Any
    target: Any
    remedy: Remedy

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.source)} -> {_short(self.target)} ({_REMEDY_WORDS[self.remedy]})"


_REMEDY_WORDS = {"exact": "converts exactly", "negligible": "negligible", "impossible": "cannot be converted"}


@dataclass(frozen=True)
class MelSpec:
    """How a log-mel spectrogram was computed from audio. All that a vocoder must agree with.

    The mel of a waveform is `log(max(filterbank @ |STFT|**power, floor))`, then normalized. The STFT's window is the
    periodic Hann window of `win_length`, centred in `n_fft`.

    Args:
        sample_rate: of the audio [Hz].
        n_fft: length of the Fourier transform [samples].
        hop_length: from one frame to the next [samples].
        win_length: length of the window [samples], at most `n_fft`.
        n_mels: number of mel bands.
        fmin: lower edge of the lowest band [Hz].
        fmax: upper edge of the highest band [Hz], at most half of `sample_rate`.
        mel_scale: "slaney" (linear to 1 kHz, then logarithmic) or "htk" (2595 log10(1 + f/700)).
        mel_norm: "slaney" (each triangle has unit area over Hz) or "none" (unit peak).
        power: 1 for magnitudes, 2 for powers.
        log: "ln", "log10", or "db" (20 log10 of magnitudes, 10 log10 of powers).
        floor: smallest linear value under the logarithm.
        framing: "same" (reflect-padded by (n_fft - hop_length) / 2: L samples give L // hop_length frames) or
            "center" (reflect-padded by n_fft / 2: L samples give 1 + L // hop_length frames).
        normalization: per-band mean and scale of the log values, or None.
        magnitude_eps: added to the squared magnitude under its root (HiFi-GAN's own code adds 1e-9).

    Raises:
        ConfigError: if a value is impossible.
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    win_length: int
    n_mels: int
    fmin: float
    fmax: float
    mel_scale: MelScale
    mel_norm: MelNorm
    power: Literal[1, 2]
    log: Log
    floor: float
    framing: Framing
    normalization: Normalization | None = None
    magnitude_eps: float = 0.0

    def __post_init__(self) -> None:
        def require(holds: bool, what: str) -> None:
            if not holds:
                raise ConfigError(f"mel spec: {what}")

        for name, size in _MOST_SIZES.items():
            value = getattr(self, name)
            require(
                isinstance(value, int) and not isinstance(value, bool) and 0 < value <= size,
                f"{name} is {value!r:.80}; it must be a whole number from 1 to {size}",
            )
        for name, most in _MOST_VALUES.items():
            value = getattr(self, name)
            require(
                isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most,
                f"{name} is {value!r:.80}; it must be a number up to {most:g}",
            )
        for name, kind in (("mel_scale", MelScale), ("mel_norm", MelNorm), ("log", Log), ("framing", Framing)):
            value, allowed = getattr(self, name), get_args(kind)
            require(value in allowed, f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
        require(type(self.power) is int and self.power in (1, 2), f"power is {self.power!r}; it must be 1 or 2")
        require(self.n_fft % 2 == 0, f"n_fft is {self.n_fft}; it must be even")
        require(
            self.hop_length <= self.win_length <= self.n_fft,
            f"needs hop_length <= win_length <= n_fft, not {self.hop_length}, {self.win_length}, {self.n_fft}",
        )
        require(
            self.fmin >= 0 and self.fmin + 1 <= self.fmax <= self.sample_rate / 2,
            "0 <= fmin and fmin + 1 <= fmax <= sample_rate / 2 does not hold for "
            f"{self.fmin}, {self.fmax}, {self.sample_rate}",
        )
        require(
            self.floor >= _LEAST_FLOOR,
            f"floor is {self.floor}; it must be {_LEAST_FLOOR:g} or more, since its logarithm is taken",
        )
        require(self.magnitude_eps >= 0, f"magnitude_eps is {self.magnitude_eps}; it must not be negative")
        if self.framing == "same":
            require(
                (self.n_fft - self.hop_length) % 2 == 0,
                f"framing same needs an even n_fft - hop_length, not {self.n_fft} - {self.hop_length}",
            )
        if self.normalization is not None:
            require(
                len(self.normalization.mean) == self.n_mels,
                f"normalization has {len(self.normalization.mean)} bands, n_mels is {self.n_mels}",
            )

    @property
    def padding(self) -> int:
        """Samples by which a waveform is reflect-padded on both sides before framing."""
        return (self.n_fft - self.hop_length) // 2 if self.framing == "same" else self.n_fft // 2

    @property
    def silence(self) -> float:
        """The log of the floor, before normalization: the lowest value that such a mel can hold."""
        return self.log_scale * math.log(self.floor)

    @property
    def log_scale(self) -> float:
        """What a natural logarithm is multiplied by to give this spec's logarithm."""
        return {"ln": 1.0, "log10": 1 / math.log(10), "db": (20 if self.power == 1 else 10) / math.log(10)}[self.log]

    def frames(self, samples: int) -> int:
        """Number of frames that a waveform of `samples` samples gives."""
        return samples // self.hop_length if self.framing == "same" else 1 + samples // self.hop_length

    def samples(self, frames: int) -> int:
        """Number of samples of `frames` frames: a hop for each, or, where they are centred, between each two."""
        return max(0, frames if self.framing == "same" else frames - 1) * self.hop_length

    def seconds(self, frames: int) -> float:
        """Duration of `frames` frames [s]."""
        return frames * self.hop_length / self.sample_rate

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values, as written in a store and in job.json."""
        plain = dataclasses.asdict(self)
        if self.normalization is not None:
            plain["normalization"] = {"mean": list(self.normalization.mean), "scale": list(self.normalization.scale)}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MelSpec:
        """The spec that `to_dict` wrote, or that a user wrote in YAML.

        Raises:
            ConfigError: if a key is unknown or missing, or a value is impossible.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        optional = {"normalization", "magnitude_eps"}
        if unknown := sorted(set(map(str, plain)) - known):
            raise ConfigError(f"mel spec: unknown key {', '.join(unknown)}; the keys are {', '.join(sorted(known))}")
        if missing := sorted(known - optional - set(plain)):
            raise ConfigError(f"mel spec: missing key {', '.join(missing)}")
        values = dict(plain)
        if values.get("normalization") is not None:
            given = values["normalization"]
            if not isinstance(given, Mapping) or set(given) != {"mean", "scale"}:
                raise ConfigError("mel spec: normalization must be null or hold mean and scale, one number a band each")
            try:
                values["normalization"] = Normalization(*(tuple(map(float, given[name])) for name in ("mean", "scale")))
            except (TypeError, ValueError, OverflowError) as error:
                raise ConfigError(f"mel spec: normalization holds something that is no number: {error}") from error
        return cls(**values)

    def compare(self, target: MelSpec) -> tuple[Difference, ...]:
        """The fields in which this contract, of a mel at hand, differs from the one that is wanted.

        What converts exactly is the base of the logarithm, a higher floor from a lower one, and a known normalization.

        >>> PRESETS["hifigan-22k"].compare(PRESETS["tacotron2-22k"])[0].field
        'framing'
        """
        found = []
        for field in dataclasses.fields(self):
            mine, wanted = getattr(self, field.name), getattr(target, field.name)
            if mine == wanted:
                continue
            remedy: Remedy = "impossible"
            if field.name in ("log", "normalization") or (field.name == "floor" and mine < wanted):
                remedy = "exact"
            elif field.name == "magnitude_eps" and abs(mine - wanted) <= 1e-9:
                remedy = "negligible"
            found.append(Difference(field.name, mine, wanted, remedy))
        return tuple(found)


def convert_mel(mel: NDArray[np.float32], source: MelSpec, target: MelSpec) -> NDArray[np.float32]:
    """The mel in another contract's values, where that is exact; the same array where nothing is to be done.

    Args:
        mel: `[n_mels, frames] float32` in `source`'s values.
        source: the mel's own contract.
        target: the contract that is wanted.

    Returns:
        `[n_mels, frames] float32` in `target`'s values.

    Raises:
        ContractError: if the contracts differ in a field that does not convert.
    """
    differences = source.compare(target)
    if bad := [d for d in differences if d.remedy == "impossible"]:
        raise ContractError("this mel cannot be converted: " + "; ".join(map(str, bad)))
    if all(d.remedy == "negligible" for d in differences):
        return mel
    natural = mel.astype(np.float64)
    if source.normalization is not None:
        natural = natural * _column(source.normalization.scale) + _column(source.normalization.mean)
    natural = np.maximum(natural / source.log_scale, math.log(target.floor))
    converted = natural * target.log_scale
    if target.normalization is not None:
        converted = (converted - _column(target.normalization.mean)) / _column(target.normalization.scale)
    return converted.astype(np.float32)


def _column(values: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)[:, None]


def _short(value: Any) -> str:
    if isinstance(value, Normalization):
        return f"per-band mean and scale ({len(value.mean)} bands)"
    return "none" if value is None else str(value)


# Values: the training code that each name stands for. HiFi-GAN: jik876/hifi-gan meldataset.py and config_v1.json.
# Tacotron 2: NVIDIA/tacotron2 layers.py and hparams.py (its STFT centres its frames and adds no epsilon).
_HIFIGAN_22K = MelSpec(
    sample_rate=22050, n_fft=1024, hop_length=256, win_length=1024, n_mels=80, fmin=0.0, fmax=8000.0,
    mel_scale="slaney", mel_norm="slaney", power=1, log="ln", floor=1e-5, framing="same", magnitude_eps=1e-9,
)  # fmt: skip

PRESETS: Mapping[str, MelSpec] = {
    "hifigan-22k": _HIFIGAN_22K,
    "tacotron2-22k": dataclasses.replace(_HIFIGAN_22K, framing="center", magnitude_eps=0.0),
}


def preset(name: str) -> MelSpec:
    """The preset of that name.

    Raises:
        ConfigError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"no mel preset is named {name!r}; the presets are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
