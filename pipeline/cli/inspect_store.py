"""The command `melmill inspect`."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.cli.options import Json
from pipeline.cli.printing import hours, print_some
from pipeline.errors import ContractError, UtteranceError
from pipeline.melspec import PRESETS
from pipeline.stores import Layout, inspect_store, open_store
from pipeline.stores.opening import open_for_inspection
from pipeline.stores.preset_fit import PresetFit
from pipeline.wording import counted


def inspect(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a mel store.")],
    mel: Mel = None,
    layout: Annotated[Literal["auto", Layout], typer.Option("--layout", help="Layout of the store.")] = "auto",
    as_json: Json = False,
) -> None:
    """Show what a mel store holds.

    That is its layout, contract, utterances, hours of audio, values and missing chunks. If the store states no
    contract, or its values contradict the contract, this also shows which presets fit the values, and why others do
    not.

    Exit codes: 3 at least one utterance cannot be converted, 4 the values contradict the contract.

    Example:
        melmill inspect mels.zarr
    """
    spec = mel_contract(mel)
    opened = open_for_inspection(store, layout) if spec is None else open_store(store, layout, spec)
    report = inspect_store(opened, spec)
    bad = [f"missing   {name}" for name in report.missing]
    bad += [f"unreadable {key}: {reason}" for key, reason in report.unreadable.items()]
    bad += [f"misfit    {key}: {reason}" for key, reason in report.misfits.items()]
    bad += [f"fault     {key}: {reason}" for key, reason in report.faults.items()]
    if as_json:
        print(json.dumps(report.to_dict()))
    else:
        length = f"{hours(report.seconds)}, " if report.seconds is not None else ""
        print(f"store      {report.description}")
        print(f"contract   {_named(report.spec)}")
        print(f"utterances {report.utterances}, {length}{report.frames} frames")
        print(f"lengths    {report.frames_min} to {report.frames_max} frames, median {report.frames_median:g}")
        print(f"values     {_values(report.value_min, report.value_max)} in {counted(report.measured, 'utterance')}")
        if report.out_of_range is not None:
            print(
                f"           possible is {_values(report.possible_min, report.possible_max)}; "
                f"{counted(report.out_of_range, 'value is', 'values are')} outside"
            )
        if report.looks is not None:
            print("\n".join(_looks(report.looks, report.spec is not None)))
        print(f"chunks     {report.chunks} needed, {report.missing_chunks} missing")
        print_some(bad)
    if report.looks is not None and report.looks.contradicted:
        raise typer.Exit(ContractError.exit_code)
    if bad:
        raise typer.Exit(UtteranceError.exit_code)


def _named(spec: dict[str, object] | None) -> str:
    if spec is None:
        return "not stated"
    names = [name for name, known in PRESETS.items() if known.to_dict() == spec]
    return names[0] if names else json.dumps(spec)


def _looks(looks: PresetFit, stated: bool) -> list[str]:
    """Lines about what the values look like."""
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
