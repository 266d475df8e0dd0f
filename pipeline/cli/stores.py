"""The command inspect, and the option --mel."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.progress import hours, print_some
from pipeline.config import read_yaml
from pipeline.errors import UtteranceError
from pipeline.melspec import PRESETS, MelSpec, mel_spec, preset
from pipeline.stores import inspect_store, open_store

Mel = Annotated[
    str | None,
    typer.Option("--mel", metavar="PRESET|SPEC.yaml", help=f"The mel contract: {', '.join(PRESETS)}, or a YAML file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class LayoutChoice(enum.StrEnum):
    """How a store is laid out."""

    auto = "auto"
    ragged = "ragged"
    grouped = "grouped"
    padded = "padded"


def inspect(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a mel store.")],
    mel: Mel = None,
    layout: Annotated[LayoutChoice, typer.Option("--layout", help="Of the store.")] = LayoutChoice.auto,
    as_json: Json = False,
) -> None:
    """Say what a mel store holds: layout, contract, utterances, hours, values, missing chunks.

    Exit code 3 if an utterance could not be converted.
    """
    spec = mel_contract(mel)
    report = inspect_store(open_store(store, layout.value, spec), spec)
    bad = [f"missing   {name}" for name in report.missing]
    bad += [f"unreadable {key}: {reason}" for key, reason in report.unreadable.items()]
    bad += [f"fault     {key}: {reason}" for key, reason in report.faults.items()]
    if as_json:
        print(json.dumps(report.to_dict()))
    else:
        length = f"{hours(report.seconds)}, " if report.seconds is not None else ""
        print(f"store      {report.description}")
        print(f"contract   {_named(report.spec)}")
        print(f"utterances {report.utterances}, {length}{report.frames} frames")
        print(f"lengths    {report.frames_min} to {report.frames_max} frames, median {report.frames_median:g}")
        print(f"values     {_values(report.value_min, report.value_max)} in {report.examined} utterances")
        if report.out_of_range is not None:
            print(
                f"           possible is {_values(report.possible_min, report.possible_max)}; "
                f"{report.out_of_range} values are outside"
            )
        print(f"chunks     {report.chunks} needed, {report.missing_chunks} missing")
        print_some(bad)
    if bad:
        raise typer.Exit(UtteranceError.exit_code)


def mel_contract(mel: str | None) -> MelSpec | None:
    """The contract that `--mel` names: a preset, or a YAML file."""
    if mel is None:
        return None
    if mel.endswith((".yaml", ".yml")):
        return mel_spec(read_yaml(Path(mel), "mel spec"))
    return preset(mel)


def _named(spec: dict[str, object] | None) -> str:
    if spec is None:
        return "none stated"
    names = [name for name, known in PRESETS.items() if known.to_dict() == spec]
    return names[0] if names else json.dumps(spec)


def _values(low: float | None, high: float | None) -> str:
    return "none" if low is None or high is None else f"{low:.3f} to {high:.3f}"
