"""Griffin-Lim as a vocoder: it has no weights and takes any mel spec; the other vocoders are compared with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.magnitude import magnitude_blocks
from pipeline.dsp.phase import phase_halo, phase_memory, reconstruct_blocks, why_not_invertible
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.errors import ContractError
from pipeline.kernels.phase_stage import Method
from pipeline.kernels.target import required
from pipeline.melspec import MelOrigin, MelSpec
from pipeline.vocoders.base import Backend, Window

# Raise it whenever the same mel gives other samples.
_ALGORITHM = 4
_ITERATIONS: Mapping[MelOrigin, int] = {"recorded": 32, "predicted": 2}
"""See `lift`: more of them fit mels that no signal has."""
_METHOD: Method = "fast-griffin-lim"


@dataclass(frozen=True)
class GriffinLim:
    """Vocodes with the magnitudes of `pipeline.dsp.magnitude` and the phase stage of `pipeline.dsp.phase`.

    Args:
        spec: the contract of the mels that it takes.
        iterations: number of Griffin-Lim iterations; by default that of mels of recordings.
        updates: number of updates of the least squares.

    Raises:
        ContractError: if no waveform can be made from mels of this contract.
        ConfigError: if kernels cannot be compiled here.
    """

    spec: MelSpec
    iterations: int = _ITERATIONS["recorded"]
    updates: int = 30

    def __post_init__(self) -> None:
        required(self.name)
        if (why := why_not_invertible(self.spec)) is not None:
            raise ContractError(f"griffin-lim cannot invert mels of this contract: {why}")

    @property
    def name(self) -> str:
        """The name under which `load_vocoder` finds it."""
        return "griffin-lim"

    @classmethod
    def for_mels(cls, spec: MelSpec, origin: MelOrigin) -> GriffinLim:
        """With the number of iterations for mels of that origin. Errors are those of the class."""
        return cls(spec, _ITERATIONS[origin])

    @property
    def origin(self) -> MelOrigin:
        """What the mels are of for which it has its number of iterations."""
        return "predicted" if self.iterations == _ITERATIONS["predicted"] else "recorded"

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the algorithm's version and of all that it depends on."""
        parts = [_ALGORITHM, self.spec.to_dict(), self.iterations, self.updates]
        return hashlib.sha256(json.dumps(["griffin-lim", *parts], sort_keys=True).encode()).hexdigest()

    @property
    def halo(self) -> tuple[int, int]:
        """Frames of context (left, right) that make the samples of a window equal to those of the whole mel."""
        return phase_halo(self.spec, self.iterations)

    @property
    def window(self) -> int:
        """See `Vocoder.window`. The halos add 11 % of work."""
        return 2048

    def samples(self, frames: int) -> int:
        """Length of the waveform [samples] that a mel of `frames` frames gives."""
        return self.spec.samples(frames)

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`."""
        return Backend(None)

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`."""
        return 0

    def memory(self, frames: int) -> int:
        """Memory that decoding `frames` frames at once takes [bytes]; an estimate."""
        return phase_memory(self.spec, frames, self.iterations, _METHOD)

    def prepare(self) -> None:
        """Compiles the code if this machine does not have it yet."""
        self.decode(np.zeros((self.spec.n_mels, 1), np.float32))

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`."""
        window = window or Window.whole(mel.shape[1])
        blocks = magnitude_blocks(mel, self.spec, self.updates, window.start % PHASE_BLOCK)
        waveform = reconstruct_blocks(
            blocks, mel.shape[1], self.spec, self.iterations, _METHOD, window.start, anchor=0.0
        )
        return window.core(waveform, self.spec.hop_length)
