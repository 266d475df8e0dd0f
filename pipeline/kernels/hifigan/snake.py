"""BigVGAN's activation: the signal at twice its rate, x + sin(alpha x)^2 / beta of it, and back, in one pass.

The doubled signal stays in registers. With the filters U (which holds the factor 2) and D, of 12 taps,

    v[n] = sum_m U[n + 5 - 2m] x[m],    s[n] = v[n] + sin(alpha v[n])^2 / beta,    y[t] = sum_n D[n + 5 - 2t] s[n].

So v[2t + 5] and v[2t + 6] are two sums over the same window x[t .. t + 5], and y[t] is one over the six pairs of s
that the windows of t - 5 .. t give. Beyond its ends, each of x and s has its first and last value. (S. Lee et al.,
arXiv:2206.04658; alias_free_activation/torch/act.py, resample.py and filter.py of NVIDIA/BigVGAN. Snake: L. Ziyin et
al., arXiv:2006.08195.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.elementary import sin_squared
from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.shape import SNAKE_REACH, TAPS
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Ints

_HALF = TAPS // 2
_NO_DIVISION_BY_ZERO = 1e-9  # activations.py: no_div_by_zero
_LN_2 = (0.693147180369123816490, 1.90821492927058770002e-10)  # ln 2, the first with zeros at its end; fdlibm, e_exp.c


def numbers(channels: int) -> int:
    """Size of the parameters of a snake."""
    return 2 * channels + 2 * TAPS


def parameters(
    alpha: NDArray[np.float32],
    beta: NDArray[np.float32],
    up: NDArray[np.float32],
    down: NDArray[np.float32],
    logarithms: bool,
) -> NDArray[np.float64]:
    """What the code reads of a snake, `[numbers(channels)]`: alpha / pi, 1 / beta, then both filters.

    The taps of U for v[2t + 5] come first, then those for v[2t + 6], each in the order of the window; then D.

    Args:
        alpha: factor of the angle, `[channels]`.
        beta: what the squared sine is divided by, `[channels]`.
        up: U, `[TAPS]`.
        down: D, `[TAPS]`.
        logarithms: whether alpha and beta are logarithms.
    """
    frequency, divisor = (exponential(each) if logarithms else each.astype(np.float64) for each in (alpha, beta))
    with np.errstate(divide="ignore"):
        return np.concatenate([frequency / np.pi, 1 / (divisor + _NO_DIVISION_BY_ZERO), up[-2::-2], up[::-2], down])


def exponential(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """e^x in float64 by operations that IEEE 754 defines: the same bits on every processor, which numpy's exp is not.

    x = n ln 2 + r with |r| <= ln 2 / 2, and e^x = 2^n sum_k r^k / k!, whose 16th term is below 2^-53.
    """
    wide = np.clip(x.astype(np.float64), -745.0, 710.0)
    n = np.rint(wide / (_LN_2[0] + _LN_2[1]))
    r = (wide - n * _LN_2[0]) - n * _LN_2[1]
    power = reduce(lambda total, k: 1 + total * r / k, range(16, 0, -1), np.ones_like(r))
    with np.errstate(over="ignore"):
        return np.ldexp(power, n.astype(np.int64))


@dataclass(frozen=True)
class _Channels:
    """The parameters of a vector of channels."""

    frequency: Floats
    scale: Floats
    taps: Pointer

    def snaked(self, v: Floats) -> Floats:
        """v + sin(alpha v)^2 / beta."""
        return sin_squared(v * self.frequency).fma(self.scale, v)

    def pair(self, window: Sequence[Floats]) -> list[Floats]:
        """s[2t + 5] and s[2t + 6] of the window x[t .. t + 5]."""
        return [self.snaked(_sum(window, self.taps + each * _HALF)) for each in (0, 1)]

    def down(self, tap: int) -> Floats:
        """A tap of D."""
        found: Floats = self.taps.spread(TAPS + tap)
        return found


def _channels(snake: Pointer, c: Ints, channels: Ints) -> _Channels:
    return _Channels(snake[c], snake[c + channels], snake + channels * 2)


def _sum(window: Sequence[Floats], taps: Pointer) -> Floats:
    total: Floats = window[0] * taps.spread(0)
    for k, x in enumerate(window[1:], 1):
        total = x.fma(taps.spread(k), total)
    return total


def activated(module: ir.Module, name: str, lanes: int) -> Function:
    """Adds the function `name(x, y, snake, first, last, place, length, channels)` to a module: rows first .. last of y.

    x and y are the addresses of row 0, which is row `place` of the whole signal, and `length` is the number of rows of
    the whole. Rows of y within `SNAKE_REACH` of first .. last are read of x, as far as the whole has them; y is zero
    where the whole has no rows. `snake` are the `parameters`.
    """
    inner, ends = _inner(module, f"{name}_inner", lanes), _ends(module, f"{name}_ends", lanes)
    f = Function(module, name, "*x *y *snake first last place length channels", lanes)
    x, y, snake, first, last, place, length, channels = f.arguments
    low = (SNAKE_REACH - place).at_least(first).at_most(last)
    high = (length - SNAKE_REACH - place).at_least(low).at_most(last)
    f.call(ends, x, y, snake, first, low, place, length, channels)
    with f.when(low < high):
        f.call(inner, x, y, snake, low, high, channels)
    f.call(ends, x, y, snake, high, last, place, length, channels)
    return f.end()


def _inner(module: ir.Module, name: str, lanes: int) -> Function:
    """`name(x, y, snake, first, last, channels)`: rows whose whole reach is within the signal.

    Sums of the rows to come are carried along: each pair is added to those of six rows, the earliest of them complete.
    """
    f = Function(module, name, "*x *y *snake first last channels", lanes)
    x, y, snake, first, last, channels = f.arguments
    with f.loop(channels, lanes) as c:
        given = _channels(snake, c, channels)
        row = x + c

        def step(t: Ints, window: list[Floats], sums: list[Floats]) -> tuple[list[Floats], list[Floats]]:
            """From x[t .. t + 4] and the sums of y[t .. t + 4] to those of t + 1; the first of the sums is y[t]."""
            window = [*window, row[(t + SNAKE_REACH) * channels]]
            here, there = given.pair(window)
            sums = [*sums, f.floats(0.0)]
            for j, total in enumerate(sums):
                tap = TAPS - 2 - 2 * j
                sums[j] = there.fma(given.down(tap + 1), here.fma(given.down(tap), total))
            return window[1:], sums

        start = first - SNAKE_REACH
        window = [row[(start + k) * channels] for k in range(_HALF - 1)]
        sums = [f.floats(0.0)] * (_HALF - 1)
        for early in range(SNAKE_REACH):
            window, sums = step(start + early, window, sums)
            sums = sums[1:]
        with f.carrying([*window, *sums], last, start=first) as turn:
            window, sums = step(turn.index, turn.values[: _HALF - 1], turn.values[_HALF - 1 :])
            y[c + turn.index * channels] = sums[0]
            turn.values = [*window, *sums[1:]]
    return f.end()


def _ends(module: ir.Module, name: str, lanes: int) -> Function:
    """`name(x, y, snake, first, last, place, length, channels)`: any rows, one by one, with both ends repeated."""
    f = Function(module, name, "*x *y *snake first last place length channels", lanes)
    x, y, snake, first, last, place, length, channels = f.arguments
    with f.loop(last, start=first, perhaps_none=True) as t:
        row = place + t
        with f.loop(channels, lanes) as c:
            y[c + t * channels] = f.floats(0.0)
        with f.when((row >= 0) & (row < length)), f.loop(channels, lanes) as c:
            given = _channels(snake, c, channels)
            with f.carrying([f.floats(0.0)], TAPS) as turn:
                n = (row * 2 - (_HALF - 1) + turn.index).at_least(0).at_most(length * 2 - 1)
                odd = n % 2
                begin = n // 2 - 3 + odd
                rows = [(begin + k).at_least(0).at_most(length - 1) - place for k in range(_HALF)]
                window = [x[c + each * channels] for each in rows]
                v = _sum(window, given.taps + (1 - odd) * _HALF)
                turn.values = [given.snaked(v).fma((given.taps + turn.index).spread(TAPS), turn.values[0])]
            y[c + t * channels] = turn.values[0]
    return f.end()
