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
from pipeline.stores.opening import open_for_inspection
from pipeline.stores.preset_fit import PresetFit

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

    Where no contract is stated, or values contradict it, says which presets they fit, and why the others not.

    Exit code 3 if an utterance could not be converted.
    """
    spec = mel_contract(mel)
    opened = open_for_inspection(store, layout.value) if spec is None else open_store(store, layout.value, spec)
    report = inspect_store(opened, spec)
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
        if report.looks is not None:
            print("\n".join(_looks(report.looks, report.spec is not None)))
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


def _looks(looks: PresetFit, stated: bool) -> list[str]:
    """What the values look like, in lines."""
    values = looks.values
    lines = [f"silence    {values.silence:.2f} (mean of a quiet frame); speech {values.speech:.2f}"]
    if values.floor is not None:
        like = f", the floor of {', '.join(looks.floors)}" if looks.floors else ""
        lines.append(f"floor      {values.floor:.3f}: {values.floor_share:.1%} of the values end there{like}")
    eighth = max(1, len(values.bands) // 8)
    means = [sum(values.bands[i : i + eighth]) / eighth for i in range(0, eighth * 8, eighth) if i < len(values.bands)]
    lines.append(f"bands      means from low to high: {' '.join(f'{mean:.2f}' for mean in means)}")
    lines += [f"contradiction: {words}" for words in looks.contradicted]
    if not stated or looks.contradicted:
        lines.append(f"fits       {', '.join(looks.fits) or 'no preset'}")
        reasons: dict[str, list[str]] = {}
        for name, why in looks.cannot.items():
            reasons.setdefault(why, []).append(name)
        lines += [f"not        {', '.join(names)}: {why}" for why, names in reasons.items()]
    return lines


def _values(low: float | None, high: float | None) -> str:
    return "none" if low is None or high is None else f"{low:.3f} to {high:.3f}"
