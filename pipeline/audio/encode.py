"""Encoding: float samples to PCM, and to the bytes of a FLAC or WAV file, piece by piece."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.config import Codec, Subtype
from pipeline.storage import translated

_SPOOL_BYTES = 16 * 2**20
"""Largest encoded audio that stays in memory [bytes]; larger audio goes to a file in the scratch folder."""

BITS = {"PCM_16": 16, "PCM_24": 24}


def quantize(samples: NDArray[np.float32], subtype: Subtype) -> tuple[NDArray[np.int32] | NDArray[np.float32], int]:
    """Samples as they will be written, and the number of them that were clipped.

    Full scale, 1.0, is 2**(bits - 1) steps, as in libsndfile. Values are rounded to the nearest step, ties to even, and
    clipped to -2**(bits - 1) .. 2**(bits - 1) - 1. FLOAT is not changed, also beyond full scale.

    Args:
        samples: finite samples, `[samples] float32`.
        subtype: subtype of the audio: PCM_16, PCM_24 or FLOAT.

    Returns:
        `[samples] int32` in steps (float32 for FLOAT), and the number of clipped samples.

    >>> quantize(np.array([0.5, 1.0, -1.5], np.float32), "PCM_16")
    (array([ 16384,  32767, -32768], dtype=int32), 2)
    """
    if subtype == "FLOAT":
        return samples, 0
    full = 2 ** (BITS[subtype] - 1)
    steps = np.rint(samples.astype(np.float64) * full)
    clipped = int(np.count_nonzero((steps < -full) | (steps > full - 1)))
    return np.clip(steps, -full, full - 1).astype(np.int32), clipped


def pcm_bytes(steps: NDArray[np.int32] | NDArray[np.float32], subtype: Subtype) -> bytes:
    """The samples as little-endian PCM of 2, 3 or 4 bytes each, over which `pcm_sha256` is taken."""
    if subtype == "FLOAT":
        return steps.astype("<f4").tobytes()
    if subtype == "PCM_16":
        return steps.astype("<i2").tobytes()
    return steps.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class _ErrorKeepingFile:
    """A file for libsndfile, whose callbacks swallow exceptions: the first one is kept, and raised by `raising`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: Exception | None = None

    def write(self, piece: bytes) -> int:
        return self._keeping(self._file.write, piece)

    def readinto(self, buffer: Any) -> int:
        return self._keeping(cast(Any, self._file).readinto, buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._keeping(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._keeping(self._file.tell)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """A context that at its end raises the first error of the file, in place of libsndfile's own error."""
        try:
            yield
        except (soundfile.LibsndfileError, AssertionError):
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error

    def _keeping(self, call: Callable[..., int], *arguments: Any) -> int:
        try:
            return call(*arguments)
        except Exception as error:
            self._error = self._error or error
            return 0


class Encoder:
    """Encodes one utterance. `encoded` holds its bytes once `finish` has been called.

    Args:
        codec: codec of the audio: flac or wav.
        subtype: subtype of the audio: PCM_16, PCM_24, or FLOAT (wav).
        sample_rate: sample rate of the audio [Hz].
        folder: scratch folder, for audio that is too long for memory.

    Raises:
        StorageError: from every method, if the folder cannot be written.
    """

    def __init__(self, codec: Codec, subtype: Subtype, sample_rate: int, folder: Path) -> None:
        self._subtype = subtype
        self._folder = folder
        self._digest = hashlib.sha256()
        self.clipped = 0
        spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(folder))  # noqa: SIM115
        self.encoded: IO[bytes] = cast(IO[bytes], spool)
        self._kept = _ErrorKeepingFile(self.encoded)
        with self._writing():
            self._file = soundfile.SoundFile(
                self._kept, "w", samplerate=sample_rate, channels=1, format=codec.upper(), subtype=subtype
            )

    def push(self, piece: NDArray[np.float32]) -> None:
        """Encode the next samples, `[samples] float32`, finite."""
        steps, clipped = quantize(piece, self._subtype)
        self.clipped += clipped
        self._digest.update(pcm_bytes(steps, self._subtype))
        with self._writing():
            if self._subtype == "FLOAT":
                self._file.write(steps)
            elif self._subtype == "PCM_16":
                self._file.write(steps.astype(np.int16))
            else:
                self._file.write(np.left_shift(steps, 8))  # libsndfile takes the upper 24 bits of 32

    def finish(self) -> None:
        """Write the samples that the codec still holds, and set the position of `encoded` to its first byte."""
        with self._writing():
            self._file.close()
            self.encoded.seek(0)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with translated(f"writing {self._folder}"), self._kept.raising():
            yield

    @property
    def pcm_sha256(self) -> str:
        """Digest of the PCM that was written, as hexadecimal."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(soundfile.LibsndfileError, OSError):  # after an error the audio is not used
            self._file.close()
        with contextlib.suppress(OSError):
            self.encoded.close()


def decoded_pcm_sha256(encoded: IO[bytes], subtype: Subtype) -> tuple[str, int]:
    """SHA-256 of the PCM that an encoded file decodes to, in hexadecimal, and the PCM's number of samples.

    The file is read in blocks. An error that reading `encoded` raises is passed on.

    Args:
        encoded: encoded file, at its first byte.
        subtype: sample format of the audio, which has one channel.

    Raises:
        soundfile.LibsndfileError: if the file does not decode.
    """
    digest, samples = hashlib.sha256(), 0
    dtype = {"PCM_16": "int16", "PCM_24": "int32", "FLOAT": "float32"}[subtype]
    kept = _ErrorKeepingFile(encoded)
    with kept.raising(), soundfile.SoundFile(kept) as file:
        for block in file.blocks(2**18, dtype=dtype):
            steps = block >> 8 if subtype == "PCM_24" else block
            digest.update(pcm_bytes(steps, subtype))
            samples += len(block)
    return digest.hexdigest(), samples


def decoded(encoded: bytes) -> tuple[NDArray[np.float32], int]:
    """The samples of an encoded file, `[samples] float32` with full scale 1.0, and their sample rate [Hz].

    PCM of 16 and 24 bits, and FLOAT, become float32 without loss.

    Args:
        encoded: a FLAC or WAV file of one channel.

    Raises:
        soundfile.LibsndfileError: if the file does not decode.
    """
    samples, sample_rate = soundfile.read(io.BytesIO(encoded), dtype="float32")
    return samples, int(sample_rate)
