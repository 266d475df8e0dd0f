"""The speech that is judged: the shipped prompts by voice, synthetic speech, and recordings that are given."""

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from support.paths import PROMPTS

from pipeline.melspec import PRESETS

SPEC = PRESETS["hifigan-22k"]
# Allison speaks English and Spanish.
VOICES = {"Allison": ("en_US_f_Allison", "es_MX_f_Allison"), "June": ("fr_CA_f_June",), "Carlo": ("it_IT_m_Carlo",),
          "Ivrvoice": ("ru_RU_f_IvrvoiceRU",)}  # fmt: skip
SYNTHETIC, GIVEN = "espeak-ng", "given"
SENTENCES = [
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "Four hours of steady work faced us.",
]  # fmt: skip  # Harvard sentences, IEEE 1969
Wave = NDArray[np.float32]
Named = list[tuple[str, Wave]]


def prompts(each: int) -> dict[str, Named]:
    """By voice the first `each` shipped prompts, named, at the spec's rate, peak 0.9."""
    found = {}
    for voice, folders in VOICES.items():
        paths = sorted(itertools.chain.from_iterable((PROMPTS / folder).rglob("*.flac") for folder in folders))
        found[voice] = [(path.stem, read(path)) for path in paths[:each]]
    return found


def speech(each: int) -> dict[str, Named]:
    """The prompts, and `each` sentences of synthetic speech, where espeak-ng is installed."""
    found = prompts(each)
    try:
        found[SYNTHETIC] = [(f"sentence {i}", _spoken(text)) for i, text in enumerate(SENTENCES[:each])]
    except FileNotFoundError:
        print("espeak-ng is not installed: no synthetic speech", file=sys.stderr)
    return found


def folder_paths(folder: Path) -> list[Path]:
    """The recordings in a folder and below."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac"))


def given_speech(folder: Path) -> Named:
    """Every recording of a folder, at the spec's rate, peak 0.9."""
    return [(path.stem, read(path)) for path in folder_paths(folder)]


def read(path: Path) -> Wave:
    """A recording at the spec's rate, peak 0.9."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = soxr.resample(wave.mean(axis=1), rate, SPEC.sample_rate)
    return (wave * (0.9 / np.abs(wave).max())).astype(np.float32)


def _spoken(text: str) -> Wave:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-v", "en-gb", "-w", file.name, text], check=True)
        return read(Path(file.name))
