"""Lift, melmill's own vocoder: a small net restores the linear magnitudes, and `dsp.phase` finds the phases."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.net_magnitude import UPDATES, net_magnitude_blocks
from pipeline.dsp.phase import phase_halo, phase_memory, reconstruct_blocks
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.kernels.phase_stage import Method
from pipeline.kernels.target import required
from pipeline.melspec import Framing, MelOrigin
from pipeline.vocoders.base import Backend, Window
from pipeline.vocoders.lift_net import LevelNet
from pipeline.vocoders.onnx_model import OnnxModel

# Raise it whenever the same model gives other samples.
_ALGORITHM = 5
# Weight of the net's magnitudes in the phase stage. Tried from 0 to 0.5 on a voice that the net had not heard: no other
# weight has a higher PESQ (3.62; 3.57 with 0, 3.61 with 0.5), and the mel is hardly farther off (0.100; 0.099 with 0,
# 0.121 with 0.5).
_ANCHOR = 0.2
_METHOD: Method = "admm"


# Iterations of mels that an acoustic model predicted. More of them fit a mel that no signal has, and forget the start
# phases, which belong together: docs/explanation/vocoders.md has the figures.
_OF_PREDICTED = 3
WITHOUT_UPDATES = "trained_without_updates"
"""Key of a training's record: whether the loss also judged the magnitudes before their updates.

If so, those of predicted mels are not updated: updates would pull them to a mel that no signal has.
"""


class Lift:
    """A `Vocoder` from a net that `melmill vocoder train` made.

    Args:
        model: a net from mel to levels; see `net_magnitude_blocks`. Compiled kernels run it on the CPU, whatever
            runtime and device it was opened for: in another runtime, its bits would differ from processor to processor.
        name: the vocoder's name; the stem of the model's file if None.
        iterations: number of iterations of the phase stage for mels of recordings.
        framing: the framing of the mels, which only the phase stage uses; None for that of the training mels.
        origin: what the mels are of, which decides the number of iterations and whether magnitudes are updated.

    Raises:
        ConfigError: if kernels cannot be compiled here, or the model is not one that `melmill vocoder train` made.
    """

    def __init__(
        self,
        model: OnnxModel,
        name: str | None = None,
        iterations: int = 32,
        framing: Framing | None = None,
        origin: MelOrigin = "recorded",
    ) -> None:
        required("lift")
        model = model.on_the_cpu()
        self.name = model.path.stem if name is None else name
        self.spec = model.card.spec if framing is None else dataclasses.replace(model.card.spec, framing=framing)
        self.origin, self._of_recorded = origin, iterations
        self.iterations = iterations if origin == "recorded" else _OF_PREDICTED
        without_updates = origin == "predicted" and (model.card.training or {}).get(WITHOUT_UPDATES, False)
        self._updates = 0 if without_updates else UPDATES
        parts = ["lift", _ALGORITHM, model.digest, self.iterations]
        if without_updates:
            parts.append("without updates")
        if self.spec.framing != model.card.spec.framing:
            parts.append(self.spec.framing)
        self.digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        self._model, self._net = model, LevelNet(model)
        left, right = phase_halo(self.spec, self.iterations)
        self.halo = left + model.card.halo[0], right + model.card.halo[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Lift, (self._model, self.name, self._of_recorded, self.spec.framing, self.origin)

    def for_framing(self, framing: Framing) -> Lift:
        """The same net for mels of that framing: the net sees frames, not where in the audio they lie."""
        return self._with(framing, self.origin)

    def for_mels(self, origin: MelOrigin) -> Lift:
        """The same net for mels of that origin."""
        return self._with(self.spec.framing, origin)

    def _with(self, framing: Framing, origin: MelOrigin) -> Lift:
        if (framing, origin) == (self.spec.framing, self.origin):
            return self
        return Lift(self._model, self.name, self._of_recorded, framing, origin)

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
        return Backend("native")

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`: the packed weights."""
        return self._net.weight_bytes

    def memory(self, frames: int) -> int:
        """See `Vocoder.memory`. The buffers of the net stay while the phase stage runs."""
        return self._net.memory(frames) + phase_memory(self.spec, frames, self.iterations, _METHOD)

    def prepare(self) -> None:
        """Compiles the code and packs the weights if this machine does not have them yet."""
        self.decode(np.zeros((self.spec.n_mels, 1), np.float32))

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`.

        Raises:
            BadMelError: if the mel has another number of bands, no frames, or values that are not finite.
            ConfigError: if the model's file has changed since it was opened, or nothing can be compiled here.
        """
        self._model.check(mel[None], self.name)
        window = window or Window.whole(mel.shape[1])
        levels = self._net.levels(mel)
        blocks = net_magnitude_blocks(levels, self.spec, window.start % PHASE_BLOCK, updates=self._updates)
        waveform = reconstruct_blocks(blocks, len(levels), self.spec, self.iterations, _METHOD, window.start, _ANCHOR)
        return window.core(waveform, self.spec.hop_length)
