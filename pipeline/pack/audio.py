"""Mels of audio: whole files of a folder, or the stretches that a list names."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel_blocks
from pipeline.melspec import MelSpec
from pipeline.pack.result import OnProgress, PackResult
from pipeline.pack.run import pack
from pipeline.pack.sources import Corpus, MelBlocks, SourceError, list_sources

_BLOCK = 1 << 16  # samples read at once
CLIP_TOLERANCE = 0.1
"""A list may say that audio ends so much later than it does [s]: durations are rounded, to a tenth at worst."""
# libsndfile's formats that say in the file what they are, and the other extensions that they go by.
AUDIO_EXTENSIONS = frozenset(
    {name.lower() for name in soundfile.available_formats()} - {"raw"}
    | {"aif", "aifc", "mp2", "oga", "opus", "snd", "sph", "wave"}
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of an audio file.

    Args:
        path: of the file.
        start: of the stretch [s].
        duration: of the stretch [s]; None to the file's end.
        channel: that is taken, from 0; None for the mean of all.
    """

    path: str
    start: float = 0.0
    duration: float | None = None
    channel: int | None = None


def pack_audio(
    folder: str,
    out: str,
    spec: MelSpec,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs the mels of all audio below a folder into the ragged store `out`. See `pack_source`.

    An utterance's key is its path below the folder, with "/" and without extension. Channels are averaged; another
    sample rate is converted (soxr, very high quality).

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
    return pack(audio_corpus(folder, spec), out, None, workers, on_progress)


def audio_corpus(folder: str, spec: MelSpec) -> Corpus:
    """The audio files below a folder.

    Raises:
        ConfigError, StorageError: as `list_sources`.
    """
    return Corpus(list_sources(folder, AUDIO_EXTENSIONS, "audio"), audio_blocks(spec), spec, {"from": "audio"})


def audio_blocks(spec: MelSpec) -> MelBlocks:
    """The mels of audio; a place is a path or a `Clip`."""
    return functools.partial(_mel_blocks, spec=spec)


def _mel_blocks(place: str | Clip, spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    yield from log_mel_blocks(read_audio(place, spec.sample_rate), spec)


def read_audio(place: str | Clip, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Audio in pieces `[samples] float32` at `sample_rate` [Hz], channels averaged if none is named.

    Args:
        place: a file, or a stretch of one.
        sample_rate: that the audio is converted to [Hz].

    Raises:
        SourceError: if it cannot be read to its end, is empty or holds NaN or infinity.
    """
    clip = Clip(place) if isinstance(place, str) else place
    try:
        with soundfile.SoundFile(clip.path) as file:
            pieces = _pieces(file, clip)
            yield from pieces if file.samplerate == sample_rate else _resampled(pieces, file.samplerate, sample_rate)
    except (soundfile.SoundFileError, OSError, ValueError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc


def _pieces(file: soundfile.SoundFile, clip: Clip) -> Iterator[NDArray[np.float32]]:
    if file.frames == 0:
        raise SourceError("it is empty")
    if clip.channel is not None and clip.channel >= file.channels:
        raise SourceError(f"channel {clip.channel} is not there: it has {file.channels}, counted from 0")
    done, stop = _range(file, clip)
    if done:
        file.seek(done)
    while len(samples := file.read(min(_BLOCK, stop - done), dtype="float32", always_2d=True)):
        if clip.channel is not None:
            mono = np.ascontiguousarray(samples[:, clip.channel])
        else:
            mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise SourceError(f"sample {done + int(np.argmin(np.isfinite(mono)))} is not a finite number")
        done += len(mono)
        yield mono
    if done < stop:
        raise SourceError(f"it ends after {done} of {stop} samples; it is cut off or damaged")


def _range(file: soundfile.SoundFile, clip: Clip) -> tuple[int, int]:
    """First sample of the clip in the file, and the one after its last."""
    start = round(clip.start * file.samplerate)
    if clip.duration is None:
        stop = file.frames
    else:
        stop = round((clip.start + clip.duration) * file.samplerate)
        if stop > file.frames + CLIP_TOLERANCE * file.samplerate:
            raise SourceError(
                f"it is said to go to {clip.start + clip.duration:g} s; the file ends after "
                f"{file.frames / file.samplerate:g} s"
            )
        stop = min(stop, file.frames)
    if start >= stop:
        raise SourceError(
            f"nothing of it is left from {clip.start:g} s on; the file has {file.frames / file.samplerate:g} s"
        )
    return start, stop


def _resampled(pieces: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="VHQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
