"""What every vocoder offers: a mel contract, a halo, a length rule, and mel -> waveform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.shape import Precision
from pipeline.melspec import MelSpec

Runtime = Literal["native", "onnxruntime"]
"""What runs nets: melmill's own compiled kernels, or onnxruntime."""


@dataclass(frozen=True)
class Window:
    """A stretch of a mel, and its core, whose samples are kept. All positions are frames of the whole mel.

    Args:
        start: first frame that is read.
        stop: the frame after the last one that is read.
        core_start: first frame of the core.
        core_stop: the frame after the core.
        frames: number of frames of the whole mel.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int
    frames: int

    @classmethod
    def whole(cls, frames: int) -> Window:
        """A mel of `frames` frames as one window without a halo."""
        return cls(0, frames, 0, frames, frames)

    def core(self, waveform: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
        """The samples of the core, out of those of all frames that are read.

        Args:
            waveform: `[samples] float32`, or rows of as many; sample 0 belongs to frame `start`.
            hop: number of samples of a frame.
        """
        stop = waveform.shape[-1] if self.core_stop == self.frames else (self.core_stop - self.start) * hop
        return waveform[..., (self.core_start - self.start) * hop : stop]


@dataclass(frozen=True)
class Backend:
    """What runs a vocoder's net, and what else could.

    Args:
        runtime: the library; None if the vocoder has no net.
        why_not_native: why `auto` did not choose the native kernels, as text; None if it did, if it was not asked, or
            if the vocoder is of a kind that has no native kernels.
        elsewhere: digest of the same net in another runtime, on another device or in another precision -> how its
            shards are kept, as text.
        precision: precision of the net's products.
        refine: number of projections of its waveforms onto their mels; see `load_vocoder`.
    """

    runtime: Runtime | None
    why_not_native: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    precision: Precision = "float32"
    refine: float = 0


class Vocoder(Protocol):
    """Turns log-mels into waveforms. The samples depend on the mel alone."""

    @property
    def name(self) -> str:
        """The name under which `load_vocoder` finds it, or one for people."""
        ...

    @property
    def digest(self) -> str:
        """Digest of all that the samples depend on, hexadecimal: with another digest the samples may differ."""
        ...

    @property
    def spec(self) -> MelSpec:
        """The contract of the mels that it takes."""
        ...

    @property
    def halo(self) -> tuple[int, int]:
        """Frames of context (left, right) that make the samples of a window equal to those of the whole mel."""
        ...

    @property
    def window(self) -> int:
        """Frames to decode at once, without their halo: more take more memory, fewer repeat more work for the halo."""
        ...

    def samples(self, frames: int) -> int:
        """Length of the waveform [samples] that a mel of `frames` frames gives."""
        ...

    @property
    def backend(self) -> Backend:
        """What runs its net."""
        ...

    @property
    def shared_memory(self) -> int:
        """Memory that the processes of a node share, such as weights in a mapped file [bytes]; an estimate."""
        ...

    def memory(self, frames: int) -> int:
        """Memory that decoding `frames` frames at once takes in each process, with its weights, without what it shares
        with others [bytes]; an estimate for planning."""
        ...

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """The waveform of one mel, or of the core of one window of it.

        Args:
            mel: the frames that the window reads, `[n_mels, frames] float32`, finite, in the values of `spec`.
            window: where in the whole mel they lie, and which of them are its core; None if the mel is whole.

        Returns:
            The core's samples, `[samples] float32`: those from `core_start` hops on, up to `core_stop` hops or, if the
            core ends with the mel, up to `samples(window.frames)`.
        """
        ...


@runtime_checkable
class BatchVocoder(Vocoder, Protocol):
    """A vocoder that takes several mels of one length at once; each gets the samples that it gets alone, to 1e-5."""

    def batch(self, frames: int) -> int:
        """Number of mels of `frames` frames to decode at once, 1 or more."""
        ...

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveforms `[batch, samples(frames)] float32` of mels `[batch, n_mels, frames] float32`, each taken as whole.

        Of a window, the samples of its core are right; see `Window.core`.
        """
        ...


@runtime_checkable
class CompiledVocoder(Protocol):
    """A vocoder whose code is compiled once on a machine, such as before workers start."""

    def prepare(self) -> None:
        """Makes what the machine does not have yet and every process loads. Several processes may do so at once."""
        ...
