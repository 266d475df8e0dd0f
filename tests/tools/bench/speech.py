"""The real speech that everything is measured on: the shipped prompts."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.melspec import PRESETS, MelSpec

SPEC = PRESETS["hifigan-22k"]
VOICES = ("en_US_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo")


@cache
def recordings(sample_rate: int = SPEC.sample_rate) -> list[NDArray[np.float32]]:
    """A prompt of each of three voices, `[samples] float32` at a sample rate [Hz]."""
    paths = [min((PROMPTS / voice).glob("*.flac")) for voice in VOICES]
    read = [soundfile.read(path, dtype="float32") for path in paths]
    return [soxr.resample(waveform, rate, sample_rate) for waveform, rate in read]


@cache
def mels(spec: MelSpec = SPEC) -> list[NDArray[np.float32]]:
    """Their mels, `[n_mels, frames] float32`."""
    return [log_mel(waveform, spec) for waveform in recordings(spec.sample_rate)]


def seconds(spec: MelSpec = SPEC) -> float:
    """Length of them all [s]."""
    return sum(spec.seconds(mel.shape[1]) for mel in mels(spec))


def corpus(folder: Path, copies: int) -> float:
    """Copies all prompts into the folder, that number of times; the length of them all [s]."""
    for copy in range(copies):
        shutil.copytree(PROMPTS, folder / f"{copy:03d}", ignore=shutil.ignore_patterns("*.md"))
    return sum(soundfile.info(path).duration for path in folder.rglob("*.flac"))
