"""Normalization: the mean and scale of log-mel values, as data in the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

_MOST = 1e6


@dataclass(frozen=True)
class Normalization:
    """Normalization of log-mel values: `(value - mean) / scale`, then clipped to `clip`.

    Coqui's symmetric range is an example: it maps decibels of min_level_db + ref_level_db .. ref_level_db to
    -max_norm .. max_norm (coqui-ai/TTS, utils/audio/processor.py, normalize).

    >>> Normalization.from_dict({"mean": -30, "scale": 12.5, "clip": [-4, 4]}).mean
    (-30.0,)

    Args:
        mean: one mean for each band, or a single one for all of them, in log-mel units.
        scale: divisors, as many as means, positive, in log-mel units.
        clip: lowest and highest normalized value, or None if values are not clipped.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise ConfigError(
                f"normalization: {len(self.mean)} means, {len(self.scale)} scales; give one of each for each band"
            )
        _check("mean", self.mean, -_MOST, _MOST)
        _check("scale", self.scale, 1 / _MOST, _MOST)
        if self.clip is not None and not -_MOST <= self.clip[0] < self.clip[1] <= _MOST:
            raise ConfigError(f"normalization: clip is {list(self.clip)}; it must be a lower and a higher value")

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-mel values normalized and clipped, `[n_mels or 1] float64` along the first axis, both."""
        normalized = (values - self._along(self.mean, values)) / self._along(self.scale, values)
        return normalized if self.clip is None else np.clip(normalized, *self.clip)

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-mel values from normalized ones: the inverse of `apply` where nothing was clipped."""
        return values * self._along(self.scale, values) + self._along(self.mean, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: a list for each field, or a number if one holds for all bands."""
        plain: dict[str, Any] = {
            name: list(values) if len(values) != 1 else values[0]
            for name, values in (("mean", self.mean), ("scale", self.scale))
        }
        return plain if self.clip is None else plain | {"clip": list(self.clip)}

    @classmethod
    def from_dict(cls, plain: Any) -> Normalization:
        """The normalization that `to_dict` wrote, or that a user wrote in YAML.

        Raises:
            ConfigError: if a key is unknown or missing, or a value is not valid.
        """
        if not isinstance(plain, Mapping) or not {"mean", "scale"} <= set(plain) <= {"mean", "scale", "clip"}:
            raise ConfigError(
                "mel contract: normalization must be null or hold mean and scale (each a number for all bands, or a "
                "list of one number for each band) and, if values were clipped, clip: [lowest, highest]"
            )
        try:
            mean, scale = (_numbers(plain[name]) for name in ("mean", "scale"))
            clip = None if plain.get("clip") is None else _numbers(plain["clip"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"mel contract: normalization holds something that is not a number: {error}") from error
        if clip is not None and len(clip) != 2:
            raise ConfigError(f"mel contract: normalization: clip has {len(clip)} values; it must be [lowest, highest]")
        return cls(mean, scale, None if clip is None else (clip[0], clip[1]))

    @staticmethod
    def _along(each: tuple[float, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(each, np.float64).reshape(-1, *(1,) * (values.ndim - 1))


def _numbers(given: Any) -> tuple[float, ...]:
    return (float(given),) if isinstance(given, int | float) else tuple(map(float, given))


def _check(name: str, values: tuple[float, ...], least: float, most: float) -> None:
    for band, value in enumerate(values):
        if not least <= value <= most:
            raise ConfigError(
                f"normalization: the {name} of band {band} is {value:g}; every {name} must be from {least:g} to "
                f"{most:g}"
            )
