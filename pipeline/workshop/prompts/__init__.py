"""Prompts: real speech that comes with melmill, on which vocoders are tried. LICENSE.md names its authors.

In: a sample rate. Out: the prompts by name, as waveforms at that rate. This folder must not know what they are used
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent


@lru_cache(maxsize=4)
def prompts(sample_rate: int) -> Mapping[str, NDArray[np.float32]]:
    """The prompts by name, 7 s together. The files have 16 kHz, so there is no speech above 8 kHz.

    Args:
        sample_rate: sample rate that they are resampled to [Hz].

    Returns:
        `[samples] float32` each, read-only.
    """
    found = {}
    for path in sorted(_FOLDER.glob("*.flac")):
        speech, rate = soundfile.read(path, dtype="float32")
        speech = soxr.resample(speech, rate, sample_rate).astype(np.float32, copy=False)
        speech.flags.writeable = False
        found[path.stem] = speech
    return found
