"""One field in which two mel contracts differ, and whether the values convert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.melspec.normalization import Normalization

Remedy = Literal["exact", "negligible", "impossible"]
_REMEDY_WORDS = {"exact": "converts exactly", "negligible": "negligible", "impossible": "cannot be converted"}


@dataclass(frozen=True)
class Difference:
    """One field in which two contracts differ.

    Args:
        field: name of the field.
        source: the value of the mel's own contract.
        target: the value that is wanted.
        remedy: way to convert: "exact" if the values convert exactly, "negligible" if the field changes log-mel values
            of speech by less than 0.002 on average, "impossible" if the information is lost.
    """

    field: str
    source: Any
    target: Any
    remedy: Remedy

    @property
    def values(self) -> tuple[str, str]:
        """Both values as text: the mel's own, and the one that is wanted."""
        return _short(self.source), _short(self.target)

    def __str__(self) -> str:
        words = "half a hop and one frame apart" if self.field == "framing" else _REMEDY_WORDS[self.remedy]
        return f"{self.field}: {self.values[0]} -> {self.values[1]} ({words})"


def _short(value: Any) -> str:
    if isinstance(value, Normalization):
        clip = "" if value.clip is None else f", clipped to {value.clip[0]:g} .. {value.clip[1]:g}"
        if len(value.mean) == 1:
            return f"(value - {value.mean[0]:g}) / {value.scale[0]:g}{clip}"
        return f"per-band mean and scale ({len(value.mean)} bands){clip}"
    return "none" if value is None else str(float(f"{value:.6g}") if isinstance(value, float) else value)
