"""Complex values of compiled code, and memory that holds them: a row of real parts, then one of imaginary parts."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Ints


@dataclass(frozen=True, eq=False)
class Complex:
    """A complex number in each lane."""

    re: Floats
    im: Floats

    def __add__(self, other: Complex) -> Complex:
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Complex) -> Complex:
        return Complex(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Complex) -> Complex:
        """The product; in each of its parts one of the two products is fused."""
        return Complex(
            self.re.fma(other.re, -(self.im * other.im)),
            self.re.fma(other.im, self.im * other.re),
        )

    def scaled(self, factor: Floats | float) -> Complex:
        """The product with a real number."""
        return Complex(self.re * factor, self.im * factor)

    def scaled_plus(self, factor: Floats | float, term: Complex) -> Complex:
        """self * factor + term for a real factor, each part rounded once."""
        return Complex(self.re.fma(factor, term.re), self.im.fma(factor, term.im))

    def conjugate(self) -> Complex:
        """The value with the other sign of its imaginary part."""
        return Complex(self.re, -self.im)

    def magnitude(self) -> Floats:
        """The absolute value; 0 or infinity where its square is one in this type."""
        return self.re.fma(self.re, self.im * self.im).sqrt()

    def nothing(self) -> Complex:
        """0 in as many lanes."""
        return Complex(self.re.filled(0.0), self.re.filled(0.0))

    def turned(self, eighths: int) -> Complex:
        """The product with exp(-2 pi i eighths / 8)."""
        re, im = self.re, self.im
        if eighths % 2:
            re, im = (re + im) * sqrt(0.5), (im - re) * sqrt(0.5)
        for _ in range(eighths % 8 // 2):
            re, im = im, -re
        return Complex(re, im)


@dataclass(frozen=True, eq=False)
class ComplexRows:
    """Memory `[points][re, im][lanes]`: `z[n]` loads point n of every lane, `z[n] = v` stores it."""

    memory: Pointer

    def __getitem__(self, point: Ints | int) -> Complex:
        at = point * (2 * self.memory.f.lanes)
        return Complex(self.memory[at], self.memory[at + self.memory.f.lanes])

    def __setitem__(self, point: Ints | int, value: Complex) -> None:
        at = point * (2 * self.memory.f.lanes)
        self.memory[at] = value.re
        self.memory[at + self.memory.f.lanes] = value.im

    def __add__(self, points: Ints | int) -> ComplexRows:
        return ComplexRows(self.memory + points * (2 * self.memory.f.lanes))

    def spread(self, point: Ints | int) -> Complex:
        """From a table `[points][re, im]`: the one number of a point, in all lanes."""
        return Complex(self.memory.spread(point * 2), self.memory.spread(point * 2 + 1))
