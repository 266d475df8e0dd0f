"""Resampling of a waveform that comes in pieces; the resulting samples do not depend on the pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.errors import MelmillError

# soxr's best quality: 28 bit, a passband up to 0.95 of the lower of both half rates (libsoxr, src/soxr.c, lsx_to_3dB
# and below).
_QUALITY = "VHQ"


def resampled_length(samples: int, source: int, target: int) -> int:
    """Number of samples at the rate `target` [Hz], for `samples` samples at `source` [Hz]; halves are rounded up.

    >>> resampled_length(40, 24000, 44100)  # 73.5
    74
    """
    return (2 * samples * target + source) // (2 * source)


def resampled(pieces: Iterable[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """A waveform at another sample rate; the same pieces if both rates are equal.

    The result equals, bit for bit, what soxr makes of the whole waveform at once, with silence before its first and
    after its last sample. It has `resampled_length` samples. Sample 0 stays sample 0: the filter's delay is removed.

    Args:
        pieces: consecutive pieces of the waveform, `[samples] float32`.
        source: sample rate of the pieces [Hz].
        target: sample rate of the result [Hz].

    Yields:
        `[samples] float32`, often of another length than the piece that was taken.

    Raises:
        MelmillError: if soxr gives fewer samples than `resampled_length`.
    """
    if source == target:
        yield from pieces
        return
    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality=_QUALITY)
    taken = given = 0
    for piece in pieces:
        taken += len(piece)
        part = stream.resample_chunk(piece)
        given += len(part)
        if len(part):
            yield part
    left = resampled_length(taken, source, target) - given
    if taken:
        # soxr may round halves up or down. A little silence after the end yields the sample that it may leave out.
        last = stream.resample_chunk(np.zeros(2 + source // target, np.float32), last=True)
        if not 0 <= left <= len(last):
            raise MelmillError(
                f"soxr gave {given + len(last)} samples for {taken} from {source} to {target} Hz, not {given + left}"
            )
        yield last[:left]
