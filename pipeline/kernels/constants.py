"""Constants of compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from llvmlite import ir


def constant(element: ir.Type, lanes: int, values: float | Sequence[float]) -> ir.Constant:
    """One value in all lanes, or a value for each."""
    kind = float if isinstance(element, (ir.FloatType, ir.DoubleType)) else int
    if isinstance(values, Sequence):
        return ir.Constant(ir.VectorType(element, lanes), [kind(value) for value in values])
    return _filled(element, lanes, kind, repr(kind(values)))


@lru_cache(1024)
def _filled(element: ir.Type, lanes: int, kind: type[float] | type[int], value: str) -> ir.Constant:
    """One value in all lanes, as text, which tells 0.0 from -0.0. A constant keeps what LLVM reads, so it is shared."""
    one = kind(value)
    return ir.Constant(element, one) if lanes == 1 else ir.Constant(ir.VectorType(element, lanes), [one] * lanes)
