"""Folders to pack, and a packing that can be killed at a chosen moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from pipeline.melspec import MelSpec, preset

SPEC: MelSpec = preset("hifigan-22k")

# Packs argv[1] to argv[2]; once argv[3] files are done says so, and then waits argv[4] seconds after each one.
_SCRIPT = """
import multiprocessing, sys, time
from pipeline.errors import MelmillError
from pipeline.melspec import preset
from pipeline.pack import pack_source, writer

writer.SHARD_FRAMES, writer.CHUNK_FRAMES = 2048, 256

def wait(progress):
    if progress.done >= int(sys.argv[3]):
        print("ready", *[child.pid for child in multiprocessing.active_children()], flush=True)
        time.sleep(float(sys.argv[4]))

if __name__ == "__main__":
    try:
        pack_source(sys.argv[1], sys.argv[2], preset("hifigan-22k"), "audio", workers=2, on_progress=wait)
    except MelmillError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(error.exit_code)
"""


def start_packing(folder: Path, out: Path, ready_at: int, pause: float) -> subprocess.Popen[str]:
    """A packing in a process group of its own, with shards of 2048 frames."""
    script = out.parent / "packing_script.py"
    script.write_text(_SCRIPT)
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-W",
        "error",
        str(script),
        str(folder),
        str(out),
        str(ready_at),
        str(pause),
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def write_tone(path: Path, seconds: float = 0.5, sample_rate: int = 22050, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    samples = np.stack([0.3 * np.sin(2 * np.pi * 220 * (i + 1) * time) for i in range(channels)], axis=1)
    soundfile.write(path, samples, sample_rate)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
