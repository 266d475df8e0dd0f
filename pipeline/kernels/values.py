"""Values of compiled code, with Python's operators: `a * b + c` emits a multiplication and an addition.

No operation carries a flag that would let LLVM change a rounding, so it gives the same bits on every processor. Only
`fma` rounds a product and a sum once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llvmlite import ir

from pipeline.kernels.constants import constant
from pipeline.kernels.emitter import BF16, F32, F64, I32, I64, Emitter


def vector_type(element: ir.Type, lanes: int) -> ir.Type:
    """The type of `lanes` elements: the element's own for one."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Numbers of one type in the lanes of a vector, or a single one (one lane)."""

    f: Emitter
    ir: Any
    element: ir.Type
    lanes: int

    def _of(self: _AnyNumbers, value: Any) -> _AnyNumbers:
        return type(self)(self.f, value, self.element, self.lanes)

    def _other(self: _AnyNumbers, other: _AnyNumbers | float) -> Any:
        """The other operand: a number is a constant, and a single value goes to every lane."""
        if not isinstance(other, _Numbers):
            return constant(self.element, self.lanes, other)
        if other.lanes == 1 and self.lanes > 1:
            return other.in_lanes(self.lanes).ir
        assert (other.element, other.lanes) == (self.element, self.lanes), (other.element, other.lanes)
        return other.ir

    def in_lanes(self: _AnyNumbers, lanes: int) -> _AnyNumbers:
        """This one value in each of `lanes` lanes."""
        if lanes == 1:
            return self
        b, kind = self.f.b, ir.VectorType(self.element, lanes)
        one = b.insert_element(ir.Constant(kind, ir.Undefined), self.ir, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, lanes), None)
        return replace(self, ir=b.shuffle_vector(one, one, zeros), lanes=lanes)

    def filled(self: _AnyNumbers, value: float) -> _AnyNumbers:
        """A constant in as many lanes as this has."""
        return self._of(constant(self.element, self.lanes, value))

    def lane(self: _AnyNumbers, index: int) -> _AnyNumbers:
        """The value in one lane."""
        return replace(self, ir=self.f.b.extract_element(self.ir, ir.Constant(I32, index)), lanes=1)

    def shuffle(self: _AnyNumbers, other: _AnyNumbers, lanes: Sequence[int]) -> _AnyNumbers:
        """The given lanes of this vector, followed in the count by those of another."""
        mask = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
        return replace(self, ir=self.f.b.shuffle_vector(self.ir, other.ir, mask), lanes=len(lanes))

    def _called(self: _AnyNumbers, name: str, *others: Any) -> _AnyNumbers:
        return self._of(self.f.intrinsic(name, self.ir, *others))


_AnyNumbers = TypeVar("_AnyNumbers", bound=_Numbers)


class Floats(_Numbers):
    """float32 or float64 numbers."""

    def __add__(self, other: Floats | float) -> Floats:
        return self._of(self.f.b.fadd(self.ir, self._other(other)))

    def __sub__(self, other: Floats | float) -> Floats:
        return self._of(self.f.b.fsub(self.ir, self._other(other)))

    def __mul__(self, other: Floats | float) -> Floats:
        return self._of(self.f.b.fmul(self.ir, self._other(other)))

    def __truediv__(self, other: Floats | float) -> Floats:
        return self._of(self.f.b.fdiv(self.ir, self._other(other)))

    def __rsub__(self, other: float) -> Floats:
        return self._of(self.f.b.fsub(self._other(other), self.ir))

    __radd__, __rmul__ = __add__, __mul__  # IEEE 754: the order of two operands does not matter

    def __neg__(self) -> Floats:
        return self._of(self.f.b.fneg(self.ir))

    def __gt__(self, other: Floats | float) -> Truth:
        return Truth(self.f, self.f.b.fcmp_ordered(">", self.ir, self._other(other)))

    def __lt__(self, other: Floats | float) -> Truth:
        return Truth(self.f, self.f.b.fcmp_ordered("<", self.ir, self._other(other)))

    def __ge__(self, other: Floats | float) -> Truth:
        return Truth(self.f, self.f.b.fcmp_ordered(">=", self.ir, self._other(other)))

    def __le__(self, other: Floats | float) -> Truth:
        return Truth(self.f, self.f.b.fcmp_ordered("<=", self.ir, self._other(other)))

    def fma(self, factor: Floats | float, term: Floats | float) -> Floats:
        """self * factor + term, rounded once."""
        return self._called("llvm.fma", self._other(factor), self._other(term))

    def sqrt(self) -> Floats:
        """The square root, rounded to the nearest, as IEEE 754 demands."""
        return self._called("llvm.sqrt")

    def floor(self) -> Floats:
        """The largest whole number that is not above it."""
        return self._called("llvm.floor")

    def nearest(self) -> Floats:
        """The nearest whole number, halves to even."""
        return self._called("llvm.nearbyint")

    def abs(self) -> Floats:
        """The value without its sign."""
        return self._called("llvm.fabs")

    def at_least(self, bound: Floats | float) -> Floats:
        """The larger of the two; the bound where this is NaN."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.fcmp_ordered(">", self.ir, other), self.ir, other))

    def at_most(self, bound: Floats | float) -> Floats:
        """The smaller of the two; the bound where this is NaN."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.fcmp_ordered("<", self.ir, other), self.ir, other))

    def at_least_or_nan(self, bound: Floats | float) -> Floats:
        """The larger of the two; NaN where this is NaN."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.fcmp_ordered(">", other, self.ir), other, self.ir))

    def at_most_or_nan(self, bound: Floats | float) -> Floats:
        """The smaller of the two; NaN where this is NaN."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.fcmp_ordered("<", other, self.ir), other, self.ir))

    def within(self, low: Floats | float, high: Floats | float) -> Floats:
        """The nearest value from `low` to `high`; NaN stays NaN."""
        return self.at_least_or_nan(low).at_most_or_nan(high)

    def sum_of_lanes(self) -> Floats:
        """The sum of all lanes, in each lane: first of those half a vector apart, then a quarter, and so on.

        The number of lanes, a power of two, decides the order. Let it be the same for every target.
        """
        total, apart = self, self.lanes // 2
        while apart:
            total = total + total.shuffle(total, [(lane + apart) % self.lanes for lane in range(self.lanes)])
            apart //= 2
        return total

    def truncated(self) -> Ints:
        """Whole numbers of the same width, rounded towards zero."""
        element = I32 if self.element == F32 else I64
        return Ints(self.f, self.f.b.fptosi(self.ir, vector_type(element, self.lanes)), element, self.lanes)

    def bits(self) -> Ints:
        """The bits as whole numbers of the same width."""
        element = I32 if self.element == F32 else I64
        return Ints(self.f, self.f.b.bitcast(self.ir, vector_type(element, self.lanes)), element, self.lanes)

    def double(self) -> Floats:
        """The same values as float64."""
        return Floats(self.f, self.f.b.fpext(self.ir, vector_type(F64, self.lanes)), F64, self.lanes)

    def single(self) -> Floats:
        """The values rounded to float32."""
        return Floats(self.f, self.f.b.fptrunc(self.ir, vector_type(F32, self.lanes)), F32, self.lanes)

    def bfloat16(self) -> Floats:
        """16 float32 rounded to the nearest bfloat16, ties to even; below 2^-126 they become 0. Needs AVX512_BF16."""
        name = "llvm.x86.avx512bf16.cvtneps2bf16.512"
        return Floats(self.f, self.f.foreign(name, vector_type(BF16, self.lanes), self.ir), BF16, self.lanes)

    def add_pairs(self, a: Floats, b: Floats) -> Floats:
        """self + a[1] b[1] + a[0] b[0] for 16 float32, where each lane of a and b holds two bfloat16.

        First the upper halves' product is added and the sum rounded once, then the lower halves'; numbers below 2^-126
        are taken for 0. That is what Intel's Software Developer's Manual says of VDPBF16PS. Needs AVX512_BF16.
        """
        left, right = (self.f.b.bitcast(each.ir, vector_type(BF16, 2 * self.lanes)) for each in (a, b))
        return self._of(self.f.foreign("llvm.x86.avx512bf16.dpbf16ps.512", self.ir.type, self.ir, left, right))


class Ints(_Numbers):
    """Whole numbers of 32 or 64 bits, with sign."""

    def __add__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.add(self.ir, self._other(other)))

    def __sub__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.sub(self.ir, self._other(other)))

    def __mul__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.mul(self.ir, self._other(other)))

    def __rsub__(self, other: int) -> Ints:
        return self._of(self.f.b.sub(self._other(other), self.ir))

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: Ints | int) -> Ints:
        """The quotient of numbers that are not negative."""
        return self._of(self.f.b.udiv(self.ir, self._other(other)))

    def __mod__(self, other: Ints | int) -> Ints:
        """The remainder of numbers that are not negative."""
        return self._of(self.f.b.urem(self.ir, self._other(other)))

    def __and__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.and_(self.ir, self._other(other)))

    def __or__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.or_(self.ir, self._other(other)))

    def __xor__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.xor(self.ir, self._other(other)))

    def __lshift__(self, other: Ints | int) -> Ints:
        return self._of(self.f.b.shl(self.ir, self._other(other)))

    def __rshift__(self, other: Ints | int) -> Ints:
        """Shifted to the right, with its sign."""
        return self._of(self.f.b.ashr(self.ir, self._other(other)))

    def __lt__(self, other: Ints | int) -> Truth:
        return Truth(self.f, self.f.b.icmp_signed("<", self.ir, self._other(other)))

    def __le__(self, other: Ints | int) -> Truth:
        return Truth(self.f, self.f.b.icmp_signed("<=", self.ir, self._other(other)))

    def __gt__(self, other: Ints | int) -> Truth:
        return Truth(self.f, self.f.b.icmp_signed(">", self.ir, self._other(other)))

    def __ge__(self, other: Ints | int) -> Truth:
        return Truth(self.f, self.f.b.icmp_signed(">=", self.ir, self._other(other)))

    def equals(self, other: Ints | int) -> Truth:
        """Where both are equal. (`==` stays Python's, for values that are keys.)"""
        return Truth(self.f, self.f.b.icmp_signed("==", self.ir, self._other(other)))

    def at_least(self, bound: Ints | int) -> Ints:
        """The larger of the two."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.icmp_signed(">", self.ir, other), self.ir, other))

    def at_most(self, bound: Ints | int) -> Ints:
        """The smaller of the two."""
        other = self._other(bound)
        return self._of(self.f.b.select(self.f.b.icmp_signed("<", self.ir, other), self.ir, other))

    def as_floats(self) -> Floats:
        """As floating-point numbers of the same width, rounded to the nearest."""
        element = F32 if self.element == I32 else F64
        return Floats(self.f, self.f.b.sitofp(self.ir, vector_type(element, self.lanes)), element, self.lanes)

    def as_float_bits(self) -> Floats:
        """The bits as floating-point numbers of the same width."""
        element = F32 if self.element == I32 else F64
        return Floats(self.f, self.f.b.bitcast(self.ir, vector_type(element, self.lanes)), element, self.lanes)

    def wide(self) -> Ints:
        """As 64-bit numbers."""
        return Ints(self.f, self.f.b.sext(self.ir, vector_type(I64, self.lanes)), I64, self.lanes)

    def narrow(self) -> Ints:
        """The lowest 32 bits."""
        return Ints(self.f, self.f.b.trunc(self.ir, vector_type(I32, self.lanes)), I32, self.lanes)


Index = Ints | int
"""A whole number that the code has in a register, or that is known while it is written."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The result of a comparison, in each lane."""

    f: Emitter
    ir: Any

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.f, self.f.b.and_(self.ir, other.ir))

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.f, self.f.b.or_(self.ir, other.ir))

    def __invert__(self) -> Truth:
        return Truth(self.f, self.f.b.not_(self.ir))

    def where(self, true: _AnyNumbers, false: _AnyNumbers) -> _AnyNumbers:
        """One value where it holds, the other elsewhere."""
        return true._of(self.f.b.select(self.ir, true.ir, false.ir))

    def number(self) -> Ints:
        """1 where it holds, 0 elsewhere, as 64-bit numbers; of one lane."""
        return Ints(self.f, self.f.b.zext(self.ir, I64), I64, 1)

    def __bool__(self) -> bool:
        raise TypeError("the result is not known before the code runs: use `where`, or Function.when")
