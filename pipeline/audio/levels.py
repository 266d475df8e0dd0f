"""Figures of a waveform, taken while its pieces pass: its levels, and its distance to the mel that it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import UtteranceError

SILENCE_DBFS = -200.0
"""Level that stands for digital silence, whose true level, minus infinity, JSON cannot express."""


# onnxruntime computes a saturated tanh as 1 + 2**-23, which is only rounding.
_FULL_SCALE = np.float32(1 + 2**-22)


class Levels:
    """Peak, root mean square and number of samples over full scale of a waveform that comes in pieces."""

    def __init__(self) -> None:
        self.samples = 0
        self.peak = 0.0
        self.over_full_scale = 0
        """Number of samples whose absolute value is over 1.0 by more than rounding."""
        self._squares = 0.0

    def push(self, piece: NDArray[np.float32]) -> float:
        """Take the next samples, `[samples] float32`. Returns their own peak.

        Raises:
            UtteranceError: if a sample is NaN or infinite.
        """
        if not piece.size:
            return 0.0
        peak = _peak(piece, self.samples, "the waveform to be encoded has")
        self.samples += piece.size
        self.peak = max(self.peak, peak)
        if peak > _FULL_SCALE:
            self.over_full_scale += int(np.count_nonzero(np.abs(piece) > _FULL_SCALE))
        squares = piece.astype(np.float64)
        squares *= squares
        self._squares += float(squares.sum())
        return peak

    @property
    def rms_dbfs(self) -> float:
        """Root mean square [dB relative to a full-scale square wave]; `SILENCE_DBFS` for digital silence."""
        power = self._squares / self.samples if self.samples else 0.0
        return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def examined(
    pieces: Iterable[NDArray[np.float32]], distance: MelDistance | None = None
) -> Iterator[NDArray[np.float32]]:
    """The vocoder's own waveform, passed on unchanged after it was checked.

    Args:
        pieces: consecutive pieces of the waveform, `[samples] float32`.
        distance: mel distance that is given each piece, if it is measured.

    Raises:
        UtteranceError: if a sample is NaN or infinite.
    """
    samples = 0
    for piece in pieces:
        if piece.size:
            _peak(piece, samples, "the vocoder gave")
        samples += len(piece)
        if distance is not None:
            distance.push_audio(piece)
        yield piece


def _peak(piece: NDArray[np.float32], before: int, what: str) -> float:
    """Largest absolute value of a piece that has samples.

    Raises:
        UtteranceError: if one is NaN or infinite.
    """
    peak = max(float(piece.max()), -float(piece.min()))
    if not math.isfinite(peak):  # numpy's max and min of NaN are NaN
        at = int(np.flatnonzero(~np.isfinite(piece))[0])
        raise UtteranceError(f"{what} {piece[at]} at sample {before + at}")
    return peak
