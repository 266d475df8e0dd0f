"""A small recipe, and a program that uses it and a kept array, for tests of the cache in processes of their own.

The program prints a line of JSON: how often it compiled and computed, a digest of what came out, whether the array is
mapped from a file, and what it logged.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

import pipeline
from pipeline.kernels.function import Function
from pipeline.kernels.mapped import mapped
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, available

emitted: list[str] = []
ARRAY = 100_000
"""Numbers in the array, which take 400,000 bytes."""


@dataclass(frozen=True)
class Scaling:
    """x times a factor, plus x."""

    factor: float

    def emit(self, module: ir.Module, target: Target) -> None:
        emitted.append(f"{self} {target.cpu}")
        f = Function(module, "scaling", "*x *y count", target.lanes)
        x, y, count = f.arguments
        with f.loop(count, target.lanes) as i:
            y[i] = x[i].fma(self.factor, x[i])
        f.end()


def scaled(recipe: Scaling, target: Target) -> NDArray[np.float32]:
    """What the compiled code makes of 0, 1, ... 31."""
    x = np.arange(32, dtype=np.float32)
    y = np.zeros_like(x)
    library(recipe, target)["scaling"](x.ctypes.data, y.ctypes.data, len(x))
    return y


def used(environment: Mapping[str, str], *before: str) -> dict[str, Any]:
    """What the program prints.

    Args:
        environment: environment variables, besides this process's.
        before: words of a command that starts the program.
    """
    path = os.pathsep.join([str(Path(pipeline.__file__).parents[1]), str(Path(__file__).parents[1])])
    done = run(
        [*before, sys.executable, "-m", "support.small_kernels"],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("pipeline").addHandler(handler)
    computed = []

    def make() -> NDArray[np.float32]:
        computed.append(1)
        return np.arange(ARRAY, dtype=np.float32)

    target = available()
    assert isinstance(target, Target), target
    result = scaled(Scaling(2.0), target)
    array = mapped(("small",), make)
    with open("/proc/self/maps") as maps:
        files = [line.split(maxsplit=5)[-1].strip() for line in maps if "/kernels/array-" in line]
    print(
        json.dumps(
            {
                "emitted": len(emitted),
                "computed": len(computed),
                "digest": hashlib.sha256(result.tobytes() + array.tobytes()).hexdigest(),
                "mapped": len(files),
                "logged": logged,
            }
        )
    )


if __name__ == "__main__":
    main()
