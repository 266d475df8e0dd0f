"""The option --mel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import read_yaml
from pipeline.melspec import PRESETS, MelSpec, mel_spec, preset

Mel = Annotated[
    str | None,
    typer.Option("--mel", metavar="PRESET|SPEC.yaml", help=f"Mel contract: {', '.join(PRESETS)}, or a YAML file."),
]


def mel_contract(mel: str | None) -> MelSpec | None:
    """The contract that `--mel` names: a preset, or a YAML file."""
    if mel is None:
        return None
    if mel.endswith((".yaml", ".yml")):
        return mel_spec(read_yaml(Path(mel), "mel spec"))
    return preset(mel)
