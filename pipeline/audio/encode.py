"""Encoding: float samples to PCM, and to the bytes of a FLAC or WAV file, piece by piece."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
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
_BLOCK_SAMPLES = 2**18
"""Audio is decoded in blocks of this length [samples]."""

BITS = {"PCM_16": 16, "PCM_24": 24}
_DTYPES = {"PCM_16": "int16", "PCM_24": "int32", "FLOAT": "float32"}
"""Samples as libsndfile gives them without loss; those of 24 bits are the upper ones of int32."""
Steps = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float32]
"""Samples as they are written: int16 for PCM_16, int32 for PCM_24, float32 for FLOAT."""


def quantize(samples: NDArray[np.float32], subtype: Subtype, peak: float = math.inf) -> tuple[Steps, int]:
    """Samples as they will be written, and the number of them that were clipped.

    Full scale, 1.0, is 2**(bits - 1) steps, as in libsndfile. Values are rounded to the nearest step, ties to even, and
    clipped to -2**(bits - 1) .. 2**(bits - 1) - 1. FLOAT is not changed, also beyond full scale.

    Args:
        samples: finite samples, `[samples] float32`.
        subtype: subtype of the audio: PCM_16, PCM_24 or FLOAT.
        peak: a bound of the samples' absolute values, if one is known: where it is low, no sample can be clipped.

    Returns:
        `[samples]` in steps, and the number of clipped samples.

    >>> quantize(np.array([0.5, 1.0, -1.5], np.float32), "PCM_16")
    (array([ 16384,  32767, -32768], dtype=int16), 2)
    """
    if subtype == "FLOAT":
        return samples, 0
    full, clipped = 2 ** (BITS[subtype] - 1), 0
    with np.errstate(over="ignore"):  # infinity is clipped
        steps = samples * np.float32(full)  # exact, by a power of two; and all steps are float32
    np.rint(steps, out=steps)
    if steps.size and peak * full > full - 1 and (steps.max() > full - 1 or steps.min() < -full):
        clipped = int(np.count_nonzero((steps < -full) | (steps > full - 1)))
        np.clip(steps, -full, full - 1, out=steps)
    return steps.astype(np.int16) if subtype == "PCM_16" else steps.astype(np.int32), clipped


def pcm_bytes(steps: Steps, subtype: Subtype) -> bytes:
    """The samples as little-endian PCM of 2, 3 or 4 bytes each, over which `pcm_sha256` is taken."""
    if subtype == "FLOAT":
        return steps.astype("<f4", copy=False).tobytes()
    if subtype == "PCM_16":
        return steps.astype("<i2", copy=False).tobytes()
    return np.ascontiguousarray(steps, "<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


class _ErrorKeepingFile:
    """A file for libsndfile, whose callbacks swallow exceptions: the first one is kept, and raised by `raising`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: Exception | None = None

    def write(self, piece: Any) -> int:
        return self.call(self.file.write, piece)

    def readinto(self, buffer: Any) -> int:
        return self.call(cast(Any, self.file).readinto, buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.call(self.file.seek, offset, whence)

    def tell(self) -> int:
        return self.call(self.file.tell)

    @contextlib.contextmanager
    def raising(self) -> Iterator[Self]:
        """A context that at its end raises the first error of the file, in place of libsndfile's own error."""
        try:
            yield self
        except (soundfile.LibsndfileError, AssertionError):
            if self.error is None:
                raise
        if self.error is not None:
            raise self.error

    def call(self, call: Callable[..., int], *arguments: Any) -> int:
        """What the call gives; 0 if it raises an error, the first of which is kept."""
        try:
            return call(*arguments)
        except Exception as error:
            self.error = self.error or error
            return 0


class _Spool:
    """The file that libsndfile writes: in memory up to `_SPOOL_BYTES`, then a file in the scratch folder.

    Its methods are those of the file that is in use, so that they cost nothing more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: _ErrorKeepingFile | None = None
        self.file: IO[bytes] = io.BytesIO()
        self.seek: Callable[..., int] = self.file.seek
        self.tell: Callable[[], int] = self.file.tell
        self.readinto: Callable[[Any], int] = cast(Any, self.file).readinto
        self.write: Callable[[bytes], int] = self._write

    @property
    def error(self) -> Exception | None:
        """The first error of the file in the scratch folder."""
        return None if self._kept is None else self._kept.error

    def _write(self, piece: bytes) -> int:
        written = self.file.write(piece)
        if self.file.tell() > _SPOOL_BYTES:
            self._roll_over()
        return written

    def _roll_over(self) -> None:
        memory = cast(io.BytesIO, self.file)
        kept = self._kept = _ErrorKeepingFile(memory)
        self.seek, self.tell, self.readinto, self.write = kept.seek, kept.tell, kept.readinto, kept.write
        kept.call(self._open)
        with memory.getbuffer() as content:  # an error keeps its frames, and with them the view
            kept.write(content)
        kept.seek(memory.tell())

    def _open(self) -> int:
        assert self._kept is not None
        self._kept.file = self.file = tempfile.TemporaryFile(dir=str(self._folder))  # noqa: SIM115
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
        self._spool = _Spool(folder)
        self._file = soundfile.SoundFile(
            self._spool, "w", samplerate=sample_rate, channels=1, format=codec.upper(), subtype=subtype
        )

    @property
    def encoded(self) -> IO[bytes]:
        """The encoded audio."""
        return self._spool.file

    def push(self, piece: NDArray[np.float32], peak: float = math.inf) -> None:
        """Encode the next samples, `[samples] float32`, finite; `peak` bounds their absolute values, if it is given."""
        steps, clipped = quantize(piece, self._subtype, peak)
        self.clipped += clipped
        self._digest.update(pcm_bytes(steps, self._subtype))
        # Of integers of 32 bits, libsndfile takes the upper 24.
        self._call(self._file.write, np.left_shift(steps, 8) if self._subtype == "PCM_24" else steps)

    def finish(self) -> None:
        """Write the samples that the codec still holds, and set the position of `encoded` to its first byte."""
        self._call(self._file.close)
        self._call(self._spool.seek, 0)

    def _call(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Calls libsndfile, whose callbacks swallow exceptions: raises an error of the spool in place of its own."""
        try:
            call(*arguments)
        except (soundfile.LibsndfileError, AssertionError):
            if self._spool.error is None:
                raise
        if (error := self._spool.error) is not None:
            with translated(f"writing {self._folder}"):
                raise error

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
            self._spool.file.close()


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
    with contextlib.ExitStack() as opened:
        if type(encoded) is not io.BytesIO:  # which raises no errors
            encoded = cast(IO[bytes], opened.enter_context(_ErrorKeepingFile(encoded).raising()))
        file = opened.enter_context(soundfile.SoundFile(encoded))
        dtype = _DTYPES[subtype]
        short = file.frames <= _BLOCK_SAMPLES  # a block of the usual size takes longer to allocate than to decode
        for block in (file.read(dtype=dtype),) if short else file.blocks(_BLOCK_SAMPLES, dtype=dtype):
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


def as_wav(encoded: bytes, subtype: Subtype) -> bytes:
    """A FLAC or WAV file of one channel as a WAV file with the same samples.

    Args:
        encoded: the file.
        subtype: its sample format.

    Raises:
        soundfile.LibsndfileError: if it does not decode.
    """
    samples, sample_rate = soundfile.read(io.BytesIO(encoded), dtype=_DTYPES[subtype])
    written = io.BytesIO()
    soundfile.write(written, samples, sample_rate, subtype, format="WAV")
    return written.getvalue()
