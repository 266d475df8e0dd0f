"""The option --mel."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import completion
from pipeline.config import named_mel
from pipeline.melspec import PRESETS, MelSpec, mel_spec

Mel = Annotated[
    str | None,
    typer.Option(
        "--mel",
        metavar="PRESET|SPEC.yaml",
        help=f"Mel contract: {', '.join(PRESETS)}, or a YAML file.",
        autocompletion=completion.presets,
    ),
]


def mel_contract(mel: str | None) -> MelSpec | None:
    """The contract that `--mel` names: a preset, or a YAML file."""
    return None if mel is None else mel_spec(named_mel(mel))
