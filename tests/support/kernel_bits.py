"""Digests of what kernels compute, to be compared between processors: also the program that another processor runs.

A new kernel joins by a line in CASES: a function that runs it with fixed input for a target, and gives the results. The
input must be made without functions whose last bits depend on the processor, such as numpy's exp.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.function import Function
from pipeline.kernels.minimal_filtering import level
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, available

Case = Callable[[Target], Iterable[NDArray[Any]]]


@dataclass(frozen=True)
class Arithmetic:
    """Each operation of vectors and single numbers that rounds, float32 and float64."""

    def emit(self, module: ir.Module, target: Target) -> None:
        for kind, lanes in (("float32", target.lanes), ("float64", 1)):
            f = Function(module, kind, f"*x:{kind} *y:{kind} *z:{kind} count", lanes)
            x, y, z, count = f.arguments
            with f.loop(count, lanes) as i:
                a, b = x[i], y[i]
                z[i] = (a + b) * (a - b) / (b.abs() + 1.0).sqrt() + a.fma(b, -1.0).at_most(b) - (a * b).floor()
            f.end()


def arithmetic(target: Target) -> Iterable[NDArray[Any]]:
    for kind in (np.float32, np.float64):
        # Also numbers so small that they have fewer bits, which some processors take for 0 in a fast mode.
        scale = np.array([1, 2.0**-130], kind).repeat(512)
        x, y = np.random.default_rng(0).integers(-(2**20), 2**20, (2, 1024)).astype(kind) / kind(2**16) * scale
        z = np.zeros_like(x)
        library(Arithmetic(), target)[np.dtype(kind).name](x.ctypes.data, y.ctypes.data, z.ctypes.data, len(x))
        yield z


@dataclass(frozen=True)
class Sum:
    """A sum in one order, whatever the number of lanes."""

    def emit(self, module: ir.Module, target: Target) -> None:
        f = Function(module, "total", "*x *result count", 1)
        x, result, count = f.arguments
        with f.carrying([f.floats(0.0)], count) as turn:
            turn.values = [x[turn.index].fma(x[turn.index], turn.values[0])]
        result[0] = turn.values[0]
        f.end()


def total(target: Target) -> Iterable[NDArray[Any]]:
    x = np.random.default_rng(1).integers(0, 2**24, 5000).astype(np.float32) / np.float32(2**24)
    result = np.zeros(1, np.float32)
    library(Sum(), target)["total"](x.ctypes.data, result.ctypes.data, len(x))
    yield result


def matrices(_: Target) -> Iterable[NDArray[Any]]:
    for outputs, taps, pairs in ((6, 3, "1/2 1 2"), (4, 4, "1/2 1 2"), (4, 3, "1/2 3/2")):
        found = level(outputs, taps, pairs)
        yield from (found.output, found.kernel, found.data)


CASES: Mapping[str, Case] = {
    "arithmetic": arithmetic,
    "sums": total,
    "matrices of minimal filtering": matrices,
}


def digest(case: str, target: Target) -> str:
    """Of all that a case gives."""
    found = hashlib.sha256()
    for each in CASES[case](target):
        found.update(f"{each.dtype} {each.shape} ".encode() + each.tobytes())
    return found.hexdigest()


def main() -> None:
    target = available()
    assert isinstance(target, Target), target
    found = {case: digest(case, target) for case in CASES}
    print(json.dumps({"machine": platform.machine(), "target": target.name, "digests": found}))


if __name__ == "__main__":
    main()
