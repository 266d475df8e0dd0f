"""What is done point by point between products, and the last convolution with its tanh."""

from __future__ import annotations

from llvmlite import ir

from pipeline.kernels.elementary import tanh
from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.convolution import leaky_relu

WAVE_LANES = 16
"""Vectors of the last convolution are this long on every processor: its sums are taken lane by lane."""


def activation(module: ir.Module, name: str, lanes: int, slope: float) -> Function:
    """Adds the function `name(x, count)` to a module: x = lrelu(x) for `count` numbers, a multiple of the lanes."""
    f = Function(module, name, "*x count", lanes)
    x, count = f.arguments
    with f.loop(count, lanes) as i:
        x[i] = leaky_relu(x[i], slope)
    return f.end()


def mean(module: ir.Module, name: str, lanes: int, branches: int, slope: float | None) -> Function:
    """Adds the function `name(x0, x1, ..., y, count)` to a module: y is the mean of the branches' outputs, or lrelu of
    it if there is a slope."""
    f = Function(module, name, " ".join(f"*x{j}" for j in range(branches)) + " *y count", lanes)
    *xs, y, count = f.arguments
    with f.loop(count, lanes) as i:
        total = xs[0][i]
        for x in xs[1:]:
            total = total + x[i]
        y[i] = leaky_relu(total * (1 / branches), slope)
    return f.end()


def waveform(module: ir.Module, name: str, taps: int, channels: int, clipped: bool) -> Function:
    """Adds the function `name(x, weights, bias, y, count)` to a module: y[t] = tanh(conv(x)[t]) for t < count.

    If `clipped`, the sample is clipped to -1 .. 1 instead.

    The one output channel is a sum over a line of memory, since the rows that a sample needs lie one after the other.
    x is the address of the first row of sample 0; weights are `[taps, channels]`; y has memory for `count` rounded up
    to `WAVE_LANES`.
    """
    f = Function(module, name, "*x *weights *bias *y count", WAVE_LANES)
    x, weights, bias, y, count = f.arguments
    with f.loop(count) as t:
        sums = [f.floats(0.0), f.floats(0.0)]  # two, since each step waits for the one before it
        line = x + t * channels
        for i in range(0, taps * channels, WAVE_LANES):
            two = i // WAVE_LANES % 2
            sums[two] = line[i].fma(weights[i], sums[two])
        y[t] = (sums[0] + sums[1]).sum_of_lanes().lane(0)
    shift = bias.spread(0)
    with f.loop(count, WAVE_LANES) as t:
        sample = y[t] + shift
        y[t] = sample.within(-1.0, 1.0) if clipped else tanh(sample)
    return f.end()
