"""Decodes before waveforms are taken: short ones some at a time, or in a thread of its own for another device."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from pipeline.vocoders.base import Vocoder
from pipeline.vocoders.windows import AnyMel, decode_mels

_TOGETHER_SAMPLES = 1 << 17
"""Number of samples that short waveforms, decoded together, have at most: they are still in the cache when encoded."""
PIECES = 64
"""Number of decoded pieces, each of a window, that may wait to be taken: a batch of them on a card."""
_WAIT_SECONDS = 0.1
"""Time after which a thread that waits for room looks whether it is still needed."""


def decode_together(
    vocoder: Vocoder, mels: Iterable[AnyMel], window: int | None = None, threads: int = 1
) -> Generator[tuple[AnyMel, Iterator[NDArray[np.float32]]], None, None]:
    """What `decode_mels` gives. Short mels are decoded some at a time, since code that runs again at once is fast.

    Memory holds `_TOGETHER_SAMPLES` samples more. An error is raised when the mel's pieces are taken.
    """
    waiting: list[tuple[AnyMel, Iterator[NDArray[np.float32]]]] = []
    samples = 0
    for mel, pieces in decode_mels(vocoder, mels, window, threads):
        count = vocoder.samples(mel.frames)
        waiting.append((mel, _taken(pieces) if count <= _TOGETHER_SAMPLES else pieces))
        samples += count
        if samples > _TOGETHER_SAMPLES:
            yield from waiting
            waiting, samples = [], 0
    yield from waiting


def _taken(pieces: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The same pieces, taken now, and then the error that they end with."""
    found: list[NDArray[np.float32]] = []
    try:
        found.extend(pieces)
    except Exception as error:
        return _then(found, error)
    return iter(found)


def _then(pieces: list[NDArray[np.float32]], error: Exception) -> Iterator[NDArray[np.float32]]:
    yield from pieces
    raise error


def decode_ahead(
    vocoder: Vocoder, mels: Iterable[AnyMel], window: int | None = None, pieces: int = PIECES
) -> Generator[tuple[AnyMel, Iterator[NDArray[np.float32]]], None, None]:
    """What `decode_mels` gives, read and decoded by another thread. Close it, so that the thread ends.

    onnxruntime, and the codecs that read mels and encode audio, work without Python's lock, so both threads go on at
    once. That helps where the vocoder works on another device. On a busy core it would not.

    Args:
        vocoder: the vocoder; only the other thread uses it.
        mels: the mels; the other thread takes and reads them.
        window: number of frames of a window's core, without its halo; the vocoder's own choice if None.
        pieces: number of decoded pieces that may wait to be taken.

    Yields:
        The mel, and its pieces; see `decode_mels`. What is left of a mel's pieces when the next mel is asked for is
        dropped.
    """
    waiting = _Waiting[AnyMel](pieces)
    thread = threading.Thread(
        target=waiting.fill, args=(decode_mels(vocoder, mels, window),), name="melmill decode", daemon=True
    )
    thread.start()
    try:
        while (mel := waiting.next_mel()) is not None:
            yield mel, waiting.pieces()
    finally:
        waiting.stopped.set()
        thread.join()


@dataclass(frozen=True)
class _Begin(Generic[AnyMel]):
    mel: AnyMel


@dataclass(frozen=True)
class _End:
    """The end of a mel's pieces, or of all mels."""

    error: BaseException | None = None


class _Waiting(Generic[AnyMel]):
    """What was decoded and not yet taken: for each mel its begin, its pieces and its end; at last one more end."""

    def __init__(self, room: int) -> None:
        self._items: queue.Queue[_Begin[AnyMel] | NDArray[np.float32] | _End] = queue.Queue(room)
        self._within = False
        self.stopped = threading.Event()

    def fill(self, decoded: Iterator[tuple[AnyMel, Iterator[NDArray[np.float32]]]]) -> None:
        """Decodes everything, in the thread that decodes, until it is stopped."""
        try:
            for mel, pieces in decoded:
                self._put(_Begin(mel))
                try:
                    for piece in pieces:
                        self._put(piece)
                except Exception as error:
                    self._put(_End(error))
                else:
                    self._put(_End())
            self._put(_End())
        except _StoppedError:
            pass
        except BaseException as error:  # raised in the thread that takes
            self._put(_End(error))

    def _put(self, item: _Begin[AnyMel] | NDArray[np.float32] | _End) -> None:
        while not self.stopped.is_set():
            try:
                self._items.put(item, timeout=_WAIT_SECONDS)
            except queue.Full:
                continue
            return
        raise _StoppedError

    def next_mel(self) -> AnyMel | None:
        """The next mel; None if there is none."""
        while self._within:  # pieces that nobody took
            self._within = not isinstance(self._items.get(), _End)
        item = self._items.get()
        if isinstance(item, _Begin):
            self._within = True
            return item.mel
        assert isinstance(item, _End)
        if item.error is not None:
            raise item.error
        return None

    def pieces(self) -> Iterator[NDArray[np.float32]]:
        """The pieces of the mel that was taken last."""
        while self._within:
            item = self._items.get()
            if isinstance(item, _End):
                self._within = False
                if item.error is not None:
                    raise item.error
            else:
                assert isinstance(item, np.ndarray)
                yield item


class _StoppedError(Exception):
    """Nobody takes what is decoded any more."""
