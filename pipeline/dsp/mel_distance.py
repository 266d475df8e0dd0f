"""The distance between a mel and the mel of the audio that was made from it, measured while both come in pieces."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import LogMelStream
from pipeline.dsp.mel_analysis import mel_analysis
from pipeline.melspec import MelSpec


class MelDistance:
    """Mean absolute difference between the mel that went in and the mel of the audio that came out.

    The distance is in the log-mel units of the spec, over all bands and the frames that both mels have. Both come in
    pieces; one or two windows wait for their counterparts.

    The relative distance is the distance divided by the standard deviation of the mel that went in. It reveals a mel in
    log10 that was read as one in ln: its values lie 2.3 times closer together, so its plain distance is not larger.

    Args:
        spec: contract of the vocoder; `push_mel` takes mels in its values.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec, self._stream = spec, LogMelStream(spec)
        self._wanted: list[NDArray[np.float32]] = []
        self._given: list[NDArray[np.float32]] = []
        self._difference = np.zeros(1)
        self._frames = 0
        self._moments = np.zeros(2)  # sum of the values that went in, and of their squares
        self.mel_frames = 0
        """Number of frames of the mel that were pushed so far."""

    def push_mel(self, mel: NDArray[np.float32]) -> None:
        """Take the next `[n_mels, frames] float32` of the mel that goes in."""
        self.mel_frames += mel.shape[1]
        mel_analysis(self._spec).add_moments(mel, self._moments)
        self._wanted.append(mel)

    def push_audio(self, piece: NDArray[np.float32]) -> None:
        """Take the next `[samples] float32` of the audio that came out."""
        self._compare(self._stream.push(piece))

    def finish(self) -> tuple[float, float]:
        """The distance and the relative distance; both 0.0 if there was nothing to compare."""
        self._compare(self._stream.finish())
        distance = float(self._difference[0]) / (self._frames * self._spec.n_mels) if self._frames else 0.0
        deviation = self._deviation()
        return distance, distance / deviation if deviation > 0 else 0.0

    def _deviation(self) -> float:
        """Standard deviation of the values that went in."""
        if not self.mel_frames:
            return 0.0
        mean, square = (float(each) / (self.mel_frames * self._spec.n_mels) for each in self._moments)
        return math.sqrt(max(0.0, square - mean * mean))

    def _compare(self, given: NDArray[np.float32]) -> None:
        if given.shape[1]:
            self._given.append(given)
        while self._wanted and self._given:
            wanted, given = self._wanted[0], self._given[0]
            common = min(wanted.shape[1], given.shape[1])
            mel_analysis(self._spec).add_differences(wanted[:, :common], given[:, :common], self._difference)
            self._frames += common
            for queue, taken in ((self._wanted, wanted), (self._given, given)):
                queue[0] = taken[:, common:]
                if not queue[0].shape[1]:
                    queue.pop(0)
