"""The command pack."""

from __future__ import annotations

import enum
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.cli.progress import PLAIN_LINE_SECONDS, duration, hours, print_some, write_line
from pipeline.cli.stores import Mel, mel_contract
from pipeline.errors import UtteranceError
from pipeline.pack import PackProgress, PackResult, pack_source, read_metadata


class KindChoice(enum.StrEnum):
    """What is to be packed."""

    auto = "auto"
    audio = "audio"
    npy = "npy"
    hdf5 = "hdf5"
    torch = "torch"
    kaldi = "kaldi"
    nemo = "nemo"
    lhotse = "lhotse"
    zarr = "zarr"


class AxisChoice(enum.StrEnum):
    """Which axis of a mel in a file of its own comes first."""

    auto = "auto"
    mels_first = "mels-first"
    frames_first = "frames-first"


def pack(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A folder of audio or mels, an .scp or .ark, a NeMo or lhotse manifest, a mel store."
        ),
    ],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The Zarr store to be made.")],
    mel: Mel = None,
    kind: Annotated[KindChoice, typer.Option("--from", help="What SOURCE is.")] = KindChoice.auto,
    axis: Annotated[AxisChoice, typer.Option("--axis", help="First axis of .npy, .h5 and .pt mels.")] = AxisChoice.auto,
    meta: Annotated[
        Path | None,
        typer.Option("--meta", metavar="FILE", help="Text, speaker, ... by key: .jsonl, or .csv with a header."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes (default: one a core).")] = None,
) -> None:
    """Make a mel store from audio, or from mels as others keep them; go on where an earlier packing stopped.

    A file's path below its folder, without extension, becomes the utterance's key.
    """
    spec = mel_contract(mel)
    metadata = None if meta is None else read_metadata(str(meta))
    begun = time.monotonic()
    with PackView() as view:
        result = pack_source(source, str(store), spec, kind.value, axis.value, metadata, workers, view.show)
    _say(result, time.monotonic() - begun)
    if result.failures:
        raise typer.Exit(UtteranceError.exit_code)


def _say(result: PackResult, seconds: float) -> None:
    kept = f" ({result.kept} kept from an interrupted packing)" if result.kept else ""
    print(
        f"packed {result.utterances} utterances{kept}, {hours(result.seconds)}, into {result.store} "
        f"in {duration(seconds)}"
    )
    if result.ignored:
        print(f"{result.ignored} files are of other kinds and were left out")
    if result.without_metadata:
        print(f"{len(result.without_metadata)} utterances have no metadata:", file=sys.stderr)
        print_some([f"  {key}" for key in result.without_metadata], sys.stderr)
    if result.unused_metadata:
        print(f"{len(result.unused_metadata)} keys of the metadata are of no utterance:", file=sys.stderr)
        print_some([f"  {key}" for key in result.unused_metadata], sys.stderr)
    if result.failures:
        print(f"{len(result.failures)} sources could not be packed and are not in the store:", file=sys.stderr)
        print_some([f"  {failure.path}: {failure.reason}" for failure in result.failures], sys.stderr)


class PackView:
    """Shows how far packing is: a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console)
        self._task = self._bar.add_task("starting", total=None)
        self._terminal = sys.stderr.isatty()
        self._told = time.monotonic()
        self._restart_told = False

    def show(self, progress: PackProgress) -> None:
        """Take the next state."""
        if progress.restarted and not self._restart_told:
            self._restart_told = True
            write_line(sys.stderr, f"beginning anew: {progress.restarted}")
        line = f"{progress.done} of {progress.total} files, {hours(progress.seconds)}, {progress.failures} failed"
        self._bar.update(self._task, completed=progress.done, total=progress.total, description=line)
        if not self._terminal and time.monotonic() - self._told >= PLAIN_LINE_SECONDS:
            self._told = time.monotonic()
            write_line(sys.stderr, line)

    def __enter__(self) -> Self:
        if self._terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
