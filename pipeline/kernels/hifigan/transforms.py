"""The transforms of minimal filtering over vectors: straight-line code, from the exact matrices of rational points,
or as fast Fourier transforms for the points of a circle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.circle import circle
from pipeline.kernels.complex_values import Complex
from pipeline.kernels.minimal_filtering import Circle, Filtering, Level
from pipeline.kernels.values import Floats


def data_transform(f: Filtering, x: Sequence[Floats]) -> list[Floats]:
    """B^T x: from `f.inputs` vectors to `f.points`, in the order of the rows of `f.kernel`."""
    return _level_data(f, x) if isinstance(f, Level) else _circle_data(f, x)


def output_transform(f: Filtering, m: Sequence[Floats]) -> list[Floats]:
    """A^T m: to `f.outputs` vectors, from those of the `f.singles`, then the real and imaginary parts of each pair."""
    return _level_output(f, m) if isinstance(f, Level) else _circle_output(f, m)


def _level_data(level: Level, x: Sequence[Floats]) -> list[Floats]:
    """Rows of the points +a and -a share their even and their odd part: e + o, e - o."""
    rows = [_combined(level.data[0], x)]
    for p in range(1, 2 * level.pairs, 2):
        even = _combined((level.data[p] + level.data[p + 1]) / 2, x)
        odd = _combined((level.data[p] - level.data[p + 1]) / 2, x)
        rows += [even + odd, even - odd]
    return rows + ([_combined(level.data[-1], x)] if level.infinity else [])


def _level_output(level: Level, m: Sequence[Floats]) -> list[Floats]:
    """Columns of the points +a and -a are equal in even rows and opposite in odd ones: their sums and differences are
    taken once."""
    pairs = range(1, 2 * level.pairs, 2)
    parts = [m[p] + m[p + 1] for p in pairs], [m[p] - m[p + 1] for p in pairs]
    ends, end_values = ([0, -1], [m[0], m[-1]]) if level.infinity else ([0], [m[0]])
    return [
        _combined([*row[ends], *row[1 : 2 * level.pairs : 2]], [*end_values, *parts[i % 2]])
        for i, row in enumerate(level.output)
    ]


def _combined(coefficients: Sequence[float] | NDArray[np.float64], vectors: Sequence[Floats]) -> Floats:
    """The sum of coefficient * vector: first those with a coefficient of 1 or -1, then one fused step for each."""
    terms = [(float(c), v) for c, v in zip(coefficients, vectors, strict=True) if c]
    terms.sort(key=lambda term: abs(term[0]) != 1)
    (c, v), *rest = terms
    total = v if c == 1 else v * c
    for c, v in rest:
        total = total + v if c == 1 else total - v if c == -1 else v.fma(c, total)
    return total


def _circle_data(f: Circle, x: Sequence[Floats]) -> list[Floats]:
    """The real points, then a + b, b and a of D_k = a + i b for each pair."""
    n = f.size
    ends, *pairs, middle = _real_dft([x[n], *x[1:n]])
    rows = [x[0] - x[n], x[n + 1] - x[1], ends.re, middle.re]
    for d in pairs:
        rows += [d.re + d.im, d.im, d.re]
    return rows


def _circle_output(f: Circle, m: Sequence[Floats]) -> list[Floats]:
    """The sums over all points; the two ends are mended."""
    zero, infinity, one, minus_one, *rest = m
    nothing = zero.filled(0.0)
    pairs = [Complex(re, im) for re, im in zip(rest[::2], rest[1::2], strict=True)]
    y = _real_sums([Complex(one, nothing), *pairs, Complex(minus_one, nothing)], f.size)[: f.outputs]
    return [y[0] + zero, *y[1:-1], y[-1] + infinity]


def _real_dft(x: Sequence[Floats]) -> list[Complex]:
    """X[k] = sum_j x[j] w^(-j k) of N real values for k = 0 .. N / 2, w = exp(2 pi i / N).

    N is a power of two. By the transforms E of the even and O of the odd values (J. Cooley and J. Tukey, Math. Comp.
    19, 1965): X[k] = E[k] + w^-k O[k], X[N / 2 - k] = conj(E[k] - w^-k O[k]).
    """
    n = len(x)
    if n == 1:
        return [Complex(x[0], x[0].filled(0.0))]
    even, odd, half = _real_dft(x[0::2]), _real_dft(x[1::2]), n // 2
    found = [even[0]] * (half + 1)
    for k, (e, o) in enumerate(zip(even, odd, strict=True)):
        if 4 * k == n:  # both are real, and w^-k is -i
            found[k] = Complex(e.re, -o.re)
            continue
        t = _turned(o, -k, n)
        found[k], found[half - k] = Complex(e.re + t.re, e.im + t.im), Complex(e.re - t.re, t.im - e.im)
    return found


def _real_sums(x: Sequence[Complex], n: int) -> list[Floats]:
    """y[i] = Re sum_k X[k] w^(i k) for i < n, w = exp(2 pi i / n), k = 0 .. n / 2; X[0] and X[n / 2] are real.

    The steps of `_real_dft` backwards: with Z[k] = X[k] + conj X[n / 2 - k] go the even i, and with
    (X[k] - conj X[n / 2 - k]) w^k the odd ones.
    """
    if n == 1:
        return [x[0].re]
    half, even, odd = n // 2, [], []
    for k in range(n // 4 + 1):
        a, b = x[k], x[half - k]
        if 4 * k == n:  # the last points of the halves, of which only the real part counts: a, and i a
            even.append(a)
            odd.append(Complex(-a.im, a.im))
            continue
        even.append(Complex(a.re + b.re, a.im - b.im))
        difference = Complex(a.re - b.re, a.im + b.im)
        odd.append(_turned(difference, k, n))
    return [each for two in zip(_real_sums(even, half), _real_sums(odd, half), strict=True) for each in two]


def _turned(x: Complex, k: int, n: int) -> Complex:
    """The product with exp(2 pi i k / n)."""
    if 8 * k % n == 0:
        return x.turned(-8 * k // n)
    point = circle(k, n)
    c, s = float(point.real), float(point.imag)
    return Complex(x.im.fma(-s, x.re * c), x.re.fma(s, x.im * c))
