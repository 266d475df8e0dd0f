"""Logarithms of energies that had a floor added, as logarithms of energies with the floor as their least value."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.elementary import exp, ln
from pipeline.kernels.function import Function
from pipeline.kernels.target import Target

LANES = 16
"""Counts of numbers are multiples of this."""


@dataclass(frozen=True)
class FlooredLog:
    """The recipe of the function `floored(x, count)`: x = ln(max(e^x - floor, floor)), in place.

    Args:
        floor: the floor, above 0.
    """

    floor: float

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds `floored`."""
        f = Function(module, "floored", "*x count", LANES)
        x, count = f.arguments
        with f.loop(count, LANES) as i:
            x[i] = ln((exp(x[i]) - self.floor).at_least(self.floor))
        f.end()
