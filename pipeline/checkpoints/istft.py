"""The inverse Fourier transform that follows a model whose output is a spectrum; the model's card describes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.melspec.spec import Framing


@dataclass(frozen=True)
class Istft:
    """An inverse short-time Fourier transform with a periodic Hann window of `n_fft` samples.

    Args:
        n_fft: length of the Fourier transform and of the window [samples], even.
        hop: distance from one frame to the next [samples], at most half of `n_fft`.
        padding: name of the padding, which is cut off at both ends: "center" (n_fft / 2 samples: T frames give (T - 1)
            hop samples) or "same" ((n_fft - hop) / 2 samples: T frames give T hop samples).

    Raises:
        ConfigError: if a value is impossible.
    """

    n_fft: int
    hop: int
    padding: Framing

    def __post_init__(self) -> None:
        # With less overlap, some samples would rest on the tail of a single window.
        if self.n_fft % 2 or not 0 < 2 * self.hop <= self.n_fft or (self.padding == "same" and self.hop % 2):
            raise ConfigError(
                f"inverse STFT: n_fft {self.n_fft}, hop {self.hop}, padding {self.padding}: n_fft must be even and at "
                "least twice the hop, and the hop even where the padding is same"
            )

    @property
    def cut(self) -> int:
        """Number of samples that are cut off at each end."""
        return self.n_fft // 2 if self.padding == "center" else (self.n_fft - self.hop) // 2

    @property
    def halo(self) -> tuple[int, int]:
        """Frames (left, right) beside frame 0 on which samples 0 .. hop - 1 depend.

        Frame t reaches from sample t hop - cut to t hop - cut + n_fft - 1.
        """
        return (self.n_fft - 1 - self.cut) // self.hop, (self.hop - 1 + self.cut) // self.hop

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames, 1 or more [samples]."""
        return (frames - 1) * self.hop + self.n_fft - 2 * self.cut

    def spec(self, mel: MelSpec) -> MelSpec:
        """A spec with this transform's geometry, for `dsp.stft`; all other fields are those of the model's mels."""
        return dataclasses.replace(
            mel, n_fft=self.n_fft, hop_length=self.hop, win_length=self.n_fft, framing=self.padding, window="periodic"
        )

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Istft:
        """The transform from the values that `dataclasses.asdict` made of it.

        Raises:
            ValueError: if the values do not describe a transform.
            ConfigError: if a value is impossible.
        """
        if (
            not isinstance(plain, Mapping)
            or set(plain) != {"n_fft", "hop", "padding"}
            or plain["padding"] not in ("same", "center")
        ):
            raise ValueError(f"inverse STFT: {plain!r:.120} does not describe a transform")
        return cls(int(plain["n_fft"]), int(plain["hop"]), plain["padding"])
