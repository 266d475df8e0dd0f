"""The command `melmill vocoder import`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.stores import Mel, mel_contract
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS, MelSpec
from pipeline.vocoders.checkpoints.imports import CONFIG_NAMES, STATS_NAMES, import_checkpoint, write_model


def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="torch, safetensors or .nemo; or the folder of one.")
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
    force: Annotated[bool, typer.Option("--force", help="Replace NAME.onnx.")] = False,
) -> None:
    """Make an ONNX model from a vocoder's checkpoint, without torch and without running what it holds.

    The model holds its mel contract; `--vocoder NAME.onnx` uses it.
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"-o {out}: the model's name must end in .onnx")
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already; --force replaces it")
    made = import_checkpoint(checkpoint, config, stats, family, mel_contract(mel))
    write_model(made.model, out, force)
    card = made.card
    print(f"family     {made.family.name}: {made.family.title}")
    print(f"checkpoint {made.checkpoint}, sha256 {card.source}")
    print(f"config     {made.config}" + ("" if made.stats is None else f"; statistics {made.stats}"))
    print(f"contract   {_contract(card.spec)}")
    print(f"halo       {card.halo[0]} frames before, {card.halo[1]} after")
    print(f"weights    {made.parameters / 1e6:.3f} million")
    print(f"wrote      {out}")


def _contract(spec: MelSpec) -> str:
    bare = dataclasses.replace(spec, normalization=None)
    names = [name for name, known in PRESETS.items() if known == spec] or [
        name for name, known in PRESETS.items() if known == bare
    ]
    words = names[0] if names else json.dumps(bare.to_dict())
    if spec.normalization is None or (names and PRESETS[names[0]] == spec):
        return words
    bands = len(spec.normalization.mean)
    return f"{words}, normalized by {'a mean and scale' if bands == 1 else f'{bands} means and scales, one a band'}"
