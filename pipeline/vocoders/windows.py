"""Mels decoded in windows: memory is bounded, and the samples are those of the whole mel; in batches where possible."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MelmillError, UtteranceError, VocoderError
from pipeline.vocoders.base import BatchVocoder, Vocoder, Window

logger = logging.getLogger(__name__)


def windows(frames: int, window: int, halo: tuple[int, int]) -> list[Window]:
    """Windows whose cores tile `frames` frames in order. Every core has `window` frames, the last one what is left.

    There is a halo on inner sides only: at the true ends of a mel the model behaves as it does for the whole mel.

    >>> windows(1000, 512, (13, 13))[1]
    Window(start=499, stop=1000, core_start=512, core_stop=1000, frames=1000)

    Args:
        frames: number of frames of the whole mel, 0 or more.
        window: number of frames of a core, above 0.
        halo: frames of context (left, right).
    """
    left, right = halo
    return [
        Window(max(0, start - left), min(frames, stop + right), start, stop, frames)
        for start in range(0, frames, window)
        for stop in [min(frames, start + window)]
    ]


def equal_windows(frames: int, window: int, halo: tuple[int, int]) -> list[Window]:
    """Windows that each read the same number of frames, so that they can share a batch; the cores tile `frames` frames.

    Each window reads `window` frames and a halo on both sides. There is nothing to read before the mel's first frame,
    so the first core is longer by the left halo. The last window is moved back until it ends with the mel; its core is
    what no other core covers. A mel that is not longer than a window with its halos is one window.

    >>> [(part.start, part.stop) for part in equal_windows(1000, 256, (13, 13))]
    [(0, 282), (256, 538), (512, 794), (718, 1000)]

    Args:
        frames: number of frames of the whole mel, 0 or more.
        window: number of frames of an inner core, above 0.
        halo: frames of context (left, right).
    """
    left, right = halo
    length = window + left + right
    if frames <= length:
        return [Window.whole(frames)] if frames else []
    count = -(-(frames - left - right) // window)
    starts = [min(i * window, frames - length) for i in range(count)]
    edges = [0, *(i * window + left for i in range(1, count)), frames]
    return [Window(starts[i], starts[i] + length, edges[i], edges[i + 1], frames) for i in range(count)]


class Mel(Protocol):
    """A mel that is read when it is needed."""

    @property
    def frames(self) -> int:
        """Number of frames of the whole mel."""
        ...

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """The frames start .. stop, `[n_mels, stop - start] float32`. Start and stop never decrease between calls."""
        ...


AnyMel = TypeVar("AnyMel", bound=Mel)


@dataclass(frozen=True)
class _Given:
    """A mel whose frames a function reads."""

    frames: int
    read: Callable[[int, int], NDArray[np.float32]]


def decode_windows(
    vocoder: Vocoder, read: Callable[[int, int], NDArray[np.float32]], frames: int, window: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """Consecutive pieces of one mel's waveform, `vocoder.samples(frames)` samples in all. See `decode_mels`.

    Args:
        vocoder: the vocoder, which decodes each window.
        read: function that gives the mel's frames start .. stop, `[n_mels, stop - start] float32`.
        frames: number of frames of the whole mel.
        window: number of frames of a window's core, without its halo; the vocoder's own choice if None.

    Yields:
        `[samples] float32`; the piece of core a .. b is samples a * hop .. b * hop, the last piece goes to the end.

    Raises:
        UtteranceError: if the length of what `read` or the vocoder gives is wrong.
    """
    for _, pieces in decode_mels(vocoder, [_Given(frames, read)], window):
        yield from pieces


def decode_mels(
    vocoder: Vocoder, mels: Iterable[AnyMel], window: int | None = None, threads: int = 1
) -> Generator[tuple[AnyMel, Iterator[NDArray[np.float32]]], None, None]:
    """Each mel in order, with the pieces of its waveform. Take all pieces before you ask for the next mel.

    If the vocoder takes batches, one batch may hold windows of several mels in turn; otherwise each window is decoded
    alone, several of them at once with several threads. Memory holds one batch of windows, or two windows a thread, and
    the decoded pieces that are not taken yet.

    An error in a mel, even in one that was read ahead, is raised when that mel's pieces are taken. A mel that makes a
    batch fail does not affect the other mels.

    Args:
        vocoder: the vocoder, which decodes each window.
        mels: the mels, taken as they are needed; those of at most one batch of windows, or of two windows a thread,
            are read ahead, in the thread that takes the pieces.
        window: number of frames of a window's core, without its halo; the vocoder's own choice if None.
        threads: number of windows to decode at once, which do not change the samples. For a vocoder whose `decode`
            several threads may call at once, and which runs in one thread.

    Yields:
        The mel, and its pieces as `decode_windows` gives them.
    """
    decoder = _Decoder(vocoder, iter(mels), window or vocoder.window, threads)
    while (mel := decoder.next()) is not None:
        yield mel.mel, decoder.pieces(mel)


class _Pending(Generic[AnyMel]):
    """A mel that is cut into windows, of which some are read and some are decoded."""

    def __init__(self, mel: AnyMel, parts: list[Window]) -> None:
        self.mel = mel
        self.unread = deque(parts)
        self.decoded: deque[NDArray[np.float32] | Future[NDArray[np.float32]]] = deque()
        self.error: Exception | None = None
        self.length = parts[0].stop - parts[0].start if parts else 0

    def read_next(self) -> tuple[Window, NDArray[np.float32]]:
        part = self.unread.popleft()
        mel = self.mel.read(part.start, part.stop)
        if mel.shape[1] != part.stop - part.start:
            raise UtteranceError(f"frames {part.start} to {part.stop} were asked for; the mel read has {mel.shape[1]}")
        return part, mel

    def spoil(self, error: Exception) -> None:
        """Keep the error, to be raised once the pieces that are already decoded have been taken."""
        self.error = self.error or error
        self.unread.clear()


class _Decoder(Generic[AnyMel]):
    """Decodes the windows of mels in order.

    Args:
        vocoder: the vocoder.
        mels: the mels.
        window: number of frames of a window's core.
        threads: number of windows to decode at once.
    """

    def __init__(self, vocoder: Vocoder, mels: Iterator[AnyMel], window: int, threads: int) -> None:
        self._vocoder, self._mels, self._window = vocoder, mels, window
        # Its threads end with the decoder.
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._most = 2 * threads
        self._ahead: deque[_Pending[AnyMel]] = deque()
        self._length = window + sum(vocoder.halo)
        self._batching = vocoder if isinstance(vocoder, BatchVocoder) and vocoder.batch(self._length) > 1 else None

    def next(self) -> _Pending[AnyMel] | None:
        if not self._ahead:
            self._look_ahead()
        return self._ahead.popleft() if self._ahead else None

    def pieces(self, pending: _Pending[AnyMel]) -> Iterator[NDArray[np.float32]]:
        while pending.unread or pending.decoded or pending.error:
            if self._pool is not None and self._batching is None:
                self._submit(pending, self._pool)
            if pending.decoded:
                piece = pending.decoded.popleft()
                yield piece.result() if isinstance(piece, Future) else piece
            elif pending.error:
                raise pending.error
            elif pending.unread:
                self._decode(pending)

    def _look_ahead(self) -> bool:
        mel = next(self._mels, None)
        if mel is None:
            return False
        cut = windows if self._batching is None else equal_windows
        self._ahead.append(_Pending(mel, cut(mel.frames, self._window, self._vocoder.halo)))
        return True

    def _submit(self, first: _Pending[AnyMel], pool: ThreadPoolExecutor) -> None:
        """Have the pool decode the next windows, of the mel at hand and of the next ones, so that no thread is idle."""
        count = len(first.decoded) + sum(len(pending.decoded) for pending in self._ahead)
        for pending in self._onwards(first, self._most):
            while pending.unread and count < self._most:
                try:
                    pending.decoded.append(pool.submit(self._decoded, *pending.read_next()))
                    count += 1
                except Exception as error:  # see _decode
                    pending.spoil(error)
            if count == self._most:
                return

    def _decode(self, first: _Pending[AnyMel]) -> None:
        """Decode the next window of a mel, together with as many others of its length as a batch holds."""
        if self._batching is None:
            part, mel = first.read_next()
            first.decoded.append(self._decoded(part, mel))
            return
        batch = self._batching.batch(first.length)
        chosen: list[tuple[_Pending[AnyMel], Window, NDArray[np.float32]]] = []
        for pending in self._onwards(first, batch):
            while pending.unread and pending.length == first.length and len(chosen) < batch:
                try:
                    chosen.append((pending, *pending.read_next()))
                except Exception as error:  # raised when it is that mel's turn
                    pending.spoil(error)
            if len(chosen) == batch:
                break
        if not chosen:
            return
        try:
            waveforms = self._batching.decode_batch(np.stack([mel for _, _, mel in chosen]))
        except Exception as error:  # one window may be the cause, or the GPU is too small: decoding each alone tells
            if not isinstance(error, UtteranceError):
                logger.warning("a batch of %d windows failed; now each window is tried alone: %s", len(chosen), error)
            for pending, part, mel in chosen:
                self._decode_alone(pending, part, mel)
            return
        for (pending, part, _), waveform in zip(chosen, waveforms, strict=True):
            try:
                pending.decoded.append(self._core(part, waveform))
            except MelmillError as error:
                pending.spoil(error)

    def _onwards(self, first: _Pending[AnyMel], most: int) -> Iterator[_Pending[AnyMel]]:
        """The mel at hand, and as many of the next mels."""
        yield first
        seen = 0
        while seen < most and (seen < len(self._ahead) or self._look_ahead()):
            yield self._ahead[seen]
            seen += 1

    def _decode_alone(self, pending: _Pending[AnyMel], part: Window, mel: NDArray[np.float32]) -> None:
        if pending.error is None:
            try:
                pending.decoded.append(self._decoded(part, mel))
            except Exception as error:  # see _decode
                pending.spoil(error)

    def _decoded(self, part: Window, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples of a window's core, decoded alone."""
        waveform = self._vocoder.decode(mel, part)
        hop, ended = self._vocoder.spec.hop_length, part.core_stop == part.frames
        stop = self._vocoder.samples(part.frames) if ended else part.core_stop * hop
        self._check_length(waveform.shape[-1], part.core_start, part.core_stop, stop - part.core_start * hop)
        return waveform

    def _core(self, part: Window, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples of a window's core, out of those of the window that a batch gave."""
        self._check_length(waveform.shape[-1], part.start, part.stop, self._vocoder.samples(part.stop - part.start))
        return part.core(waveform, self._vocoder.spec.hop_length)

    def _check_length(self, samples: int, start: int, stop: int, wanted: int) -> None:
        if samples != wanted:
            raise VocoderError(
                f"{self._vocoder.name} gave {samples} samples for frames {start} to {stop}, not {wanted}"
            )
