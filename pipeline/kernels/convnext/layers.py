"""The layers of a net between its matrix products, and the code of all of them as a recipe.

Rows of memory are frames, vectors lie along channels. What is computed for a row does not depend on its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.convnext.shape import ConvNextShape
from pipeline.kernels.elementary import gelu
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.products import block_for, product
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Ints

LANES = 16
"""Vectors of these layers are this long on every processor: a layer norm takes its sums lane by lane."""


@dataclass(frozen=True)
class ConvNextCode:
    """The recipe of the functions `embed`, `up`, `down` and `head`, which are products, and

        norm(x, y, weight, bias, rows, distance)             y = the layer norm of x
        depthwise(x, y, kernel, bias, weight, shift, rows)   y = the layer norm of the depthwise convolution of x
        activate(x, count)                                   x = gelu(x)
        add(x, y, z, count)                                  z = x + y

    Rows of x and y are `[width]`, a kernel is `[taps, width]`. Rows of y of `norm` lie `distance` numbers apart, all
    others one after the other; x of `depthwise` is the address of the first row that the first row of y sees. Counts
    are multiples of `LANES`.

    Args:
        shape: the shape of the net.
    """

    shape: ConvNextShape

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the functions to a module."""
        shape = self.shape
        for name, a_row, c_row in (
            ("embed", shape.bands, shape.width),
            ("up", shape.width, shape.hidden),
            ("down", shape.hidden, shape.width),
            ("head", shape.width + shape.bands, shape.columns),
        ):
            product(module, name, block_for(target, c_row), a_row, c_row)
        self._norm(module)
        self._depthwise(module)
        f = Function(module, "activate", "*x count", LANES)
        x, count = f.arguments
        with f.loop(count, LANES) as i:
            x[i] = gelu(x[i])
        f.end()
        f = Function(module, "add", "*x *y *z count", LANES)
        x, y, z, count = f.arguments
        with f.loop(count, LANES) as i:
            z[i] = x[i] + y[i]
        f.end()

    def _norm(self, module: ir.Module) -> None:
        f = Function(module, "norm", "*x *y *weight *bias rows distance", LANES)
        x, y, weight, bias, rows, distance = f.arguments
        with f.loop(rows) as row:
            source = x + row * self.shape.width
            self._normalize(f, lambda c: source[c], y + row * distance, (weight, bias))
        f.end()

    def _depthwise(self, module: ir.Module) -> None:
        width = self.shape.width
        f = Function(module, "depthwise", "*x *y *kernel *bias *weight *shift rows", LANES)
        x, y, kernel, bias, weight, shift, rows = f.arguments
        with f.loop(rows) as row:
            source = x + row * width

            def convolved(c: Ints) -> Floats:
                total: Floats = bias[c]
                for tap in range(self.shape.taps):
                    total = source[c + tap * width].fma(kernel[c + tap * width], total)
                return total

            self._normalize(f, convolved, y + row * width, (weight, shift))
        f.end()

    def _normalize(
        self, f: Function, values: Callable[[Ints], Floats], y: Pointer, affine: tuple[Pointer, Pointer]
    ) -> None:
        """Writes the layer norm of a row: (v - mean) / sqrt(variance + epsilon) * weight + bias.

        J. Ba, J. Kiros and G. Hinton, arXiv:1607.06450. The variance is the mean of squares of v - mean, whose rounding
        errors do not grow with the mean.
        """
        width, (weight, bias) = self.shape.width, affine
        with f.carrying([f.floats(0.0)], width, LANES) as turn:
            v = values(turn.index)
            y[turn.index] = v
            turn.values = [turn.values[0] + v]
        mean = turn.values[0].sum_of_lanes() * (1 / width)
        with f.carrying([f.floats(0.0)], width, LANES) as turn:
            apart = y[turn.index] - mean
            turn.values = [apart.fma(apart, turn.values[0])]
        variance = turn.values[0].sum_of_lanes() * (1 / width)
        scale = variance.filled(1.0) / (variance + self.shape.epsilon).sqrt()
        with f.loop(width, LANES) as c:
            y[c] = ((y[c] - mean) * scale).fma(weight[c], bias[c])
