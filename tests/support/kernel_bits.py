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
from support.frame_by_frame import mel_to_magnitude, reconstruct

from pipeline.dsp.mel_analysis import CompiledMel
from pipeline.dsp.net_magnitude import net_magnitude_blocks
from pipeline.dsp.refinement import refined
from pipeline.kernels import elementary
from pipeline.kernels.buffers import aligned, aligned_copy
from pipeline.kernels.complex_values import ComplexRows
from pipeline.kernels.convnext.net import ConvNext
from pipeline.kernels.convnext.shape import ConvNextShape
from pipeline.kernels.convnext.weights import packed
from pipeline.kernels.emitter import F32, F64
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.floored_log import FlooredLog
from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.generator import HifiganGenerator
from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.hifigan.weights import transformed
from pipeline.kernels.minimal_filtering import Circle, level
from pipeline.kernels.phase_stage import Method
from pipeline.kernels.products import MOST_ROWS, block_for, panels, product
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, available
from pipeline.melspec import PRESETS, MelSpec

Case = Callable[[Target], Iterable[NDArray[Any]]]
Shape = tuple[int, ...] | int


def numbers(seed: int, shape: Shape, size: float = 1.0) -> NDArray[np.float32]:
    """Numbers from -size to size, float32."""
    whole = np.random.default_rng(seed).integers(-(2**23), 2**23, shape)
    return (whole.astype(np.float32) / np.float32(2**23)) * np.float32(size)


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
    for outputs, taps, pairs in ((5, 2, "1/2 1"), (6, 3, "1/2 1 2")):
        found = level(outputs, taps, pairs)
        yield from (found.output, found.kernel, found.data)
    yield Circle(32, 11).kernel


@dataclass(frozen=True)
class Elementary:
    """Each elementary function, in vectors of the target."""

    def emit(self, module: ir.Module, target: Target) -> None:
        f = Function(module, "elementary", "*x *y count", target.lanes)
        x, y, count = f.arguments
        with f.loop(count, target.lanes) as i:
            values = [each(x[i]) for each in (elementary.exp, elementary.ln, elementary.tanh, elementary.gelu)]
            values += [*elementary.sin_cos(x[i]), *elementary.sin_cos_turns(x[i]), elementary.sin_squared(x[i])]
            for number, value in enumerate(values):
                y[i + count * number] = (value >= value).where(value, value.filled(0.0))  # NaN has more bits than one
        f.end()


def elementary_functions(target: Target) -> Iterable[NDArray[Any]]:
    # One float32 in 99,991, of every exponent and both signs.
    x = np.arange(0, 2**32, 99_991, dtype=np.uint32)
    x = x[(x & 0x7FFFFFFF) < 0x7F800000].view(np.float32)
    x = x[: len(x) // 16 * 16].copy()
    y = np.zeros((9, len(x)), np.float32)
    library(Elementary(), target)["elementary"](x.ctypes.data, y.ctypes.data, len(x))
    yield y


@dataclass(frozen=True)
class Fourier:
    """A transform and its inverse, in vectors of 16 lanes."""

    n: int
    double: bool

    def emit(self, module: ir.Module, target: Target) -> None:
        kind, fourier = "float64" if self.double else "float32", RealFourier(self.n, F64 if self.double else F32)
        f = Function(module, "fourier", f"*x:{kind} *z:{kind} *bins:{kind} *back:{kind}", 16)
        x, z, bins, back = (ComplexRows(each) for each in f.arguments)
        fourier.forward(f, z, x.__getitem__)
        fourier.bins(f, z, bins.__setitem__)
        fourier.from_bins(f, back, bins.__getitem__)
        fourier.inverse(f, back)
        f.end()


def transforms(target: Target) -> Iterable[NDArray[Any]]:
    for n in (1024, 600):
        for double in (False, True):
            kind = np.float64 if double else np.float32
            rows = RealFourier(n).rows
            x = numbers(n, (n, 16)).astype(kind)
            z, back = np.zeros((rows, 2, 16), kind), np.zeros((rows, 2, 16), kind)
            bins = np.zeros((n // 2 + 1, 2, 16), kind)
            library(Fourier(n, double), target)["fourier"](*(each.ctypes.data for each in (x, z, bins, back)))
            yield from (bins, back[: n // 2])


@dataclass(frozen=True)
class Product:
    """A matrix product of 48 columns."""

    inner: int

    def emit(self, module: ir.Module, target: Target) -> None:
        product(module, "product", block_for(target, 48), self.inner, 48)


def products(target: Target) -> Iterable[NDArray[Any]]:
    rows, inner, block = 29, 77, block_for(target, 48)
    a = aligned((rows + MOST_ROWS, inner))
    a[:rows] = numbers(2, (rows, inner))
    b, bias, c = aligned_copy(panels(numbers(3, (inner, 48)), block)), numbers(4, 48), aligned((rows + MOST_ROWS, 48))
    where = (each.ctypes.data for each in (a, b, bias, c))
    library(Product(inner), target)["product"](rows, inner, 48 // block.panel, *where)
    yield c[:rows]


def generator(target: Target) -> Iterable[NDArray[Any]]:
    """Small generators of HiFi-GAN, with each number of taps; one normalizes and mirrors, the other does neither."""
    for pairs, kernels in ((True, (3, 7, 11)), (False, (3, 5, 7))):
        dilations = ((1, 3), (1, 2), (1, 5)) if pairs else ((1, 2),) * 3
        shape = HifiganShape(
            mels=12, channels=32, rates=(4, 2), rate_kernels=(8, 4), kernels=kernels, dilations=dilations,
            pairs=pairs, mirrored=not pairs, normalized=not pairs,
        )  # fmt: skip
        yield _decoded(shape, {"mean": numbers(5, 12), "scale": 2 + numbers(6, 12)}, target)


def snakes(target: Target) -> Iterable[NDArray[Any]]:
    """A small generator of BigVGAN, whose snakes have logarithms for parameters."""
    shape = HifiganShape(
        mels=12, channels=32, rates=(4, 2), rate_kernels=(8, 4), kernels=(3, 7), dilations=((1, 3), (1, 5)), pairs=True,
        snakes="log", clipped=True,
    )  # fmt: skip
    weights = {name: numbers(seed, size, 0.4) for seed, (name, size) in enumerate(shape.snake_shapes().items())}
    yield _decoded(shape, weights, target)


def overlapping(target: Target) -> Iterable[NDArray[Any]]:
    """A small generator of iSTFTNet, with a matrix that is no transform's."""
    shape = HifiganShape(
        mels=12, channels=32, rates=(4, 2), rate_kernels=(8, 4), kernels=(3, 7), dilations=((1, 3), (1, 5)), pairs=True,
        transform=InverseTransform(16, 4),
    )  # fmt: skip
    yield _decoded(shape, {name: numbers(3, size) for name, size in shape.transform_shapes().items()}, target)


def _decoded(shape: HifiganShape, weights: dict[str, NDArray[np.float32]], target: Target) -> NDArray[np.float32]:
    """The samples of a generator with some weights, and others for its convolutions."""
    for seed, (name, size) in enumerate(shape.weight_shapes().items()):
        weights[f"{name}.weight"] = numbers(seed, size, 2 * float(np.prod(size[1:])) ** -0.5)
        weights[f"{name}.bias"] = numbers(seed, size[1 if name.startswith("ups") else 0], 0.1)
    made = HifiganGenerator(shape, transformed(shape, weights, target), target)
    return made.decode(numbers(7, (12, 61), 4), 0, 61, 0, 61)


def convnext(target: Target) -> Iterable[NDArray[Any]]:
    shape = ConvNextShape(bands=20, width=32, hidden=48, blocks=2, outputs=33)
    weights = {
        name: numbers(seed, size, 2 * size[0] ** -0.5)
        for seed, (name, size) in enumerate(shape.weight_shapes().items())
    }
    yield ConvNext(shape, packed(shape, weights, target), target).run(numbers(8, (20, 61), 3))


SPECS = {"magnitude": PRESETS["hifigan-22k"], "power": PRESETS["styletts2-24k"]}


def mels_of(spec: MelSpec) -> NDArray[np.float32]:
    """A mel of 40 frames, all different."""
    return numbers(9, (spec.n_mels, 40), 3) - np.float32(4)


def phase_stage(method: Method) -> Case:
    """A waveform from magnitudes, with the tables that it reads."""

    def stage(target: Target) -> Iterable[NDArray[Any]]:
        for spec in SPECS.values():
            magnitude = np.abs(numbers(10, (1 + spec.n_fft // 2, 40)))
            yield reconstruct(magnitude, spec, 2, method, 5, 0.2, target)

    return stage


def log_mels(target: Target) -> Iterable[NDArray[Any]]:
    for spec in SPECS.values():
        analysis = CompiledMel(spec, target)
        mel = analysis.log_mel(numbers(11, spec.n_fft + 30 * spec.hop_length))
        yield from (mel, analysis.to_linear(mel))


def mel_sums(target: Target) -> Iterable[NDArray[Any]]:
    analysis, sums = CompiledMel(SPECS["magnitude"], target), np.zeros(3)
    analysis.add_differences(numbers(12, (80, 61)), numbers(13, (80, 61)), sums[:1])
    analysis.add_moments(numbers(14, (80, 61)), sums[1:])
    yield sums


def least_squares(target: Target) -> Iterable[NDArray[Any]]:
    for spec in SPECS.values():
        yield mel_to_magnitude(mels_of(spec), spec, 5, target)


def net_magnitudes(target: Target) -> Iterable[NDArray[Any]]:
    for spec in SPECS.values():
        levels = numbers(15, (40, 1 + spec.n_fft // 2 + spec.n_mels), 6) - np.float32(4)
        yield net_magnitude_blocks(levels, spec, 3, target)


def refinement(target: Target) -> Iterable[NDArray[Any]]:
    for spec in SPECS.values():
        yield refined(numbers(17, 40 * spec.hop_length), mels_of(spec), spec, 2, target)


def floored_log(target: Target) -> Iterable[NDArray[Any]]:
    x = aligned_copy(numbers(16, 1600, 12))
    library(FlooredLog(1e-5), target)["floored"](x.ctypes.data, len(x))
    yield x


CASES: Mapping[str, Case] = {
    "arithmetic": arithmetic,
    "sums": total,
    "matrices of minimal filtering": matrices,
    "elementary functions": elementary_functions,
    "Fourier transforms": transforms,
    "products": products,
    "generator of HiFi-GAN": generator,
    "generator of BigVGAN": snakes,
    "generator of iSTFTNet": overlapping,
    "ConvNeXt": convnext,
    "phase stage by fast Griffin-Lim": phase_stage("fast-griffin-lim"),
    "phase stage by ADMM": phase_stage("admm"),
    "log mels": log_mels,
    "sums over mels": mel_sums,
    "least squares": least_squares,
    "magnitudes of a net": net_magnitudes,
    "logarithms with a floor": floored_log,
    "refinement": refinement,
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
