"""The command `melmill vocoder list`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Json
from pipeline.cli.printing import size
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, preset_names
from pipeline.workshop.vocoder_list import Listed, list_vocoders


def list_(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Models, and folders to search for .onnx files."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the vocoders that there are.

    This shows the mels that each takes, its halo, its size, its runtime on this machine's CPU, and its origin.

    Example:
        melmill vocoder list
    """
    found = list_vocoders(paths or [])
    if as_json:
        print(json.dumps([each.to_dict() for each in found]))
    else:
        for each in found:
            print(each.name)
            for line in _lines(each):
                print(f"    {line}")
    asked = {str(path) for path in paths or []}  # named by the user, not found in a folder
    if any(each.problem and each.name in asked for each in found):
        raise typer.Exit(ConfigError.exit_code)


def contract(spec: MelSpec) -> str:
    """A short text for a mel contract: its presets, or its sizes, and its normalization if a preset does not say it."""
    if names := preset_names(spec):
        return " = ".join(names)
    bare = dataclasses.replace(spec, normalization=None)
    words = " = ".join(preset_names(bare)) or (
        f"{spec.n_mels} bands {spec.fmin:g} to {spec.fmax:g} Hz ({spec.mel_scale}, norm {spec.mel_norm}), n_fft "
        f"{spec.n_fft}, hop {spec.hop_length}, win {spec.win_length}, {spec.log}, framing {spec.framing}"
    )
    if spec.normalization is None:
        return words
    bands = len(spec.normalization.mean)
    return f"{words}, normalized by {'a mean and scale' if bands == 1 else f'{bands} means and scales, one a band'}"


def _lines(each: Listed) -> list[str]:
    if each.problem:
        lines = [f"cannot be used: {each.problem}"]
    elif each.spec is None:
        lines = ["mels of any contract; the halo depends on it"]
    else:
        lines = [f"mels {contract(each.spec)}, {each.spec.sample_rate} Hz"]
    net = [each.family] if each.family and each.family != each.name else []
    if each.halo is not None:
        net.append(f"halo {each.halo[0]} left, {each.halo[1]} right")
    if each.parameters:
        net.append(f"{millions(each.parameters)}, {size(each.bytes)}")
    runs = [] if each.runtime is None else [f"runtime {each.runtime}"]
    if runs and each.why_not_native is not None:
        runs = [f"{runs[0]}: {each.why_not_native}"]
    if "mixed" in each.precisions:
        runs = [f"{runs[0]}, precision float32 or mixed"]
    if each.refine:
        runs = [f"{runs[0]}, refine up to {each.refine}"]
    return [*lines, *([", ".join(net)] if net else []), *runs, *([each.origin] if each.origin else [])]


def millions(parameters: int) -> str:
    """A number of parameters for people."""
    return f"{parameters / 1e6:.3f} M parameters"
