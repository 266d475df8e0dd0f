"""A vocoder that is an ONNX model from mel to waveform."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VocoderError
from pipeline.vocoders.base import Backend, Window
from pipeline.vocoders.onnx_model import OnnxModel

# Measured on HiFi-GAN V1 with onnxruntime 1.32: the weights are there as read, and again in the layout of the kernels.
_COPIES_OF_WEIGHTS = 2


class OnnxVocoder:
    """A `Vocoder` from an .onnx file that melmill made from a checkpoint.

    Args:
        model: a net from mel to waveform `[samples] float32`.
        name: the vocoder's name; the stem of the model's file if None.
        why_not_native: why the native kernels do not run it, as text, if they were asked to.
    """

    def __init__(self, model: OnnxModel, name: str | None = None, why_not_native: str | None = None) -> None:
        self.name = model.path.stem if name is None else name
        self.digest = model.digest
        self.spec = model.card.spec
        self.halo = model.card.halo
        self._model, self._why_not_native = model, why_not_native

    @property
    def window(self) -> int:
        """See `Vocoder.window`. At HiFi-GAN V1's 22050 Hz 512 frames are 6 s, and the halos add 5 % of work.

        In batches a window is half as long, because only windows of equal length share a batch.
        """
        return 256 if self._model.batched else 512

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxVocoder, (self._model, self.name, self._why_not_native)

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames [samples]."""
        return frames * self.spec.hop_length + self._model.card.extra_samples

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`."""
        return Backend("onnxruntime", self._why_not_native, self._model.elsewhere(self.digest), self._model.precision)

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`."""
        return 0

    def memory(self, frames: int) -> int:
        """See `Vocoder.memory`."""
        return _COPIES_OF_WEIGHTS * self._model.size + frames * self._model.card.frame_bytes

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`.

        Raises:
            BadMelError, ConfigError: see `OnnxModel.run`.
            VocoderError: if the runtime fails, or the waveform has another length.
        """
        waveform: NDArray[np.float32] = self.decode_batch(mel[None])[0]
        return waveform if window is None else window.core(waveform, self.spec.hop_length)

    def batch(self, frames: int) -> int:
        """See `BatchVocoder.batch`."""
        return self._model.batch(frames)

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveforms `[batch, samples] float32` of mels of one length, `[batch, n_mels, frames] float32`.

        Errors are those of `decode`.
        """
        waveforms = self._model.run(mels, self.name)
        frames, wanted = mels.shape[2], self.samples(mels.shape[2])
        if waveforms.shape != (len(mels), wanted):
            raise VocoderError(
                f"{self.name}: {frames} frames gave a waveform of shape {waveforms.shape[1:]}, not [{wanted}]"
            )
        return waveforms
