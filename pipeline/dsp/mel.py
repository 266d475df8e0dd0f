"""Log-mel spectrograms: the analysis of a waveform as a stream, and the range of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel_analysis import mel_analysis
from pipeline.dsp.stft import window
from pipeline.melspec import MelSpec

# Number of frames analysed at once. Blocks start at multiples of it, however the waveform was cut into pieces, so that
# each frame gets the same bits where numpy makes matrix products of a block.
_BLOCK = 512


def mel_to_linear(mel: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The filterbank outputs of a mel where nothing was floored or clipped, both `[n_mels, frames] float32`."""
    return mel_analysis(spec).to_linear(mel)


@lru_cache(maxsize=64)  # see mel_filterbank
def mel_silence(spec: MelSpec) -> NDArray[np.float32]:
    """The smallest values that a mel of this spec can hold, those of silence: `[n_mels] float32`, read-only."""
    return _mel_of_flat(max(spec.magnitude_eps, spec.power_floor), spec)


@lru_cache(maxsize=64)  # see mel_filterbank
def mel_ceiling(spec: MelSpec) -> NDArray[np.float32]:
    """Values that no waveform within [-1, 1] exceeds: `[n_mels] float32`, read-only.

    The magnitude of a bin is at most the sum of the window (triangle inequality). So a band is at most the sum of its
    filter times that, to the spec's power.
    """
    loudest = math.fsum(window(spec))
    return _mel_of_flat(max(loudest * loudest + spec.magnitude_eps, spec.power_floor), spec)


def _mel_of_flat(power: float, spec: MelSpec) -> NDArray[np.float32]:
    """The mel of a spectrum that has this squared magnitude in each bin, `[n_mels] float32`: rounded at the end alone.

    Exact sums and Decimal's logarithm give the same bits on every processor, where no kernel can be compiled, too.
    """
    level = math.sqrt(power) if spec.power == 1 else power
    linear = [math.fsum(band) * level for band in mel_filterbank(spec).astype(np.float64)]
    floored = [max(each, spec.floor) if spec.flooring == "max" else each + spec.floor for each in linear]
    with localcontext(prec=30):
        values = np.array([float(Decimal(each).ln()) for each in floored]) * spec.log_scale
    if spec.normalization is not None:
        values = spec.normalization.apply(values[:, None])[:, 0]
    single = values.astype(np.float32)
    single.flags.writeable = False
    return single


class LogMelStream:
    """The log-mel spectrogram of a waveform that arrives in consecutive pieces, in bounded memory.

    Frames are those of the whole waveform, reflect-padded at its true ends; they are the same bits however it was cut.
    """

    def __init__(self, spec: MelSpec) -> None:
        self._spec = spec
        # Room for a block of frames and for the samples after it that the padding at the end reflects, and for both
        # paddings. The one in front is reflected once the samples are there.
        hop, padding = spec.hop_length, spec.padding
        self._whole = max((_BLOCK - 1) * hop + spec.n_fft, _BLOCK * hop + padding + 1)
        self._held = np.empty(self._whole + padding, np.float32)
        self._filled = padding
        self._at_start = True

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes the next samples, and returns the frames that they complete, in whole blocks.

        Args:
            samples: the next samples, `[samples] float32`, any number.

        Returns:
            `[n_mels, k] float32`; k is often 0.
        """
        hop = self._spec.hop_length
        done = []
        while len(samples):
            piece, samples = np.split(samples, [self._whole - self._filled])
            self._held[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            if self._filled < self._whole:
                break
            self._reflect_start()
            done.append(self._analyse(0, (_BLOCK - 1) * hop + self._spec.n_fft))
            self._filled -= _BLOCK * hop
            self._held[: self._filled] = self._held[_BLOCK * hop : self._whole].copy()
        return self._joined(done)

    def finish(self) -> NDArray[np.float32]:
        """Ends the waveform and returns its last frames, `[n_mels, k] float32`; k is 0 if there was no sample."""
        hop, n_fft, padding = self._spec.hop_length, self._spec.n_fft, self._spec.padding
        if self._at_start and self._filled == padding:
            return self._joined([])
        if self._at_start and self._filled <= 2 * padding:  # too short to be reflected once
            self._held = np.pad(self._held[padding : self._filled], padding, mode="reflect")
            self._filled = len(self._held)
        else:
            self._reflect_start()
            end = self._filled
            self._held[end : end + padding] = self._held[end - padding - 1 : end - 1][::-1]
            self._filled += padding
        frames = max(0, 1 + (self._filled - n_fft) // hop)
        starts = range(0, frames, _BLOCK)
        return self._joined([self._analyse(i * hop, (min(i + _BLOCK, frames) - 1) * hop + n_fft) for i in starts])

    def _reflect_start(self) -> None:
        if self._at_start:
            padding = self._spec.padding
            self._held[:padding] = self._held[2 * padding : padding : -1]
            self._at_start = False

    def _analyse(self, start: int, stop: int) -> NDArray[np.float32]:
        return mel_analysis(self._spec).log_mel(self._held[start:stop])

    def _joined(self, blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate([np.empty((self._spec.n_mels, 0), np.float32), *blocks], axis=1)


def log_mel_blocks(pieces: Iterable[NDArray[np.float32]], spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    """The log-mel spectrogram of a waveform given in pieces `[samples] float32`, as blocks `[n_mels, k] float32`."""
    stream = LogMelStream(spec)
    for piece in pieces:
        if (block := stream.push(piece)).shape[1]:
            yield block
    if (block := stream.finish()).shape[1]:
        yield block


def log_mel(waveform: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The log-mel spectrogram of a waveform.

    Args:
        waveform: the waveform, `[samples] float32`, full scale at 1.
        spec: contract of the mel.

    Returns:
        `[n_mels, spec.frames(samples)] float32`; no frames for no samples.
    """
    mel = np.empty((spec.n_mels, spec.frames(len(waveform)) if len(waveform) else 0), np.float32)
    piece = _BLOCK * spec.hop_length
    done = 0
    for block in log_mel_blocks((waveform[i : i + piece] for i in range(0, len(waveform), piece)), spec):
        mel[:, done : done + block.shape[1]] = block
        done += block.shape[1]
    return mel
