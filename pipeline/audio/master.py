"""Mastering: the vocoder's waveform brought to the sample rate and then to the loudness that a job asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.loudness import LoudnessNormalizer
from pipeline.audio.resample import resampled
from pipeline.config import OutputConfig


class Master:
    """Masters the waveform of one utterance, before it is quantized.

    Args:
        output: output that the job asks for.
        source_rate: sample rate of the vocoder's waveform [Hz].
        folder: scratch folder, for a waveform that waits for its gain.
    """

    def __init__(self, output: OutputConfig, source_rate: int, folder: Path) -> None:
        self._source_rate = source_rate
        self.sample_rate = output.sample_rate or source_rate
        """Sample rate of the mastered waveform [Hz]."""
        self._normalizer: LoudnessNormalizer | None = None
        if output.loudness is not None:
            self._normalizer = LoudnessNormalizer(output.loudness, output.true_peak, self.sample_rate, folder)

    @property
    def gain_db(self) -> float:
        """The gain that was applied [dB]; 0.0 if the job asks for no loudness."""
        return self._normalizer.gain_db if self._normalizer else 0.0

    @property
    def loudness(self) -> float | None:
        """Loudness of the mastered waveform [LUFS]; None if the job asks for no loudness, or the waveform has none."""
        return self._normalizer.loudness if self._normalizer else None

    def pieces(self, waveform: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The mastered waveform in consecutive pieces, `[samples] float32`.

        Args:
            waveform: consecutive pieces of the vocoder's waveform, `[samples] float32`, finite.

        Raises:
            StorageError: if the scratch folder cannot be written.
        """
        pieces = resampled(waveform, self._source_rate, self.sample_rate)
        return pieces if self._normalizer is None else self._normalizer.normalized(pieces)
