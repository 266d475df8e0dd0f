"""Mels whose frames lie half a hop from where the vocoder takes them to be.

Frame t of a `center` mel is centred on sample t * hop, that of a `same` mel on sample (t + 1/2) * hop. The values are
the same, so nothing is interpolated: frames and samples are counted in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import FramingChange
from pipeline.melspec import MelSpec


@dataclass(frozen=True)
class Reframing:
    """What is done to frames before and to samples after the vocoder.

    `shift` leaves every sample where it was: of a center mel for a same vocoder, half a hop of samples is cut from both
    ends (T frames give T - 1 hops); of a same mel for a center vocoder, the first and the last frame are repeated once
    before that (T frames give T hops).

    `trim` leaves the sound off by half a hop and gives T - 1 hops: of a center mel for a same vocoder the last frame is
    dropped, and the sound is late; of a same mel for a center vocoder nothing is done, and it is early.

    Args:
        dropped: frames left out at the end.
        repeated: how often the first frame, and how often the last, is given again.
        cut: samples left out at both ends.
    """

    dropped: int = 0
    repeated: int = 0
    cut: int = 0

    @classmethod
    def of(cls, source: MelSpec, target: MelSpec, change: FramingChange) -> Reframing:
        """From a mel's contract to a vocoder's; nothing is done where both frame alike."""
        if source.framing == target.framing or change == "exact":
            return cls()
        half = source.hop_length // 2  # exactly: framing same needs an even hop
        if source.framing == "center":
            return cls(dropped=1) if change == "trim" else cls(cut=half)
        return cls() if change == "trim" else cls(repeated=1, cut=half)

    def frames(self, stored: int) -> int:
        """Frames that the vocoder is given of so many stored ones."""
        return max(0, stored + 2 * self.repeated - self.dropped) if stored else 0

    def read(
        self, read: Callable[[int, int], NDArray[np.float32]], stored: int, start: int, stop: int
    ) -> NDArray[np.float32]:
        """Frames start .. stop of those that the vocoder is given, `[n_mels, stop - start] float32`.

        Args:
            read: gives stored frames first .. last, `[n_mels, last - first] float32`.
            stored: how many there are.
            start, stop: in what `frames` counts.
        """
        if not self.repeated:
            return read(start, stop)
        frames = np.clip(np.arange(start, stop) - self.repeated, 0, stored - 1)
        first = int(frames[0])
        return read(first, int(frames[-1]) + 1)[:, frames - first]

    def trimmed(self, pieces: Iterable[NDArray[np.float32]], samples: int) -> Iterator[NDArray[np.float32]]:
        """A waveform in pieces `[samples] float32`, `samples` in all, without what is cut."""
        at = 0
        for piece in pieces:
            kept = piece[max(0, self.cut - at) : max(0, samples - self.cut - at)]
            at += len(piece)
            if len(kept):
                yield kept
