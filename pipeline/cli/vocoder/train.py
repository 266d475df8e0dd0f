"""The command `melmill vocoder train`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from pipeline.cli.progress import PLAIN_LINE_SECONDS, duration, print_some, write_line
from pipeline.cli.stores import Mel, mel_contract
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS

if TYPE_CHECKING:
    from pipeline.workshop.training.loop import Progress
    from pipeline.workshop.training.run import Figures


def train(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SPEECH...", help="Audio folders, files, or .jsonl manifests.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="NAME.onnx", help="The model to be made.")],
    mel: Mel = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="To train for.")] = 10.0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Train for exactly so many steps instead.")
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option("--hold-out", metavar="PATTERN", help="Keep utterances with such keys for the figures."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="VOCODER", help="Learn the band above the speech's own from it.")
    ] = None,
    teacher_minutes: Annotated[float, typer.Option("--teacher-minutes", min=0.1, help="Of speech it vocodes.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Of torch (default: one a core).")] = None,
) -> None:
    """Train a lift vocoder for a mel contract from speech; go on where an earlier training stopped."""
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
    with _TrainingView() as view:
        trained = train_vocoder(
            sources,
            spec,
            out,
            TrainingPlan(minutes, steps, seed, threads),
            hold_out,
            teacher,
            teacher_minutes,
            view.show,
        )
    print(f"trained {out} in {duration(trained.record['minutes'] * 60)}: its card is {out.with_suffix('.md')}")
    if trained.left_out:
        print(f"{len(trained.left_out)} files were not used:", file=sys.stderr)
        print_some([f"  {reason}" for reason in trained.left_out], sys.stderr)


class _TrainingView:
    """Shows how far a training is: a bar on a terminal, else a line now and then; the figures always as a line."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        console = Console(stderr=True)
        self._bar = Bar(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console)
        self._task = self._bar.add_task("reading speech", total=None)
        self._told = time.monotonic()

    def show(self, progress: Progress, figures: Figures | None) -> None:
        """Take the next state."""
        steps = str(progress.steps or "?")
        line = f"step {progress.step} of {steps}, loss {progress.loss:.3f}, {duration(progress.seconds)}"
        self._bar.update(self._task, completed=progress.step, total=progress.steps or None, description=line)
        if figures is not None:
            pesq = "" if figures.pesq is None else f", PESQ {figures.pesq:.2f}"
            self._bar.console.print(f"{line}; held out: mel_distance {figures.mel_distance:.3f}{pesq}", highlight=False)
        elif not self._terminal and time.monotonic() - self._told >= PLAIN_LINE_SECONDS:
            self._told = time.monotonic()
            write_line(sys.stderr, line)

    def __enter__(self) -> _TrainingView:
        if self._terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
