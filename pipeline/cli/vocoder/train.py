"""The command `melmill vocoder train`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import completion
from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.cli.printing import duration, print_some
from pipeline.cli.progress import Progress, progress_shown
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.workshop.training.loop import TrainingProgress
    from pipeline.workshop.training.run import Figures


Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="VOCODER",
        help="Vocoder to learn from, for the band above that of the speech.",
        autocompletion=completion.vocoders,
    ),
]


def train(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SPEECH...", help="Folders with audio, audio files, or NeMo or lhotse manifests."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="NAME.onnx", help="Model to make.")],
    mel: Mel = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Minutes to train for.")] = 10.0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Number of steps to train for, in place of --minutes.")
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out",
            metavar="PATTERN",
            help="Keep utterances whose key matches for the figures; do not train on them.",
        ),
    ] = None,
    teacher: Teacher = None,
    teacher_minutes: Annotated[
        float, typer.Option("--teacher-minutes", min=0.1, help="Minutes of speech that the teacher vocodes.")
    ] = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")] = 0,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Number of threads of torch (default: one per core).")
    ] = None,
) -> None:
    """Train a lift vocoder for a mel contract from speech.

    If an earlier training was interrupted, this continues it. Needs torch: pip install 'melmill[train]'.

    Example:
        melmill vocoder train recordings --mel hifigan-22k --minutes 30 -o mine.onnx
    """
    spec = mel_contract(mel)
    if spec is None:
        raise ConfigError(f"--mel is needed: the contract of the mels, {', '.join(PRESETS)} or a YAML file")
    try:
        from pipeline.workshop.training.loop import TrainingPlan
        from pipeline.workshop.training.run import train_vocoder
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError("training needs torch, which is not installed: pip install 'melmill[train]'") from error
    with progress_shown() as progress:
        trained = train_vocoder(
            sources,
            spec,
            out,
            TrainingPlan(minutes, steps, seed, threads),
            hold_out,
            teacher,
            teacher_minutes,
            _shown_on(progress),
        )
    print(f"trained {out} in {duration(trained.record['minutes'] * 60)}: its card is {out.with_suffix('.md')}")
    if trained.left_out:
        print(f"{counted(len(trained.left_out), 'file was', 'files were')} not used:", file=sys.stderr)
        print_some([f"  {reason}" for reason in trained.left_out], sys.stderr)


def _shown_on(progress: Progress) -> Callable[[TrainingProgress, Figures | None], None]:
    def show(state: TrainingProgress, figures: Figures | None) -> None:
        line = f"step {state.step} of {state.steps or '?'}, loss {state.loss:.3f}, {duration(state.seconds)}"
        if figures is not None:
            pesq = "" if figures.pesq is None else f", PESQ {figures.pesq:.2f}"
            progress.notice(f"{line}; held out: mel_distance {figures.mel_distance:.3f}{pesq}")
        progress.update(line, state.step, state.steps or None)

    return show
