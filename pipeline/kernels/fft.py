"""The Fourier transform of a frame in each lane: `n` real numbers as `n / 2` complex ones.

A pass of decimation in frequency with radix r splits a transform of N = r m points into r transforms of m points (J.
Cooley and J. Tukey, Math. Comp. 19, 1965; W. Gentleman and G. Sande, AFIPS 29, 1966). With n = j + m q and k = p + r s,

    X[p + r s] = sum_j w_m^(j s) { w_N^(j p) sum_q w_r^(p q) x[j + m q] },        w_N = exp(-2 pi i / N).

The braces are written over the inputs, and the passes go on within each of the r parts. Nothing is reordered: bin k is
left at `positions[k]`, and the inverse takes it from there, pass for pass backwards.

All lanes take the same way, so their order and number change no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.circle import circle
from pipeline.kernels.complex_values import Complex, ComplexRows
from pipeline.kernels.emitter import F32
from pipeline.kernels.function import Function
from pipeline.kernels.values import Index, Ints

Inputs = Callable[[Index], Complex]
Radices = tuple[int, ...]

_LONGEST_STRAIGHT = 31
"""A pass of a larger radix is a loop over a table: its code would be long, and there are no such transforms in use."""


def dft(x: list[Complex]) -> list[Complex]:
    """The transform of a few values, as straight-line code.

    Of 1, 2, 4 or 8 values by halves: X[2s] is the transform of x[n] + x[n + h], X[2s + 1] that of
    (x[n] - x[n + h]) w^n. Of an odd number by its symmetry: with a_k = x_k + x_-k and b_k = x_k - x_-k,
    X[q] = x_0 + sum_k a_k cos(2 pi k q / n) - i sum_k b_k sin(2 pi k q / n), k = 1 .. (n - 1) / 2.
    """
    count = len(x)
    if count == 1:
        return x
    if count % 2 == 0:
        half = count // 2
        low, high = x[:half], x[half:]
        even = dft([a + b for a, b in zip(low, high, strict=True)])
        odd = dft([(a - b).turned(n * 8 // count) for n, (a, b) in enumerate(zip(low, high, strict=True))])
        return [each for pair in zip(even, odd, strict=True) for each in pair]
    pairs = [(x[k] + x[count - k], x[k] - x[count - k]) for k in range(1, count // 2 + 1)]
    values = [x[0]] * count
    for q in range(count // 2 + 1):
        middle, aside = x[0], x[0].scaled(0.0)
        for k, (a, b) in enumerate(pairs, 1):
            point = circle(k * q, count)
            middle = a.scaled_plus(float(point.real), middle)
            aside = b.scaled_plus(float(point.imag), aside)
        aside = aside.turned(2)  # times -i
        values[q], values[-q % count] = middle + aside, middle - aside
    return values


@dataclass(frozen=True)
class RealFourier:
    """The transform of `n` real numbers in each lane, and its inverse, for `Function`s of float32 or float64.

    The numbers x[2 m] + i x[2 m + 1] are the complex inputs z[m]. With Z their transform and k = 1 .. N / 2, N = n / 2,

        2 X[k] = E + w_n^k O,  2 X[N - k] = conj(E - w_n^k O),  E = Z[k] + conj Z[N - k],  O = -i (Z[k] - conj Z[N - k])

    and 2 X[0] = 2 (re Z[0] + im Z[0]), 2 X[N] = 2 (re Z[0] - im Z[0]) (H. Sorensen et al., IEEE Trans. ASSP 35, 1987).
    The factor 2 is left in: `bins` gives 2 X, and a window has room for the half.

    Args:
        n: number of real points, even.
        element: LLVM's type of the numbers, `F32` or `F64`.
    """

    n: int
    element: ir.Type = F32

    @property
    def points(self) -> int:
        """Number of complex points."""
        return self.n // 2

    @property
    def rows(self) -> int:
        """Number of complex rows that `z` must have: the points, and room for a pass of a large radix."""
        return self.points + max([0, *(radix for radix in self.radices if radix > _LONGEST_STRAIGHT)])

    @cached_property
    def radices(self) -> tuple[int, ...]:
        """The radices of the passes: one 2 if there must be one, 4 and 8, then odd primes."""
        rest, odd = self.points, []
        for p in range(3, rest + 1, 2):
            while rest % p == 0:
                odd.append(p)
                rest //= p
        twos = rest.bit_length() - 1
        if twos == 1:
            return (2, *odd)
        eights = twos % 2  # 4, 8, 4, 4 for 512: a first pass of 4 is the one that others are fused to
        even = [4] * ((twos - 3 * eights) // 2)
        return (*even[:1], *[8] * eights, *even[1:], *odd)

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The point at which each bin of the complex transform is left: `[points] int64`."""
        at, bins, size, stride = np.zeros(self.points, np.int64), np.arange(self.points), self.points, 1
        for radix in self.radices:
            size //= radix
            at += bins // stride % radix * size
            stride *= radix
        return at

    def forward(self, f: Function, z: ComplexRows, inputs: Inputs | None = None) -> None:
        """Transforms in place.

        Args:
            f: the function that gets the code.
            z: memory of `rows` points; it holds Z at the end.
            inputs: what gives a point, so that it need not lie in `z`; each point is asked for once.
        """
        self._forward(f, z, self.radices, inputs or z.__getitem__, z + self.points)

    def inverse(self, f: Function, z: ComplexRows) -> None:
        """Transforms back in place, without the factor 1 / points: from Z at its positions to points in order."""
        self._inverse(f, z, self.radices, z + self.points)

    def bins(self, f: Function, z: ComplexRows, use: Callable[[Index, Complex], None]) -> None:
        """Calls `use(k, 2 X[k])` once for each bin, 0 to n / 2, within loops of the code."""
        first = z[0]
        nothing = f.floats(0.0, element=self.element)
        use(0, Complex((first.re + first.im) * 2.0, nothing))
        use(self.points, Complex((first.re - first.im) * 2.0, nothing))
        for k, low, high, twiddle in self._pairs(f):
            a, b = z[low], z[high].conjugate()
            even, odd = a + b, (a - b).turned(2) * twiddle
            use(k, even + odd)
            use(self.points - k, (even - odd).conjugate())
        if self.points % 2 == 0:  # k = N / 2, its own partner: w = -i
            use(self.points // 2, z[int(self.positions[self.points // 2])].conjugate().scaled(2.0))

    def from_bins(self, f: Function, z: ComplexRows, give: Callable[[Index], Complex]) -> None:
        """Puts a spectrum, `give(k)` for bins 0 to n / 2, where `inverse` takes it from: the transform of 2 n x.

        E = X[k] + conj X[N - k], O = (X[k] - conj X[N - k]) / w^k, Z[k] = E + i O and Z[N - k] = conj(E - i O): twice
        those above, and `inverse` adds a factor of n / 2. Imaginary parts of bins 0 and n / 2 are ignored.
        """
        low, high = give(0).re, give(self.points).re
        z[0] = Complex(low + high, low - high)
        for k, at, mirror, twiddle in self._pairs(f):
            a, b = give(k), give(self.points - k).conjugate()
            even, odd = a + b, ((a - b) * twiddle.conjugate()).turned(6)
            z[at] = even + odd
            z[mirror] = (even - odd).conjugate()
        if self.points % 2 == 0:
            z[int(self.positions[self.points // 2])] = give(self.points // 2).conjugate().scaled(2.0)

    # ---- the passes

    def _forward(self, f: Function, z: ComplexRows, radices: Radices, inputs: Inputs, spare: ComplexRows) -> None:
        if not radices:
            z[0] = inputs(0)
            return
        radix, step = radices[0], prod(radices[1:])
        with _times(f, step) as j:
            twiddle = self._twiddles(f, radix, step, j)

            def output(p: Index, value: Complex) -> None:
                z[j + step * p] = value if _is_one(p, step) else value * twiddle(p)

            self._few(f, radix, lambda q: inputs(j + step * q), output, spare)
        if step > 1:
            with f.loop(radix) as part:
                rest = z + part * step
                self._forward(f, rest, radices[1:], rest.__getitem__, spare)

    def _inverse(self, f: Function, z: ComplexRows, radices: Radices, spare: ComplexRows) -> None:
        """The passes backwards: conjugate twiddles first, then sums with w_r^-(p q), a transform read backwards."""
        if not radices:
            return
        radix, step = radices[0], prod(radices[1:])
        if step > 1:
            with f.loop(radix) as part:
                self._inverse(f, z + part * step, radices[1:], spare)
        with _times(f, step) as j:
            twiddle = self._twiddles(f, radix, step, j)

            def turned_back(p: Index) -> Complex:
                value = z[j + step * p]
                return value if _is_one(p, step) else value * twiddle(p).conjugate()

            def output(q: Index, value: Complex) -> None:
                z[j + step * ((radix - q) % radix)] = value

            self._few(f, radix, turned_back, output, spare)

    def _few(
        self, f: Function, radix: int, inputs: Inputs, output: Callable[[Index, Complex], None], spare: ComplexRows
    ) -> None:
        """The transform of `radix` values: `output(p, value)` for each of them."""
        if radix <= _LONGEST_STRAIGHT:
            for p, value in enumerate(dft([inputs(q) for q in range(radix)])):
                output(p, value)
            return
        roots = self._table(f, circle(-np.arange(radix), radix))
        with f.loop(radix) as q:
            spare[q] = inputs(q)
        with f.loop(radix) as out:
            nothing = f.floats(0.0, element=self.element)
            with f.carrying([nothing, nothing], radix) as turn:
                total = spare[turn.index] * roots.spread(out * turn.index % radix) + Complex(*turn.values)
                turn.values = [total.re, total.im]
            output(out, Complex(*turn.values))

    # ---- tables

    def _pairs(self, f: Function) -> Iterator[tuple[Ints, Ints, Ints, Complex]]:
        """A loop over k = 1 .. (N - 1) / 2: k, the points where bins k and N - k of Z are, and w_n^k."""
        last = (self.points - 1) // 2
        if last:
            at, twiddles = f.table(self.positions), self._table(f, circle(-np.arange(last + 1), self.n))
            with f.loop(last + 1, start=1) as k:
                yield k, at.one(k), at.one(self.points - k), twiddles.spread(k)

    def _twiddles(self, f: Function, radix: int, step: int, j: Index) -> Inputs:
        """w^(j p) for a p, of the transform of radix * step points; from a table `[step][radix]`."""
        table = self._table(f, circle(-np.outer(np.arange(step), np.arange(radix)), radix * step))
        return lambda p: table.spread(j * radix + p)

    def _table(self, f: Function, numbers: NDArray[np.complex128]) -> ComplexRows:
        kind = np.float32 if self.element == F32 else np.float64
        return ComplexRows(f.table(np.stack([numbers.real, numbers.imag], -1).astype(kind)))


def _is_one(p: Index, step: int) -> bool:
    """Whether the twiddle w^(j p) is 1 for each j < step."""
    return step == 1 or (isinstance(p, int) and p == 0)


@contextmanager
def _times(f: Function, count: int) -> Iterator[Index]:
    """A loop of `count` turns; no loop for one."""
    if count == 1:
        yield 0
    else:
        with f.loop(count) as j:
            yield j
