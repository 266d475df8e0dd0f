"""MelSpec: the contract of a mel and of the vocoder that takes it, as values; and how two contracts differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.melspec.difference import Difference, Remedy
from pipeline.melspec.exponentials import ln_of
from pipeline.melspec.normalization import Normalization
from pipeline.wording import meant

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney", "none"]
Log = Literal["ln", "log10", "db"]
Framing = Literal["same", "center"]
HannWindow = Literal["periodic", "symmetric"]
Flooring = Literal["max", "add"]
MelOrigin = Literal["recorded", "predicted"]
"""What mels are of: recordings, or an acoustic model, whose mels are smoother than those of any recording."""

# Largest values in a contract. A store's contract is read before anything else, and its filterbank is kept in memory.
_MOST_SIZES = {"sample_rate": 1_000_000, "n_fft": 32768, "hop_length": 32768, "win_length": 32768, "n_mels": 1024}
_MOST_VALUES = {"fmin": 1e6, "fmax": 1e6, "floor": 1e6, "magnitude_eps": 1.0, "power_floor": 1.0}
_CHOICES = {
    "mel_scale": MelScale, "mel_norm": MelNorm, "log": Log, "framing": Framing, "window": HannWindow,
    "flooring": Flooring,
}  # fmt: skip
_LEAST_FLOOR = 1e-37  # a float32 above its subnormals

# Fields that a stored contract may leave out, because it may be older than they are. They are also left out on writing
# if they have their defaults, so that the outputs of an earlier melmill keep their fingerprints.
_OPTIONAL = {"normalization", "magnitude_eps"}
_LATER: Mapping[str, Any] = {"window": "periodic", "flooring": "max", "power_floor": 0.0, "filter_rate": None}

# Negligible differences: of squared magnitudes that are added or used as a floor; at full scale they are about 1e5.
_NEGLIGIBLE_POWER = 1e-9
# The same of a value, in natural-log units: a smaller floor is lost in a larger one that is added to it.
_NEGLIGIBLE_LOG = 1e-5


@dataclass(frozen=True)
class MelSpec:
    """How a log-mel spectrogram was computed from audio: all that mels and a vocoder must agree on.

    The mel of a waveform is `log(max(filterbank @ |STFT|**power, floor))`, then normalized. The STFT's window is the
    Hann window of `win_length`, centred in `n_fft`.

    Args:
        sample_rate: sample rate of the audio [Hz].
        n_fft: length of the Fourier transform [samples].
        hop_length: distance from one frame to the next [samples].
        win_length: length of the window [samples], at most `n_fft`.
        n_mels: number of mel bands.
        fmin: lower edge of the lowest band [Hz].
        fmax: upper edge of the highest band [Hz], at most half of `sample_rate` (or of `filter_rate`).
        mel_scale: scale of the bands, "slaney" (linear to 1 kHz, then logarithmic) or "htk" (2595 log10(1 + f/700)).
        mel_norm: norm of the filters, "slaney" (each triangle has unit area over Hz) or "none" (unit peak).
        power: power of the magnitudes, 1 (magnitudes) or 2 (powers).
        log: kind of logarithm, "ln", "log10" or "db" (20 log10 of magnitudes, 10 log10 of powers).
        floor: smallest linear value under the logarithm.
        framing: position of the frames, "same" (reflect-padded by (n_fft - hop_length) / 2; L samples give
            L // hop_length frames) or "center" (reflect-padded by n_fft / 2; they give 1 + L // hop_length frames).
        normalization: mean and scale of the log values, or None.
        magnitude_eps: number that is added to the squared magnitude under its root (HiFi-GAN's own code adds 1e-9).
        window: kind of Hann window, 0.5 - 0.5 cos(2 pi n / N): "periodic" (N is win_length) or "symmetric" (N is
            win_length - 1).
        flooring: use of the floor, "max" (the logarithm of max(value, floor)) or "add" (of value + floor).
        power_floor: smallest squared magnitude; smaller ones are replaced by it (ESPnet's own code: 1e-10).
        filter_rate: sample rate that the filterbank was built for [Hz], if it is not that of the audio; the bands'
            edges, `fmin` and `fmax` are then Hz at that rate. None for `sample_rate`.

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
    window: HannWindow = "periodic"
    flooring: Flooring = "max"
    power_floor: float = 0.0
    filter_rate: int | None = None

    def __post_init__(self) -> None:
        def require(holds: bool, what: str) -> None:
            if not holds:
                raise ConfigError(f"mel contract: {what}")

        for name, size in (_MOST_SIZES | {"filter_rate": _MOST_SIZES["sample_rate"]}).items():
            value = getattr(self, name)
            require(
                (name == "filter_rate" and value is None)
                or (isinstance(value, int) and not isinstance(value, bool) and 0 < value <= size),
                f"{name} is {value!r:.80}; it must be a whole number from 1 to {size}",
            )
        for name, most in _MOST_VALUES.items():
            value = getattr(self, name)
            require(
                isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most,
                f"{name} is {value!r:.80}; it must be a number up to {most:g}",
            )
        for name, kind in _CHOICES.items():
            value, allowed = getattr(self, name), get_args(kind)
            require(value in allowed, f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
        require(type(self.power) is int and self.power in (1, 2), f"power is {self.power!r}; it must be 1 or 2")
        require(self.n_fft % 2 == 0, f"n_fft is {self.n_fft}; it must be even")
        require(
            self.hop_length <= self.win_length <= self.n_fft,
            f"needs hop_length <= win_length <= n_fft, not {self.hop_length}, {self.win_length}, {self.n_fft}",
        )
        require(
            self.fmin >= 0 and self.fmin + 1 <= self.fmax <= self.bank_rate / 2,
            "0 <= fmin and fmin + 1 <= fmax <= sample_rate / 2 does not hold for "
            f"{self.fmin}, {self.fmax}, {self.bank_rate}",
        )
        require(
            self.floor >= _LEAST_FLOOR,
            f"floor is {self.floor}; it must be {_LEAST_FLOOR:g} or more, since its logarithm is taken",
        )
        for name in ("magnitude_eps", "power_floor"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must not be negative")
        if self.framing == "same":
            require(
                (self.n_fft - self.hop_length) % 2 == 0,
                f"framing same needs an even n_fft - hop_length, not {self.n_fft} - {self.hop_length}",
            )
        if self.normalization is not None:
            require(
                len(self.normalization.mean) in (1, self.n_mels),
                f"normalization has {len(self.normalization.mean)} bands, n_mels is {self.n_mels}",
            )

    @property
    def padding(self) -> int:
        """Number of samples by which a waveform is reflect-padded on each side before framing."""
        return (self.n_fft - self.hop_length) // 2 if self.framing == "same" else self.n_fft // 2

    @property
    def silence(self) -> float:
        """The log of the floor, before normalization: the lowest value that such a mel can hold."""
        return self.log_scale * ln_of(self.floor)

    @property
    def bank_rate(self) -> int:
        """The sample rate that the filterbank is built for [Hz]."""
        return self.sample_rate if self.filter_rate is None else self.filter_rate

    @property
    def log_scale(self) -> float:
        """Factor from a natural logarithm to this spec's logarithm."""
        return {"ln": 1.0, "log10": 1 / ln_of(10), "db": (20 if self.power == 1 else 10) / ln_of(10)}[self.log]

    def frames(self, samples: int) -> int:
        """Number of frames that a waveform of `samples` samples gives."""
        return samples // self.hop_length if self.framing == "same" else 1 + samples // self.hop_length

    def samples(self, frames: int) -> int:
        """Number of samples of `frames` frames: a hop for each frame, or between each two if they are centred."""
        return max(0, frames if self.framing == "same" else frames - 1) * self.hop_length

    def seconds(self, frames: int) -> float:
        """Duration of `frames` frames [s]."""
        return frames * self.hop_length / self.sample_rate

    def natural_floor(self) -> NDArray[np.float64]:
        """The lowest value of each band in natural-log units, `[n_mels] float64`, or `[1]` if all are the same.

        It is the floor's logarithm, or the value to which the normalization clips.
        """
        lowest = np.array([ln_of(self.floor)])
        if self.normalization is None or self.normalization.clip is None:
            return lowest
        clipped = self.normalization.undo(np.array([self.normalization.clip[0]])) / self.log_scale
        return np.asarray(np.maximum(lowest, clipped))

    def stored_floor(self) -> float:
        """The lowest value that such a mel can hold in any band, as stored: normalized and clipped."""
        floor = self.natural_floor() * self.log_scale
        return float((floor if self.normalization is None else self.normalization.apply(floor)).min())

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values, as written in a store and in job.json."""
        plain = dataclasses.asdict(self)
        if self.normalization is not None:
            plain["normalization"] = self.normalization.to_dict()
        return {name: value for name, value in plain.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MelSpec:
        """The spec that `to_dict` wrote, or that a user wrote in YAML.

        Raises:
            ConfigError: if a key is unknown or missing, or a value is impossible.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(map(str, plain)) - known):
            named = ", ".join(f"{name}{meant(name, known)}" for name in unknown)
            raise ConfigError(f"mel contract: unknown key {named}; the keys are {', '.join(sorted(known))}")
        if missing := sorted(known - _OPTIONAL - set(_LATER) - set(plain)):
            raise ConfigError(
                f"mel contract: missing key {', '.join(missing)}; or add preset: NAME, from which missing keys "
                "are taken"
            )
        values = dict(plain)
        if values.get("normalization") is not None:
            values["normalization"] = Normalization.from_dict(values["normalization"])
        return cls(**values)

    def compare(self, target: MelSpec) -> tuple[Difference, ...]:
        """The fields in which this contract, of a mel at hand, differs from the one that is wanted.

        The following convert exactly: the base of the logarithm, a lower floor to a higher one, a floor that was added
        (it can be subtracted again), and a known normalization, as far as it did not clip.

        >>> from pipeline.melspec import PRESETS
        >>> PRESETS["hifigan-22k"].compare(PRESETS["tacotron2-22k"])[0].field
        'framing'
        """
        found = []
        mine, wanted = self.natural_floor(), target.natural_floor()
        for field in dataclasses.fields(self):
            ours, theirs = getattr(self, field.name), getattr(target, field.name)
            remedy: Remedy = "impossible"
            if field.name == "floor":
                if np.allclose(mine, wanted, rtol=0, atol=1e-9):
                    continue
                ours, theirs = float(np.exp(mine.max())), float(np.exp(wanted.min()))  # with the effect of a clip
                remedy = "exact" if (mine <= wanted + 1e-9).all() else "impossible"
            elif ours == theirs:
                continue
            elif field.name in ("log", "normalization"):
                remedy = "exact"
            elif field.name == "flooring":
                lost = (mine > wanted + math.log(_NEGLIGIBLE_LOG)).any()  # values below a floor that was not added
                remedy = "impossible" if ours == "max" and lost else "exact"
            elif field.name == "window" or (
                field.name in ("magnitude_eps", "power_floor") and abs(ours - theirs) <= _NEGLIGIBLE_POWER
            ):
                remedy = "negligible"
            found.append(Difference(field.name, ours, theirs, remedy))
        return tuple(found)
