"""What every vocoder offers: a mel contract, a halo, a length rule, and mel -> waveform."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec


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

    def memory(self, frames: int) -> int:
        """Memory that decoding `frames` frames at once takes, with the weights [bytes]; an estimate for planning."""
        ...

    def decode(self, mel: NDArray[np.float32], first_frame: int = 0) -> NDArray[np.float32]:
        """The waveform of one mel, or of one window of it.

        Args:
            mel: `[n_mels, frames] float32`, finite, in the values of `spec`.
            first_frame: position of the first frame in the whole mel; vocoders that draw noise draw it by position.

        Returns:
            `[samples(frames)] float32`; sample 0 belongs to frame `first_frame`.
        """
        ...


@runtime_checkable
class BatchVocoder(Vocoder, Protocol):
    """A vocoder that takes several mels of one length at once; each gets the samples that it gets alone, to 1e-5."""

    def batch(self, frames: int) -> int:
        """Number of mels of `frames` frames to decode at once, 1 or more."""
        ...

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Waveforms `[batch, samples(frames)] float32` of mels `[batch, n_mels, frames] float32`; see `decode`."""
        ...
