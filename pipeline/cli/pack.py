"""The command `melmill pack`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.cli.options import Json, Quiet
from pipeline.cli.printing import LINES_SHOWN, duration, hours, print_some
from pipeline.cli.progress import Progress, progress_shown
from pipeline.errors import UtteranceError
from pipeline.pack import FAILURES_SUFFIX, Axis, Kind, PackProgress, PackResult, pack_source, read_metadata
from pipeline.wording import counted


def pack(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder of audio or mels, .scp or .ark, NeMo or lhotse manifest, or mel store."
        ),
    ],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Zarr store to make.")],
    mel: Mel = None,
    kind: Annotated[Literal["auto", Kind], typer.Option("--from", help="Kind of SOURCE.")] = "auto",
    axis: Annotated[Axis, typer.Option("--axis", help="First axis of .npy, .npz, .h5 and .pt mels.")] = "auto",
    meta: Annotated[
        Path | None,
        typer.Option("--meta", metavar="FILE", help="List with text, speaker, ... for each key: .jsonl, .csv, .tsv."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Number of processes (default: one per core).")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a mel store from audio, or from mels in other formats.

    If an earlier packing was interrupted, this continues it. The key of an utterance is the path of its file below the
    folder, without extension.

    Exit code 3: some sources could not be packed. STORE.failures.jsonl lists them.

    Example:
        melmill pack recordings mels.zarr --mel hifigan-22k
    """
    spec = mel_contract(mel)
    metadata = None if meta is None else read_metadata(str(meta))
    if metadata is not None and metadata.note:
        print(f"{metadata.path}: {metadata.note}", file=sys.stderr)
    begun = time.monotonic()
    with progress_shown(not quiet) as progress:
        result = pack_source(source, str(store), spec, kind, axis, metadata, workers, _shown_on(progress))
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        if not quiet:
            _say(result, time.monotonic() - begun)
        _warn(result)
    if result.failures:
        raise typer.Exit(UtteranceError.exit_code)


def _shown_on(progress: Progress) -> Callable[[PackProgress], None]:
    restart_shown = False

    def show(state: PackProgress) -> None:
        nonlocal restart_shown
        if state.restarted and not restart_shown:
            restart_shown = True
            progress.notice(f"starting from scratch: {state.restarted}")
        line = f"{state.done} of {counted(state.total, 'file')}, {hours(state.seconds)}, {state.failures} failed"
        progress.update(line, state.done, state.total)

    return show


def _say(result: PackResult, seconds: float) -> None:
    kept = f" ({result.kept} kept from an interrupted packing)" if result.kept else ""
    packed = f"{counted(result.utterances, 'utterance')}{kept}, {hours(result.seconds)}"
    print(f"packed {packed}, into {result.store} in {duration(seconds)}")
    if result.ignored:
        print(counted(result.ignored, "file of another kind was left out", "files of other kinds were left out"))
    if result.clutter:
        left = counted(result.clutter, "file that machines leave", "files that machines leave")
        were = "was" if result.clutter == 1 else "were"
        print(f"{left} lying about (.DS_Store, ._x, x~, @eaDir, ...) {were} left out")


def _warn(result: PackResult) -> None:
    for note in result.notes:
        print(note, file=sys.stderr)
    if result.without_metadata:
        lacking = counted(len(result.without_metadata), "utterance has", "utterances have")
        print(f"{lacking} no metadata:", file=sys.stderr)
        print_some([f"  {key}" for key in result.without_metadata], sys.stderr)
    if result.unused_metadata:
        unused = counted(len(result.unused_metadata), "key of the metadata belongs", "keys of the metadata belong")
        print(f"{unused} to no utterance:", file=sys.stderr)
        print_some([f"  {key}" for key in result.unused_metadata], sys.stderr)
    if result.failures:
        bad = counted(len(result.failures), "source could not be packed and is", "sources could not be packed and are")
        print(f"{bad} not in the store:", file=sys.stderr)
        print_some([f"  {failure.path}: {failure.reason}" for failure in result.failures], sys.stderr)
        if len(result.failures) > LINES_SHOWN:
            print(f"{result.store}{FAILURES_SUFFIX} lists all of them", file=sys.stderr)
