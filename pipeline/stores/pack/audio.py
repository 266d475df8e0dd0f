"""pack_audio: a ragged mel store from a folder of audio files."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel_blocks
from pipeline.melspec import MelSpec
from pipeline.stores.pack.result import OnProgress, PackResult
from pipeline.stores.pack.run import pack
from pipeline.stores.pack.sources import list_sources
from pipeline.stores.pack.workers import SourceError

_BLOCK = 1 << 16  # samples read at once
# libsndfile's formats that say in the file what they are, and the other extensions that they go by.
AUDIO_EXTENSIONS = frozenset(
    {name.lower() for name in soundfile.available_formats()} - {"raw"}
    | {"aif", "aifc", "mp2", "oga", "opus", "snd", "sph", "wave"}
)


def pack_audio(
    folder: str,
    out: str,
    spec: MelSpec,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs the mels of all audio below a folder into the ragged store `out`.

    An utterance's key is its path below the folder, with "/" and without extension. Channels are averaged; another
    sample rate is converted (soxr, very high quality). Files that cannot be packed (unreadable, cut off, empty, not
    finite) are left out and listed in the result. Memory is bounded, whatever the corpus or the length of a file.

    Mels are made in worker processes, even if it is only one: in a script, call this under
    `if __name__ == "__main__":`. The store is the same, byte for byte, whatever their number.

    Until it is whole, the store is `<out>.partial`; a packing that was interrupted or killed is resumed there by the
    same call, if the spec and the files are the same, else begun anew.

    Args:
        folder: with audio in any format that libsndfile reads.
        out: local path of the store, not yet there.
        spec: the mel contract.
        workers: processes; None for one a processor.
        on_progress: is told how far it is.

    Raises:
        ConfigError: if `out` exists, there is no audio, two files get the same key, or none can be packed.
        OwnedError: if another process packs to `out`.
        StorageError: if `out` cannot be written.
        InterruptedRunError: if it was stopped by Ctrl-C.
    """
    sources = list_sources(folder, AUDIO_EXTENSIONS, "audio")
    blocks = functools.partial(_mel_blocks, spec=spec)
    return pack(sources, blocks, out, spec, {"from": "audio"}, workers, on_progress)


def _mel_blocks(path: str, spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    yield from log_mel_blocks(read_audio(path, spec.sample_rate), spec)


def read_audio(path: str, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """A file's audio in pieces `[samples] float32`, channels averaged, at `sample_rate` [Hz].

    Raises:
        SourceError: if it cannot be read to its end, is empty or holds NaN or infinity.
    """
    try:
        with soundfile.SoundFile(path) as file:
            pieces = _pieces(file)
            yield from pieces if file.samplerate == sample_rate else _resampled(pieces, file.samplerate, sample_rate)
    except (soundfile.SoundFileError, OSError, ValueError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc


def _pieces(file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    done = 0
    while len(samples := file.read(_BLOCK, dtype="float32", always_2d=True)):
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise SourceError(f"sample {done + int(np.argmin(np.isfinite(mono)))} is not a finite number")
        done += len(mono)
        yield mono
    if file.frames == 0:
        raise SourceError("it is empty")
    if done < file.frames:
        raise SourceError(f"it ends after {done} of {file.frames} samples; it is cut off or damaged")


def _resampled(pieces: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="VHQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
