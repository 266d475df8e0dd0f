"""Real speech that comes with melmill, to try vocoders on. Whose it is stands in LICENSE.md beside it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

PROMPT_RATE = 16_000
"""Of the files [Hz]: at any higher rate there is no speech above half of it."""
_FOLDER = Path(__file__).parent


@lru_cache(maxsize=4)
def prompts(sample_rate: int) -> Mapping[str, NDArray[np.float32]]:
    """The prompts by name, 7 s together.

    Args:
        sample_rate: that they are resampled to [Hz].

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
