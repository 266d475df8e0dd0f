"""The command `melmill vocoder import`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline.checkpoints.config_file import CONFIG_NAMES
from pipeline.checkpoints.stats_file import STATS_NAMES
from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.cli.printing import size
from pipeline.cli.vocoder.listing import contract
from pipeline.errors import ConfigError
from pipeline.wording import counted
from pipeline.workshop.import_checkpoint import import_checkpoint, write_model
from pipeline.workshop.import_onnx import ImportedOnnx, import_onnx
from pipeline.workshop.import_onnx.adapting import Axis


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="File of torch, safetensors, NeMo or ONNX; or a folder.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="NAME.onnx", help="Model to make.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", help=f"Config of the checkpoint (default: {', '.join(CONFIG_NAMES)} beside it)."),
    ] = None,
    stats: Annotated[
        Path | None,
        typer.Option("--stats", help=f"Mean and scale of its mels (default: {' or '.join(STATS_NAMES)} beside it)."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="Family of the checkpoint (default: found by its keys)."),
    ] = None,
    mel: Mel = None,
    halo: Annotated[
        str | None,
        typer.Option("--halo", metavar="LEFT,RIGHT", help="Frames of context that an .onnx needs (default: measured)."),
    ] = None,
    axis: Annotated[Axis, typer.Option("--axis", help="First axis of the mels that an .onnx takes.")] = "auto",
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="X", help="Factor for the samples of an .onnx, such as 1/32768 (default: 1)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace NAME.onnx if it exists.")] = False,
) -> None:
    """Make an ONNX model from a vocoder's checkpoint.

    This needs no torch, and runs nothing that the checkpoint holds. An .onnx file of another origin is checked, tried
    and copied; --mel says which mels it takes. The model states its mel contract. To use it: `--vocoder NAME.onnx`.

    Example:
        melmill vocoder import g_02500000 -o mine.onnx
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"-o {out}: the model's name must end in .onnx")
    if out.exists() and not force:
        raise ConfigError(f"{out} exists already; --force replaces it")
    if checkpoint.suffix == ".onnx":
        for name, value in (("--config", config), ("--stats", stats), ("--family", family)):
            if value is not None:
                raise ConfigError(f"{name} {value}: an .onnx file holds all of that itself; --mel names its mels")
        theirs = import_onnx(checkpoint, mel_contract(mel), _halo(halo), axis, _scale(scale))
        write_model(theirs.model, out, force)
        _print_onnx(theirs, checkpoint, out, scale)
        return
    if halo is not None or axis != "auto" or scale is not None:
        raise ConfigError("--halo, --axis and --scale are for .onnx files; the layers of a checkpoint say all of them")
    made = import_checkpoint(checkpoint, config, stats, family, mel_contract(mel))
    write_model(made.model, out, force)
    card = made.card
    print(f"family     {made.family.name}: {made.family.title}")
    print(f"checkpoint {made.checkpoint}, sha256 {card.source}")
    print(f"config     {made.config}" + ("" if made.stats is None else f"; statistics {made.stats}"))
    print(f"contract   {contract(card.spec)}")
    print(f"halo       {card.halo[0]} frames before, {card.halo[1]} after")
    print(f"weights    {made.parameters / 1e6:.3f} million")
    print(f"wrote      {out}; now try it: melmill vocoder check {out}")


def _print_onnx(made: ImportedOnnx, path: Path, out: Path, scale: str | None) -> None:
    card = made.card
    print(f"model      {path}, sha256 {card.source}")
    if made.embedded:
        weights = counted(made.embedded, "weight from another file was", "weights from other files were")
        print(f"           {weights} put into the copy")
    print(f"contract   {contract(card.spec)}")
    found = f"a change of one frame was heard {made.heard[0]} frames before, {made.heard[1]} after"
    print(f"halo       {card.halo[0]} frames before, {card.halo[1]} after ({found})")
    extra = f" {'+' if card.extra_samples > 0 else '-'} {abs(card.extra_samples)}" if card.extra_samples else ""
    print(f"length     frames x {card.spec.hop_length}{extra} samples, from {card.least_frames} frames on")
    if scale is not None:
        print(f"scale      samples are multiplied by {scale}")
    print(f"memory     {size(card.frame_bytes)} a frame; {'batches' if made.batched else 'one mel at a time'}")
    print(f"wrote      {out}; now try it: melmill vocoder check {out}")


def _scale(given: str | None) -> float:
    try:
        over, _, under = (given or "1").partition("/")
        scale = float(np.float32(float(over) / float(under or "1")))
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--scale {given}: it must be a number, such as 0.5 or 1/32768") from error
    if not (math.isfinite(scale) and scale > 0):
        raise ConfigError(f"--scale {given}: it must be more than 0")
    return scale


def _halo(given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    left, comma, right = given.partition(",")
    if not (comma and left.strip().isdecimal() and right.strip().isdecimal()):
        raise ConfigError(f"--halo {given}: it must be two whole numbers, the frames before and after: --halo 13,13")
    return int(left), int(right)
