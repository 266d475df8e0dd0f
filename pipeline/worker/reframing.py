"""Bridges a difference in framing: the mel's frames lie half a hop away from where the vocoder expects them.

Frame t of a `center` mel is centred on sample t * hop, frame t of a `same` mel on sample (t + 1/2) * hop. The values
are the same, so nothing is interpolated: frames are dropped or repeated, and samples are cut.
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
    """What is done to the frames before the vocoder, and to the samples after it.

    `shift` keeps every sample where it was. If a center mel meets a same vocoder, half a hop of samples is cut from
    both ends (T frames give T - 1 hops). If a same mel meets a center vocoder, the first and the last frame are
    repeated once before that cut (T frames give T hops).

    `trim` moves the sound by half a hop, and gives T - 1 hops. If a center mel meets a same vocoder, the last frame is
    dropped, and the sound is late. If a same mel meets a center vocoder, nothing is done, and the sound is early.

    Args:
        dropped: number of frames left out at the end.
        repeated: number of times that the first frame, and also the last, is repeated.
        cut: number of samples left out at each end.
    """

    dropped: int = 0
    repeated: int = 0
    cut: int = 0

    @classmethod
    def of(cls, source: MelSpec, target: MelSpec, change: FramingChange) -> Reframing:
        """The change between two contracts; nothing is done if they have the same framing.

        Args:
            source: contract of the mel.
            target: contract of the vocoder.
            change: the job's `input.framing`.
        """
        if source.framing == target.framing or change == "exact":
            return cls()
        half = source.hop_length // 2  # no remainder: framing same needs an even hop
        if source.framing == "center":
            return cls(dropped=1) if change == "trim" else cls(cut=half)
        return cls() if change == "trim" else cls(repeated=1, cut=half)

    def frames(self, stored: int) -> int:
        """Number of frames that the vocoder is given, from the number of stored frames."""
        return max(0, stored + 2 * self.repeated - self.dropped) if stored else 0

    def read(
        self, read: Callable[[int, int], NDArray[np.float32]], stored: int, start: int, stop: int
    ) -> NDArray[np.float32]:
        """Frames start .. stop of those that the vocoder is given, `[n_mels, stop - start] float32`.

        Args:
            read: callable that gives stored frames first .. last, `[n_mels, last - first] float32`.
            stored: number of stored frames.
            start, stop: range of frames, counted as the vocoder is given them.
        """
        if not self.repeated:
            return read(start, stop)
        frames = np.clip(np.arange(start, stop) - self.repeated, 0, stored - 1)
        first = int(frames[0])
        return read(first, int(frames[-1]) + 1)[:, frames - first]

    def trimmed(self, pieces: Iterable[NDArray[np.float32]], samples: int) -> Iterator[NDArray[np.float32]]:
        """The waveform without the samples to cut at both ends.

        Args:
            pieces: the waveform in pieces `[samples] float32`.
            samples: number of samples in all pieces together.

        Yields:
            Pieces `[samples] float32`, none of them empty.
        """
        at = 0
        for piece in pieces:
            kept = piece[max(0, self.cut - at) : max(0, samples - self.cut - at)]
            at += len(piece)
            if len(kept):
                yield kept
