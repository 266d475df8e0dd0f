"""Converts mels from the values of one contract to those of another, where that is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ContractError
from pipeline.melspec.exponentials import exp, ln, ln_of
from pipeline.melspec.spec import MelSpec


def convert_mel(mel: NDArray[np.float32], source: MelSpec, target: MelSpec) -> NDArray[np.float32]:
    """The mel in the values of another contract, where that is exact; the same array if nothing has to be done.

    Args:
        mel: the mel, `[n_mels, frames] float32` in the values of `source`.
        source: the mel's own contract.
        target: the contract that is wanted.

    Returns:
        `[n_mels, frames] float32` in `target`'s values.

    Raises:
        ContractError: if the contracts differ in a field that does not convert.
        BadMelError: if a value was clipped from above, so that the original value is lost.
    """
    return Conversion.between(source, target).apply(mel)


@dataclass(frozen=True)
class Conversion:
    """What `convert_mel` does with every mel of a contract. Two contracts are compared once.

    It makes the same bits on every processor: of float64, only the operations that IEEE 754 rounds to the nearest.

    Args:
        source: the mels' own contract.
        target: the contract that is wanted.
        needed: whether values change.
    """

    source: MelSpec
    target: MelSpec
    needed: bool

    @classmethod
    def between(cls, source: MelSpec, target: MelSpec) -> Conversion:
        """The conversion from one contract to another.

        Raises:
            ContractError: if the contracts differ in a field that does not convert.
        """
        differences = source.compare(target)
        if bad := [d for d in differences if d.remedy == "impossible"]:
            raise ContractError("this mel cannot be converted: " + "; ".join(map(str, bad)))
        return cls(source, target, any(d.remedy != "negligible" for d in differences))

    def apply(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """A mel in the values of `target`, both `[n_mels, frames] float32`; the same array if no value changes.

        Raises:
            BadMelError: if a value was clipped from above, so that the original value is lost.
        """
        if not self.needed:
            return mel
        natural = mel.astype(np.float64)
        if self.source.normalization is not None:
            _check_clipped(mel, self.source, self.target)
            natural = self.source.normalization.undo(natural)
        natural = _floored(natural / self.source.log_scale, self.source, self.target)
        converted = natural * self.target.log_scale
        if self.target.normalization is not None:
            converted = self.target.normalization.apply(converted)
        return converted.astype(np.float32)


def _floored(natural: NDArray[np.float64], source: MelSpec, target: MelSpec) -> NDArray[np.float64]:
    """Natural logarithms with the floor of the target instead of that of the source."""
    if target.flooring == source.flooring and (target.flooring == "max" or target.floor == source.floor):
        return np.maximum(natural, ln_of(target.floor))
    linear = exp(natural)
    if source.flooring == "add":
        linear = np.maximum(linear - source.floor, 0.0)
    floored = linear + target.floor if target.flooring == "add" else np.maximum(linear, target.floor)
    return ln(floored)


def _check_clipped(mel: NDArray[np.float32], source: MelSpec, target: MelSpec) -> None:
    """Refuses values at the upper end of the source's clip, unless the target has the same normalization."""
    clip = source.normalization.clip if source.normalization is not None else None
    if clip is None or source.normalization == target.normalization:
        return
    highest = np.float32(clip[1])
    if len(clipped := np.argwhere(mel >= highest)):
        band, frame = clipped[0].tolist()
        raise BadMelError(
            f"{len(clipped)} values are {highest:g}, to which the mel contract clips, the first in band {band}, "
            f"frame {frame}: the original values are lost, so they do not convert. Compute this mel without clipping"
        )
