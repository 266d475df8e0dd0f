"""From the vocoder's waveform to the one that is encoded: its sample rate, then its loudness, as a job asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.loudness import LoudnessNormalizer, check_installed
from pipeline.audio.resample import resampled, resampled_length
from pipeline.config import OutputConfig

__all__ = ["Master", "check_installed", "resampled", "resampled_length"]


class Master:
    """What is done to one utterance's waveform before it is quantized.

    Args:
        output: what the job asks for.
        source_rate: of the vocoder's waveform [Hz].
        folder: of scratch, for a waveform that waits for its gain.
    """

    def __init__(self, output: OutputConfig, source_rate: int, folder: Path) -> None:
        self._source_rate = source_rate
        self.sample_rate = output.sample_rate or source_rate
        """Of what comes out [Hz]."""
        self._normalizer: LoudnessNormalizer | None = None
        if output.loudness is not None:
            self._normalizer = LoudnessNormalizer(output.loudness, output.true_peak, self.sample_rate, folder)

    @property
    def gain_db(self) -> float:
        """The gain that was given [dB]; 0.0 where no loudness is asked for."""
        return self._normalizer.gain_db if self._normalizer else 0.0

    @property
    def loudness(self) -> float | None:
        """Of what came out [LUFS]; None where no loudness is asked for, or the waveform has none."""
        return self._normalizer.loudness if self._normalizer else None

    def pieces(self, waveform: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """What is to be encoded, from consecutive `[samples] float32`, finite, to others of the same kind.

        Raises:
            StorageError: if the folder of scratch cannot be written.
        """
        pieces = resampled(waveform, self._source_rate, self.sample_rate)
        return pieces if self._normalizer is None else self._normalizer.normalized(pieces)
