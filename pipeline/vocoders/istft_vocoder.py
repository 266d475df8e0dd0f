"""A vocoder in two steps: an ONNX model from mel to spectrum, then an inverse short-time Fourier transform."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.checkpoints.istft import Istft
from pipeline.dsp.stft import istft
from pipeline.errors import ConfigError, MelmillError
from pipeline.vocoders.base import Backend, Window
from pipeline.vocoders.onnx_model import OnnxModel

# Raise it whenever the same model gives other samples.
_ALGORITHM = 1
# Measured on Vocos with onnxruntime 1.32: the weights are there as read, and again in the layout of the kernels.
_COPIES_OF_WEIGHTS = 2
# Frames transformed at once: 1 MB of spectrum at n_fft 1024, which stays in a core's cache.
_BLOCK = 256


class IstftVocoder:
    """A `Vocoder` from an .onnx file that melmill made from a checkpoint whose output is a spectrum (Vocos).

    A window's samples are exactly those of the whole mel, as far as the spectra of its frames are: each frame is
    transformed by itself, and frames that overlap in a sample are added in the same order. The halo contains the reach
    of the transform, so no kept sample lacks a frame that the whole mel has.

    Args:
        model: a net from mel to spectrum `[batch, 2, frames, bins] float32`, real and imaginary.
        name: the vocoder's name; the stem of the model's file if None.

    Raises:
        ConfigError: if the model's card does not describe an inverse transform.
    """

    def __init__(self, model: OnnxModel, name: str | None = None) -> None:
        if model.card.istft is None:
            raise ConfigError(f"{model.path}: its card does not describe an inverse STFT")
        self.name = model.path.stem if name is None else name
        self.spec = model.card.spec
        self.halo = model.card.halo
        parts = json.dumps(["istft", _ALGORITHM, model.digest])
        self.digest = hashlib.sha256(parts.encode()).hexdigest()[:32]
        self._model = model
        self._istft: Istft = model.card.istft
        self._synthesis = self._istft.spec(self.spec)

    @property
    def window(self) -> int:
        """See `Vocoder.window`. At Vocos's 24 kHz 1024 frames are 11 s, and the halos add 6 % of work.

        In batches a window is a quarter as long, because only windows of equal length share a batch.
        """
        return 256 if self._model.batched else 1024

    def __reduce__(self) -> tuple[Any, ...]:
        return IstftVocoder, (self._model, self.name)

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames [samples]."""
        return self._istft.samples(frames) if frames else 0

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`."""
        return Backend("onnxruntime", None, self._model.elsewhere(self.digest), self._model.precision)

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`."""
        return 0

    def memory(self, frames: int) -> int:
        """See `Vocoder.memory`. The transform holds a complex spectrum twice, and the signal with its envelope."""
        transform = frames * (16 * (self._istft.n_fft // 2 + 1) + 16 * self._istft.hop)
        return _COPIES_OF_WEIGHTS * self._model.size + frames * self._model.card.frame_bytes + transform

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`.

        Raises:
            BadMelError, ConfigError: see `OnnxModel.run`.
            MelmillError: if the runtime fails, or the spectrum has another length.
        """
        waveform: NDArray[np.float32] = self.decode_batch(mel[None])[0]
        return waveform if window is None else window.core(waveform, self.spec.hop_length)

    def batch(self, frames: int) -> int:
        """See `BatchVocoder.batch`."""
        return self._model.batch(frames)

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveforms `[batch, samples] float32` of mels of one length, `[batch, n_mels, frames] float32`.

        The net takes all mels at once, the transform one after the other. Errors are those of `decode`.
        """
        spectra = self._model.run(mels, self.name)
        frames, bins = mels.shape[2], self._istft.n_fft // 2 + 1
        if spectra.shape != (len(mels), 2, frames, bins):
            raise MelmillError(
                f"{self.name}: {frames} frames gave a spectrum of shape {spectra.shape[1:]}, not (2, {frames}, {bins})"
            )
        waveforms = np.empty((len(mels), self.samples(frames)), np.float32)
        for waveform, spectrum in zip(waveforms, spectra, strict=True):
            signal = istft(list(_complex_blocks(spectrum)), self._synthesis)
            waveform[:] = signal[self._istft.cut : self._istft.cut + len(waveform)]
        return waveforms


def _complex_blocks(spectrum: NDArray[np.float32]) -> Iterator[NDArray[np.complex64]]:
    """A spectrum `[2, frames, bins] float32` as complex pieces `[frames, bins] complex64`."""
    for start in range(0, spectrum.shape[1], _BLOCK):
        block = np.empty((min(_BLOCK, spectrum.shape[1] - start), spectrum.shape[2]), np.complex64)
        block.real, block.imag = spectrum[:, start : start + _BLOCK]
        yield block
