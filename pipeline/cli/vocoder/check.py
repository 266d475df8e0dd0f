"""The command `melmill vocoder check`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli import completion
from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.cli.options import Json
from pipeline.cli.printing import refined_words, size
from pipeline.cli.vocoder.listing import contract, millions
from pipeline.vocoders.refined import MOST_REFINEMENTS
from pipeline.vocoders.registry import NAMES

if TYPE_CHECKING:
    from pipeline.workshop.check import VocoderReport


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=f"Vocoder: {', '.join(NAMES)}, or path of an .onnx file made by melmill.",
            autocompletion=completion.vocoders,
        ),
    ],
    mel: Mel = None,
    runtime: Annotated[
        Literal["auto", "native", "onnxruntime"],
        typer.Option(help="What runs its net. The halo of HiFi-GAN depends on it.", show_default=True),
    ] = "auto",
    refine: Annotated[
        float,
        typer.Option(min=0, max=MOST_REFINEMENTS, help="Number of projections of its waveforms (vocoder.refine)."),
    ] = 0,
    mels: Annotated[
        Literal["recorded", "predicted"],
        typer.Option(help="What the mels are taken as (vocoder.mels).", show_default=True),
    ] = "recorded",
    as_json: Json = False,
) -> None:
    """Try a vocoder, and say whether it does what it states.

    This tries its halo, its length rule and its speed, and whether mels of speech become speech.

    Exit codes: 0 all is well, 2 the vocoder does not do what it states, 4 its audio does not match mels of this
    contract.

    Example:
        melmill vocoder check lift
    """
    from pipeline.workshop.check import check_vocoder

    report = check_vocoder(name, mel_contract(mel), runtime, refine, mels)
    if as_json:
        print(json.dumps(report.to_dict()))
    else:
        _print_report(report)
    raise typer.Exit(report.exit_code)


def _print_report(report: VocoderReport) -> None:
    print(f"vocoder   {report.name}, digest {report.digest}")
    if report.runtime is not None:
        refined = refined_words(report.refine)
        print(f"runtime   {report.runtime}{refined}")
    print(f"mels      {contract(report.spec)}")
    for difference in report.differences:
        print(f"          differs from the contract that it states: {difference}")
    if (model := report.geometry) is not None:
        family = "" if model.card is None else f"{model.card.family}, "
        takes, gives = (", ".join(map(str, ports)) for ports in (model.inputs, model.outputs))
        print(f"model     {family}opset {model.opset}, {millions(model.parameters)}, {size(model.bytes)}")
        print(f"          takes {takes}")
        print(f"          gives {gives}")
    _print_halo(report)
    extra = f" {'+' if report.extra > 0 else '-'} {abs(report.extra)}" if report.extra else ""
    lengths = ", ".join(map(str, report.lengths))
    print(f"length    frames x {report.hop}{extra} samples, tried with {lengths} frames")
    print(f"speed     {report.speed:.1f} x real time on one thread")
    print(f"range     peak {report.peak:.3f} of full scale{', over it' if report.peak > 1 else ''}")
    for prompt in report.prompts:
        print(
            f"prompt    {prompt.name:8} mel_distance {prompt.mel_distance:.3f}, relative "
            f"{prompt.mel_distance_relative:.3f}, {min(prompt.apart):.2f} Np apart, {prompt.seconds:.1f} s"
        )
    for problem in report.problems:
        print(f"wrong     {problem}")
    print(f"verdict   {report.verdict.words}")


def _print_halo(report: VocoderReport) -> None:
    halo = report.halo
    left, right = halo.stated
    enough = halo.enough and all(far <= near for far, near in zip(report.heard, halo.stated, strict=True))
    verdict = "enough" if enough else "too small"
    smallest = [f"more than {halo.searched}" if side is None else str(side) for side in halo.smallest]
    print(
        f"halo      {left} left, {right} right as stated, {verdict}: windows differ from the whole by {halo.error:.1e}"
    )
    allowed = f"{halo.allowed:.1e} is rounding" if halo.allowed else "every bit must be the same"
    print(
        f"          ({allowed}), as little from {smallest[0]} left, {smallest[1]} right; a change "
        f"of one frame is heard {report.heard[0]} left, {report.heard[1]} right"
    )
