"""The command `melmill vocoder import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.checkpoints.config_file import CONFIG_NAMES
from pipeline.checkpoints.stats_file import STATS_NAMES
from pipeline.cli.pack import AxisChoice
from pipeline.cli.progress import size
from pipeline.cli.stores import Mel, mel_contract
from pipeline.cli.vocoder.listing import contract
from pipeline.errors import ConfigError


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="torch, safetensors, .nemo or .onnx; or a folder.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="NAME.onnx", help="The model to be made.")],
    config: Annotated[
        Path | None, typer.Option("--config", help=f"Of the checkpoint (default: {', '.join(CONFIG_NAMES)} beside it).")
    ] = None,
    stats: Annotated[
        Path | None, typer.Option("--stats", help=f"Mean and scale of its mels (default: {' or '.join(STATS_NAMES)}).")
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Of the checkpoint (default: by its keys).")] = None,
    mel: Mel = None,
    halo: Annotated[
        str | None, typer.Option("--halo", metavar="LEFT,RIGHT", help="Frames of context of an .onnx (default: found).")
    ] = None,
    axis: Annotated[AxisChoice, typer.Option("--axis", help="First axis of the mels of an .onnx.")] = AxisChoice.auto,
    force: Annotated[bool, typer.Option("--force", help="Replace NAME.onnx.")] = False,
) -> None:
    """Make an ONNX model from a vocoder's checkpoint, without torch and without running what it holds.

    An .onnx that others made is checked, tried and copied; --mel says which mels it takes. The model holds its mel
    contract; `--vocoder NAME.onnx` uses it.
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"-o {out}: the model's name must end in .onnx")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already; --force replaces it")
    if checkpoint.suffix == ".onnx":
        for name, value in (("--config", config), ("--stats", stats), ("--family", family)):
            if value is not None:
                raise ConfigError(f"{name} {value}: an .onnx holds all of that; --mel names its mels")
        _import_onnx(checkpoint, out, mel, _halo(halo), axis, force)
        return
    if halo is not None or axis is not AxisChoice.auto:
        raise ConfigError("--halo and --axis are for .onnx files; a checkpoint's are known from its layers")
    from pipeline.workshop.import_checkpoint import import_checkpoint, write_model

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


def _import_onnx(
    path: Path, out: Path, mel: str | None, halo: tuple[int, int] | None, axis: AxisChoice, force: bool
) -> None:
    from pipeline.workshop.import_checkpoint import write_model
    from pipeline.workshop.import_onnx import import_onnx

    made = import_onnx(path, mel_contract(mel), halo, axis.value)
    write_model(made.model, out, force)
    card = made.card
    print(f"model      {path}, sha256 {card.source}")
    if made.embedded:
        print(f"           {made.embedded} weights were taken into the copy from other files")
    print(f"contract   {contract(card.spec)}")
    found = f"a change of one frame was heard {made.heard[0]} frames before, {made.heard[1]} after"
    print(f"halo       {card.halo[0]} frames before, {card.halo[1]} after ({found})")
    extra = f" {'+' if card.extra_samples > 0 else '-'} {abs(card.extra_samples)}" if card.extra_samples else ""
    print(f"length     frames x {card.spec.hop_length}{extra} samples, from {card.least_frames} frames on")
    print(f"memory     {size(card.frame_bytes)} a frame; {'batches' if made.batched else 'one mel at a time'}")
    print(f"wrote      {out}; now try it: melmill vocoder check {out}")


def _halo(given: str | None) -> tuple[int, int] | None:
    if given is None:
        return None
    left, comma, right = given.partition(",")
    if not (comma and left.strip().isdecimal() and right.strip().isdecimal()):
        raise ConfigError(f"--halo {given}: it must be two whole numbers, the frames before and after: --halo 13,13")
    return int(left), int(right)
