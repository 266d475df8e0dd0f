"""The mels of a clip, as the page draws them: one byte for each value, input and output on one scale."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec
from pipeline.report.page_data.rows import MelHeader
from pipeline.report.script_files import plain_json

_MOST_FRAMES = 1200
_RANGE_DB = 80.0
"""Values further below the largest one are drawn as if they were not."""


def mel_file(given: NDArray[np.float32] | None, made: NDArray[np.float32], spec: MelSpec) -> bytes:
    """A `MelHeader` as a line of JSON, then the bytes of both mels.

    Args:
        given: the mel that went in, `[n_mels, frames] float32` in the values of `spec`; None if it is not there.
        made: the mel of the audio, `[n_mels, frames] float32` in the same values.
        spec: contract of both.
    """
    common = made.shape[1] if given is None else min(made.shape[1], given.shape[1])
    mels = [mel[:, :common] for mel in (given, made) if mel is not None]
    distance = float(np.mean(np.abs(mels[0].astype(np.float64) - mels[1]))) if given is not None else None
    together = math.ceil(common / _MOST_FRAMES)
    mels = [_averaged(mel, together) for mel in mels]
    high = max(float(mel.max()) for mel in mels)
    low = min(float(mel.min()) for mel in mels)
    if spec.normalization is None:
        low = max(low, high - _RANGE_DB / 20 * math.log(10) * spec.power * spec.log_scale)
    scale = 255 / (high - low) if high > low else 0.0
    header = MelHeader(
        spec.n_mels,
        mels[0].shape[1],
        together * spec.hop_length / spec.sample_rate,
        low,
        high,
        spec.fmin,
        spec.fmax,
        spec.log,
        given is not None,
        distance,
    )
    values = (np.rint(np.clip((mel - low) * scale, 0, 255)).astype(np.uint8).tobytes() for mel in mels)
    return plain_json(header).encode() + b"\n" + b"".join(values)


def _averaged(mel: NDArray[np.float32], together: int) -> NDArray[np.float32]:
    """The mel with the mean of so many frames in place of each group of them."""
    if together == 1:
        return mel
    frames = mel.shape[1] // together * together
    averaged: NDArray[np.float32] = mel[:, :frames].reshape(len(mel), -1, together).mean(axis=2, dtype=np.float32)
    return averaged
