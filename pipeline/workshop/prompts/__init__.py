"""Prompts: real speech that comes with melmill. speech/LICENSE.md names its authors.

In: a sample rate. Out: three prompts by name, as waveforms at that rate, on which vocoders are tried; and the folder of
all 24, of which the demo is made. This folder must not know what they are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SPEECH = Path(__file__).parent / "speech"
"""24 recordings in a folder for each voice, 1.2 minutes together: FLAC, 16 kHz, mono."""

_TRIED = {
    "english": "en_US_f_Allison/demo-echodone",
    "french": "fr_CA_f_June/all-circuits-busy-now",
    "italian": "it_IT_m_Carlo/feature-not-avail-line",
}


@lru_cache(maxsize=4)
def prompts(sample_rate: int) -> Mapping[str, NDArray[np.float32]]:
    """Three prompts by name, 7 s together. The files have 16 kHz, so there is no speech above 8 kHz.

    Args:
        sample_rate: sample rate that they are resampled to [Hz].

    Returns:
        `[samples] float32` each, read-only.
    """
    found = {}
    for name, place in _TRIED.items():
        speech, rate = soundfile.read(SPEECH / f"{place}.flac", dtype="float32")
        speech = soxr.resample(speech, rate, sample_rate).astype(np.float32, copy=False)
        speech.flags.writeable = False
        found[name] = speech
    return found
