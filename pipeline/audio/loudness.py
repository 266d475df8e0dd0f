"""Loudness by ITU-R BS.1770, true peak, and a gain that reaches a target loudness within a limit of the true peak."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.storage import translated

# ITU-R BS.1770-4, annex 1: gating blocks of 400 ms, one every 100 ms; -0.691 dB so that a full-scale sine of 997 Hz in
# one channel has -3.01 LUFS; blocks under -70 LUFS are left out, then those 10 dB under the mean of the others.
_BLOCK, _OVERLAP = 0.4, 0.75
_OFFSET = -0.691
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0

# ITU-R BS.1770-4, annex 2: with four times the rate, no peak between two samples is missed by more than 0.7 dB.
_OVERSAMPLING = 4

_SPOOL_BYTES = 16 * 2**20
"""Largest waveform that waits for its gain in memory [bytes]; a larger one goes to a file in the scratch folder."""
_SPOOL_SAMPLES = 2**18
"""Number of samples that are read back at once."""


def check_installed() -> None:
    """Raises ConfigError if pyloudnorm, which `output.loudness` needs, is not installed."""
    if importlib.util.find_spec("pyloudnorm") is None:
        raise ConfigError("output.loudness: pyloudnorm is not installed: pip install 'melmill[loudness]'")


class LoudnessMeter:
    """Integrated loudness of a mono waveform that comes in pieces, as `pyloudnorm.Meter` measures it.

    The state of pyloudnorm's filters is kept from piece to piece; of its blocks only the mean squares are kept, 80
    bytes per second. The result does not depend on the pieces.

    Args:
        sample_rate: sample rate of the waveform [Hz].

    Raises:
        ConfigError: if pyloudnorm is not installed.
    """

    def __init__(self, sample_rate: int) -> None:
        check_installed()
        import pyloudnorm
        from scipy.signal import lfilter  # pyloudnorm needs it

        self._lfilter = lfilter
        self._rate = sample_rate
        stages = pyloudnorm.Meter(sample_rate, block_size=_BLOCK, overlap=_OVERLAP)._filters.values()
        self._filters = [(stage.passband_gain * stage.b, stage.a) for stage in stages]
        self._states = [np.zeros(2) for _ in self._filters]
        self._held = np.empty(0)
        self._dropped = 0
        self._powers: list[float] = []

    def push(self, piece: NDArray[np.float32]) -> None:
        """Take the next samples, `[samples] float32`."""
        if not len(piece):
            return
        weighted = piece.astype(np.float64)
        for i, (numerator, denominator) in enumerate(self._filters):
            weighted, self._states[i] = self._lfilter(numerator, denominator, weighted, zi=self._states[i])
        self._held = np.concatenate([self._held, weighted])
        while self._bounds(len(self._powers))[1] <= self._dropped + len(self._held):
            self._take_block()
        begun = self._bounds(len(self._powers))[0] - self._dropped
        self._held, self._dropped = self._held[begun:], self._dropped + begun

    def finish(self) -> float | None:
        """The integrated loudness [LUFS]; None under 400 ms, or if no block is louder than -70 LUFS."""
        samples = self._dropped + len(self._held)
        if samples < _BLOCK * self._rate:
            return None
        # A last block counts if less than half a step of it is missing, as in pyloudnorm.
        step = _BLOCK * (1 - _OVERLAP)
        while len(self._powers) < int(np.round((samples / self._rate - _BLOCK) / step)) + 1:
            self._take_block()
        powers = np.array(self._powers)
        with np.errstate(divide="ignore"):
            levels = _OFFSET + 10 * np.log10(powers)
        loud = levels >= _ABSOLUTE_GATE
        if not loud.any():
            return None
        gate = max(_ABSOLUTE_GATE, _OFFSET + 10 * math.log10(powers[loud].mean()) + _RELATIVE_GATE)
        return _OFFSET + 10 * math.log10(powers[levels > gate].mean())

    def _bounds(self, block: int) -> tuple[int, int]:
        """First sample of a block, and the sample after its last one, rounded as in pyloudnorm."""
        step = 1 - _OVERLAP
        return int(_BLOCK * (block * step) * self._rate), int(_BLOCK * (block * step + 1) * self._rate)

    def _take_block(self) -> None:
        start, stop = (bound - self._dropped for bound in self._bounds(len(self._powers)))
        self._powers.append(float(np.square(self._held[start:stop]).sum()) / (_BLOCK * self._rate))


class TruePeakMeter:
    """Largest absolute value of a waveform that comes in pieces, also between samples, by fourfold oversampling.

    Args:
        sample_rate: sample rate of the waveform [Hz].
    """

    def __init__(self, sample_rate: int) -> None:
        self._stream = soxr.ResampleStream(sample_rate, _OVERSAMPLING * sample_rate, 1, dtype="float32", quality="HQ")
        self._peak = 0.0

    def push(self, piece: NDArray[np.float32], last: bool = False) -> None:
        """Take the next samples, `[samples] float32`; `last` is true with or after the last of them."""
        found = self._stream.resample_chunk(piece, last=last)
        for samples in (piece, found):  # the filter may also lower a sample's own value
            if len(samples):
                self._peak = max(self._peak, float(np.abs(samples).max()))

    def finish(self) -> float:
        """The true peak [dBTP]; -inf for digital silence."""
        self.push(np.zeros(0, np.float32), last=True)
        return 20 * math.log10(self._peak) if self._peak > 0 else -math.inf


class LoudnessNormalizer:
    """Brings a waveform to a target loudness by one gain, which is smaller if the true peak would exceed its limit.

    The waveform keeps its shape: there is no limiter and no compressor. A waveform that has no loudness, since it is
    shorter than 400 ms or never louder than -70 LUFS, is only lowered if its true peak exceeds the limit.

    The gain is known after the whole waveform was measured, so the waveform waits in a spool: in memory up to 16 MiB,
    then in a file in the scratch folder, with 4 bytes per sample.

    Args:
        target: target loudness [LUFS].
        true_peak: limit of the true peak [dBTP].
        sample_rate: sample rate of the waveform [Hz].
        folder: scratch folder.
    """

    def __init__(self, target: float, true_peak: float, sample_rate: int, folder: Path) -> None:
        self._target, self._limit, self._rate, self._folder = target, true_peak, sample_rate, folder
        self.gain_db = 0.0
        """The gain [dB]; known once `normalized` yields its first piece."""
        self.loudness: float | None = None
        """Loudness of the waveform after the gain [LUFS]; None if it has no loudness."""

    def normalized(self, pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The waveform with the gain applied.

        Args:
            pieces: consecutive pieces of the waveform, `[samples] float32`, finite.

        Yields:
            `[samples] float32`, in total as many samples as the pieces have.

        Raises:
            StorageError: if the folder cannot be written or read.
        """
        meter, peak = LoudnessMeter(self._rate), TruePeakMeter(self._rate)
        with contextlib.closing(tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(self._folder))) as opened:
            spool = cast(IO[bytes], opened)
            for piece in pieces:
                meter.push(piece)
                peak.push(piece)
                with translated(f"writing {self._folder}"):
                    spool.write(piece.astype("<f4", copy=False).tobytes())
            self._decide(meter.finish(), peak.finish())
            factor = np.float32(10 ** (self.gain_db / 20))
            with translated(f"reading {self._folder}"):
                spool.seek(0)
            while len(samples := self._read(spool)):
                yield samples * factor

    def _decide(self, loudness: float | None, peak: float) -> None:
        allowed = self._limit - peak
        self.gain_db = min(0.0, allowed) if loudness is None else min(self._target - loudness, allowed)
        self.loudness = None if loudness is None else loudness + self.gain_db

    def _read(self, spool: IO[bytes]) -> NDArray[np.float32]:
        with translated(f"reading {self._folder}"):
            return np.frombuffer(spool.read(4 * _SPOOL_SAMPLES), "<f4").astype(np.float32, copy=False)
