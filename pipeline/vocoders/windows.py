"""Long mels in windows: bounded memory, and the samples of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UtteranceError, VocoderError
from pipeline.vocoders.base import Vocoder


@dataclass(frozen=True)
class Window:
    """A stretch of a mel, and the core of it whose samples are kept; all are frames of the whole mel.

    Args:
        start: first frame that is read.
        stop: one past the last frame that is read.
        core_start: first frame of the core.
        core_stop: one past the last frame of the core.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int


def windows(frames: int, window: int, halo: tuple[int, int]) -> list[Window]:
    """The windows whose cores tile `frames` frames in order: all of `window` frames, the last one of what is left.

    The halo lies on inner sides only: the true ends of a mel keep the model's own edge behaviour.

    >>> windows(1000, 512, (13, 13))[1]
    Window(start=499, stop=1000, core_start=512, core_stop=1000)

    Args:
        frames: of the whole mel, 0 or more.
        window: frames of a core, above 0.
        halo: frames of context (left, right).
    """
    left, right = halo
    return [
        Window(max(0, start - left), min(frames, stop + right), start, stop)
        for start in range(0, frames, window)
        for stop in [min(frames, start + window)]
    ]


def decode_windows(
    vocoder: Vocoder, read: Callable[[int, int], NDArray[np.float32]], frames: int, window: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """Consecutive pieces of a mel's waveform, `vocoder.samples(frames)` samples in all; a window at a time in memory.

    Args:
        vocoder: decodes each window.
        read: `read(start, stop)` gives the mel's frames start .. stop, `[n_mels, stop - start] float32`.
        frames: of the whole mel.
        window: frames of a window's core, without its halo; the vocoder's own choice if None.

    Yields:
        `[samples] float32`; the piece of core a .. b is samples a * hop .. b * hop, the last one up to the end.

    Raises:
        UtteranceError: if `read` or the vocoder gives another length than it should.
    """
    hop = vocoder.spec.hop_length
    for part in windows(frames, window or vocoder.window, vocoder.halo):
        mel = read(part.start, part.stop)
        if mel.shape[1] != part.stop - part.start:
            raise UtteranceError(f"frames {part.start} to {part.stop} were asked for; the mel read has {mel.shape[1]}")
        waveform = vocoder.decode(mel, first_frame=part.start)
        if len(waveform) != vocoder.samples(mel.shape[1]):
            raise VocoderError(
                f"{vocoder.name} gave {len(waveform)} samples for frames {part.start} to {part.stop}, "
                f"not {vocoder.samples(mel.shape[1])}"
            )
        stop = len(waveform) if part.core_stop == frames else (part.core_stop - part.start) * hop
        yield waveform[(part.core_start - part.start) * hop : stop]
