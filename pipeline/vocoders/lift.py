"""Lift, melmill's own vocoder: a small net restores the linear magnitudes, and `dsp.phase` finds the phases."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.net_magnitude import net_magnitude_blocks
from pipeline.dsp.phase import phase_halo, phase_memory, reconstruct_blocks
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.kernels.phase_stage import Method
from pipeline.kernels.target import required
from pipeline.melspec import Framing
from pipeline.vocoders.base import Backend, Window
from pipeline.vocoders.onnx_model import OnnxModel

# Raise it whenever the same model gives other samples.
_ALGORITHM = 4
# Weight of the net's magnitudes in the phase stage. Tried from 0 to 0.5 on a voice that the net had not heard: no other
# weight has a higher PESQ (3.62; 3.57 with 0, 3.61 with 0.5), and the mel is hardly farther off (0.100; 0.099 with 0,
# 0.121 with 0.5).
_ANCHOR = 0.2
_METHOD: Method = "admm"
# The weights are there in half precision as read, and in single precision as constants.
_COPIES_OF_WEIGHTS = 4


class Lift:
    """A `Vocoder` from a net that `melmill vocoder train` made.

    Args:
        model: a net from mel to levels; see `net_magnitude_blocks`. Onnxruntime runs it on the CPU, whatever device it
            was opened for: a GPU would gain nothing, because the phase stage takes nearly all of the time.
        name: the vocoder's name; the stem of the model's file if None.
        iterations: number of iterations of the phase stage.
        framing: the framing of the mels, which only the phase stage uses; None for that of the training mels.

    Raises:
        ConfigError: if kernels cannot be compiled here.
    """

    def __init__(
        self, model: OnnxModel, name: str | None = None, iterations: int = 32, framing: Framing | None = None
    ) -> None:
        required("lift")
        model = model.on_the_cpu()
        self.name = model.path.stem if name is None else name
        self.spec = model.card.spec if framing is None else dataclasses.replace(model.card.spec, framing=framing)
        self.iterations = iterations
        parts = ["lift", _ALGORITHM, model.digest, iterations]
        if self.spec.framing != model.card.spec.framing:
            parts.append(self.spec.framing)
        self.digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        self._model = model
        left, right = phase_halo(self.spec, iterations)
        self.halo = left + model.card.halo[0], right + model.card.halo[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Lift, (self._model, self.name, self.iterations, self.spec.framing)

    def for_framing(self, framing: Framing) -> Lift:
        """The same net for mels of that framing: the net sees frames, not where in the audio they lie."""
        return self if framing == self.spec.framing else Lift(self._model, self.name, self.iterations, framing)

    @property
    def window(self) -> int:
        """See `Vocoder.window`. The halos add 9 % of work."""
        return 2048

    def samples(self, frames: int) -> int:
        """Length of the waveform [samples] that a mel of `frames` frames gives."""
        return self.spec.samples(frames)

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`."""
        return Backend("onnxruntime")

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`."""
        return 0

    def memory(self, frames: int) -> int:
        """Memory that decoding `frames` frames at once takes, with the weights [bytes]; an estimate."""
        net = frames * self._model.card.frame_bytes
        return _COPIES_OF_WEIGHTS * self._model.size + max(
            net, phase_memory(self.spec, frames, self.iterations, "admm")
        )

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """The waveform of one mel, or of the core of one window of it.

        Args:
            mel: the frames that the window reads, `[n_mels, frames] float32`, finite, in the values of `spec`.
            window: where in the whole mel they lie, and which are its core; None if the mel is whole.

        Returns:
            The core's samples, `[samples] float32`.

        Raises:
            BadMelError, ConfigError, VocoderError: see `OnnxModel.run`.
        """
        levels = self._model.run(mel[None], self.name)
        window = window or Window.whole(mel.shape[1])
        blocks = net_magnitude_blocks(levels, self.spec, window.start % PHASE_BLOCK)
        waveform = reconstruct_blocks(blocks, len(levels), self.spec, self.iterations, _METHOD, window.start, _ANCHOR)
        return window.core(waveform, self.spec.hop_length)
