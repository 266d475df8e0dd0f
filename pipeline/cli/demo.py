"""The command `melmill demo`."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import StorageError
from pipeline.output.layout import MANIFEST, audio_object
from pipeline.workshop.prompts import SPEECH

_SHOWN = 5


def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to make it in.")] = Path("melmill-demo"),
) -> None:
    """Vocode real speech that comes with melmill.

    The speech is 24 prompts in five languages, copied to FOLDER/recordings. They are packed, vocoded with HiFi-GAN and
    verified; each command is printed before it runs. If the demo is interrupted, run it again to resume.

    Example:
        melmill demo
    """
    recordings, store, audio = folder / "recordings", folder / "mels.zarr", folder / "audio"
    if not recordings.exists():
        _copy_prompts(recordings)
    if not store.exists():
        _run("pack", recordings, store, "--mel", "hifigan-22k")
    # Audio is written as files, to click on. Shards are small, so that every core has work.
    _run("run", "--store", store, "--out", audio, "--set", "output.container=files", "--set", "output.shard_seconds=5")
    _run("verify", audio)
    print(f"The recordings are in {recordings}. Listen to what was made of their mels, for example:")
    for path in _some(audio):
        print(f"  {path}")


def _copy_prompts(recordings: Path) -> None:
    """Copy the prompts that come with melmill. The folder has its name only when it is whole."""
    partial = recordings.with_name(f"{recordings.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(SPEECH, partial)
        partial.rename(recordings)
    except (OSError, shutil.Error) as error:
        raise StorageError(f"the recordings cannot be copied to {recordings}: {error}. Name another folder") from error


def _run(*command: object) -> None:
    """Print a command of melmill and run it. If it fails, the demo ends with its exit code."""
    from pipeline.cli import app  # which imports this module when the demo is called

    arguments = [str(each) for each in command]
    print(f"$ melmill {shlex.join(arguments)}", flush=True)
    if code := app(arguments, standalone_mode=False):
        raise typer.Exit(code)


def _some(audio: Path) -> list[Path]:
    """The files of some utterances, from the whole manifest."""
    with open(audio / MANIFEST) as manifest:
        rows = [json.loads(line) for line in manifest]
    return [audio / audio_object(row["shard"], row["member"]) for row in rows[:: -(-len(rows) // _SHOWN)]]
