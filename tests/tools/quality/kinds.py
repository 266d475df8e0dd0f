"""The kinds of mel that systems are judged on: what a system gets, and what its audio is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from tools.quality import coded
from tools.quality.speech import SPEC, Wave

from pipeline.dsp.mel import log_mel

Mel = NDArray[np.float32]


def smoothed(mel: Mel, frames: int, bands: int) -> Mel:
    return scipy.ndimage.uniform_filter(mel, (bands, frames), mode="nearest").astype(np.float32)


def noisy(mel: Mel) -> Mel:
    return (mel + 0.2 * np.random.default_rng(0).standard_normal(mel.shape)).astype(np.float32)


def coarse(mel: Mel) -> Mel:
    """In steps of 0.3, and tilted by 0.3 over the bands."""
    tilt = np.linspace(-0.3, 0.3, len(mel), dtype=np.float32)[:, None]
    return (np.round((mel + tilt) / 0.3) * 0.3).astype(np.float32)


CLEAN, MODEL_B = "clean", "model B"
CHANGES: dict[str, Callable[[Mel], Mel]] = {
    CLEAN: lambda mel: mel,
    "smoothed over 3 frames": lambda mel: smoothed(mel, 3, 1),
    "smoothed over 3 frames and 3 bands": lambda mel: smoothed(mel, 3, 3),
    "noise of 0.2": noisy,
    "quantized and tilted": coarse,
}
"""Kinds that are made of the recording's mel alone."""
KINDS = (*CHANGES, MODEL_B, *coded.CODECS)


@dataclass(frozen=True)
class Prepared:
    """An utterance as a kind of mel.

    Args:
        reference: what a system's audio is compared with, `[samples] float32`: the recording, or for coded speech the
            coded recording, since its mel is all that a system gets.
        clean: mel of the reference, `[n_mels, frames] float32`.
        given: the mel that a system gets, of the same shape.
    """

    reference: Wave
    clean: Mel
    given: Mel


def prepared(kind: str, recording: Wave, net: Path | None) -> Prepared:
    """An utterance as a kind of mel; `net` is model B's for its voice."""
    if kind in coded.CODECS:
        reference = coded.CODECS[kind][0](recording)
        mel = log_mel(reference, SPEC)
        return Prepared(reference, mel, mel)
    mel = log_mel(recording, SPEC)
    if kind == MODEL_B:
        from tools.quality.model_b import predicted  # loads torch

        assert net is not None
        return Prepared(recording, mel, predicted(recording, net))
    return Prepared(recording, mel, CHANGES[kind](mel))


def here(kinds: Sequence[str]) -> tuple[list[str], list[str]]:
    """The kinds that can be made here; and why not the others."""
    reasons = {kind: coded.why_not(kind) for kind in kinds if kind in coded.CODECS}
    return [kind for kind in kinds if reasons.get(kind) is None], [why for why in reasons.values() if why is not None]
