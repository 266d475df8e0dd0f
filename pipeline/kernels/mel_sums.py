"""Sums over mels `[bands][frames]` in float64: of their differences, of their values and squares.

The values of a frame are added from the lowest band on, and the frames one after the other. So a sum is the same bits
however the mels are cut into pieces, if each piece goes on from the sum of those before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.emitter import F64
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Ints

Terms = Callable[[Ints, Ints, int], list[Floats]]
"""The terms of the sums, given a band, a frame and a number of frames together."""

_LANES = 8  # a frame in each; one frame at a time is left over at the end


@dataclass(frozen=True)
class MelSums:
    """`add_differences(one, one_stride, other, other_stride, bands, frames, sums)` adds |one - other| to sums[0];
    `add_moments(mel, stride, bands, frames, sums)` adds the values to sums[0] and their squares to sums[1].

    Mels are float32 `[bands][stride]`, sums float64; strides are numbers of values. The difference of two values is
    rounded to float32.
    """

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the functions to a module."""
        f = Function(module, "add_differences", "*one one_stride *other other_stride bands frames *sums:float64", 1)
        one, one_stride, other, other_stride, bands, frames, sums = f.arguments

        def difference(band: Ints, frame: Ints, lanes: int) -> list[Floats]:
            value = one.read(band * one_stride + frame, lanes)
            return [(value - other.read(band * other_stride + frame, lanes)).abs().double()]

        _add(f, difference, 1, bands, frames, sums)
        f.end()

        f = Function(module, "add_moments", "*mel stride bands frames *sums:float64", 1)
        mel, stride, bands, frames, sums = f.arguments

        def moments(band: Ints, frame: Ints, lanes: int) -> list[Floats]:
            value = mel.read(band * stride + frame, lanes).double()
            return [value, value * value]

        _add(f, moments, 2, bands, frames, sums)
        f.end()


def _add(f: Function, terms: Terms, count: int, bands: Ints, frames: Ints, sums: Pointer) -> None:
    """Adds the terms of all bands and frames, `count` of them, each to its sum."""
    together = frames // _LANES * _LANES
    for lanes, start, stop in ((_LANES, f.whole(0), together), (1, together, frames)):
        with f.when(start < stop), f.loop(stop, lanes, start) as frame:
            nothing = [f.floats(0.0, lanes, F64)] * count
            with f.carrying(nothing, bands) as turn:
                turn.values = [a + b for a, b in zip(turn.values, terms(turn.index, frame, lanes), strict=True)]
            for i, of_frames in enumerate(turn.values):
                total = sums.one(i)
                for lane in range(lanes):
                    total = total + (of_frames.lane(lane) if lanes > 1 else of_frames)
                sums[i] = total
