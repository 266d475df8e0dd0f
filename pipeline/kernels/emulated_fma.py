"""Fused multiply-add of float32 for processors that have none, in float64 arithmetic: the same bits, more slowly.

x y is exact in float64: 24 + 24 bits are fewer than 53. The sum s of it and z is rounded, and the error e of that
rounding is exact (D. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B). Rounding s to float32 would round
twice, and wrongly where s lies in the middle of two float32. So s is first rounded to odd: if e is not 0 and the last
bit of s is 0, s becomes its neighbour on the side of e. It then lies in the middle no more, since 53 >= 24 + 2, and
one rounding to float32 is left (S. Boldo and G. Melquiond, Emulation of a FMA and correctly rounded sums: proved
algorithms using rounding to odd, IEEE Transactions on Computers 57 (2008), section 4).

Fused multiply-adds of float64 stay calls of the system's `fma`, which rounds once, as the C standard demands.
"""

from __future__ import annotations

from llvmlite import ir

from pipeline.kernels.emitter import F32, Emitter
from pipeline.kernels.values import Floats, Truth


def emulate(module: ir.Module) -> None:
    """Defines each fused multiply-add of float32 that a module declares."""
    for function in list(module.functions):
        kind = function.function_type.return_type
        lanes, element = (kind.count, kind.element) if isinstance(kind, ir.VectorType) else (1, kind)
        if function.name.startswith("llvm.fma.") and element == F32:
            function.name = f"fma.{function.name}"  # names that begin with "llvm." cannot be defined
            function.linkage = "internal"
            f = Emitter(module, ir.IRBuilder(function.append_basic_block()), lanes)
            f.b.ret(_fma(*(Floats(f, each, F32, lanes) for each in function.args)).ir)


def _fma(x: Floats, y: Floats, z: Floats) -> Floats:
    product, term = x.double() * y.double(), z.double()
    s = product + term
    rest = s - product
    e = (product - (s - rest)) + (term - rest)
    bits = s.bits()
    # A larger number of bits is a value farther from 0. Where s is infinite or NaN, e is NaN, which is neither.
    outwards = ((e > 0.0) & (s > 0.0)) | ((e < 0.0) & (s < 0.0))
    inwards = ((e > 0.0) & (s < 0.0)) | ((e < 0.0) & (s > 0.0))
    even: Truth = (bits & 1).equals(0)
    odd = (even & outwards).where(bits + 1, (even & inwards).where(bits - 1, bits))
    return odd.as_float_bits().single()
