"""Mels made from audio: whole files of a folder, or stretches of files that a list names."""

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
from pipeline.pack.audio_files import AudioFile, open_audio, unread
from pipeline.pack.sources import Corpus, MelBlocks, SourceError, Sources, list_sources
from pipeline.stores.possible_values import LOUD_MARGIN

_BLOCK = 1 << 16  # number of samples read at once
_LOUDEST = float(np.exp(LOUD_MARGIN))
"""Largest size of a sample, full scale being 1: that of the loudest mel that a run converts, 26 dB over full scale."""
CLIP_TOLERANCE = 0.1
"""Time by which a stretch may end after its file [s], since lists round durations, at worst to a tenth."""
# Extensions of the formats that libsndfile recognizes by their content, and other extensions in use for them.
AUDIO_EXTENSIONS = frozenset(
    {name.lower() for name in soundfile.available_formats()} - {"raw"}
    | {"aif", "aifc", "mp2", "oga", "opus", "snd", "sph", "wave"}
)


# Extensions of formats that libsndfile does not read. Those of films are not among them.
_UNREAD = {
    "m4a": "MPEG-4 (.m4a)",
    "m4b": "MPEG-4 (.m4b)",
    "aac": "AAC",
    "wma": "Windows Media (.wma)",
    "amr": "AMR",
    "ape": "Monkey's Audio",
    "wv": "WavPack",
    "mka": "Matroska",
    "weba": "WebM",
    "shn": "Shorten",
    "spx": "Speex",
    "tta": "True Audio",
}


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of an audio file.

    Args:
        path: path of the file.
        start: start of the stretch in the file [s].
        duration: length of the stretch [s]; None for all up to the file's end.
        channel: number of the channel to use, from 0; None for the mean of all channels.
    """

    path: str
    start: float = 0.0
    duration: float | None = None
    channel: int | None = None


def audio_corpus(folder: str, spec: MelSpec) -> Corpus:
    """The audio files below a folder.

    Args:
        folder: folder with audio in any format that libsndfile reads.
        spec: mel contract of the mels to be made.

    Raises:
        ConfigError, StorageError: as `audio_sources`.
    """
    return Corpus(audio_sources(folder), audio_blocks(spec), spec, {"from": "audio"})


def audio_sources(folder: str) -> Sources:
    """The audio files below a folder. Those of formats that libsndfile does not read are failures.

    Raises:
        ConfigError, StorageError: as `list_sources`.
    """
    return list_sources(folder, AUDIO_EXTENSIONS, "audio", {name: unread(kind) for name, kind in _UNREAD.items()})


def audio_blocks(spec: MelSpec) -> MelBlocks:
    """A function that makes the mel of a piece of audio; a place is a path or a `Clip`."""
    return functools.partial(_mel_blocks, spec=spec)


def _mel_blocks(place: str | Clip, spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    yield from log_mel_blocks(read_audio(place, spec.sample_rate), spec)


def read_audio(place: str | Clip, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Audio in consecutive pieces `[samples] float32`; the mean of all channels, unless the clip names one.

    Args:
        place: path of a file, or a stretch of one.
        sample_rate: sample rate that the audio is converted to [Hz].

    Raises:
        SourceError: if the audio cannot be read to its end, is shorter than its header says, is empty, holds NaN or
            infinity, or is more than 26 dB over full scale. A stretch that is whole is read from a file that was cut
            off after it.
    """
    clip = Clip(place) if isinstance(place, str) else place
    try:
        with open_audio(clip.path) as file:
            pieces, rate = _pieces(file, clip), file.sound.samplerate
            yield from pieces if rate == sample_rate else _resampled(pieces, rate, sample_rate)
    except (soundfile.SoundFileError, OSError, ValueError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc


def _pieces(audio: AudioFile, clip: Clip) -> Iterator[NDArray[np.float32]]:
    file = audio.sound
    if audio.cut is not None and (clip.duration is None or _end(clip, file.samplerate) > file.frames):
        raise SourceError(audio.cut)
    if file.frames == 0:
        raise SourceError("it is empty")
    if clip.channel is not None and clip.channel >= file.channels:
        raise SourceError(f"it has no channel {clip.channel}; it has {file.channels}, counted from 0")
    done, stop = _range(file, clip)
    if done:
        file.seek(done)
    while len(samples := _read(file, min(_BLOCK, stop - done))):
        if clip.channel is not None:
            mono = np.ascontiguousarray(samples[:, clip.channel])
        else:
            mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        loudest = max(float(mono.max()), -float(mono.min()))
        if not np.isfinite(loudest):
            raise SourceError(f"sample {done + int(np.argmin(np.isfinite(mono)))} is not a finite number")
        if loudest > _LOUDEST:
            raise SourceError(_too_loud(loudest, done + int(np.abs(mono).argmax())))
        done += len(mono)
        yield mono
    if done < stop:
        raise SourceError(f"it ends after {done} of {stop} samples; it is cut off or damaged")


def _read(file: soundfile.SoundFile, count: int) -> NDArray[np.float32]:
    """The next samples, at most `count`: `[samples, channels] float32`."""
    samples: NDArray[np.float32]
    if file.subtype != "PCM_16" or file.format == "SDS":  # SDS keeps 16 bits in words of 21, whose rest is read, too
        samples = file.read(count, dtype="float32", always_2d=True)
        return samples
    # The same numbers as libsndfile's own conversion gives, in a third of its time.
    samples = np.multiply(file.read(count, dtype="int16", always_2d=True), np.float32(2**-15), dtype=np.float32)
    return samples


def _too_loud(size: float, at: int) -> str:
    text = (
        f"sample {at} is {size:.6g}, {20 * np.log10(size):.0f} dB over full scale, which is 1 in a file of floats; no "
        "audio is that loud"
    )
    looks = next((bits for bits in (8, 16, 24, 32) if size <= 2 ** (bits - 1)), None)
    if looks is None:
        return text
    return f"{text}. The samples may be integers of {looks} bits: divide them by {2 ** (looks - 1)}"


def _range(file: soundfile.SoundFile, clip: Clip) -> tuple[int, int]:
    """First sample of the clip in the file, and the sample after its last one."""
    start = round(clip.start * file.samplerate)
    stop = file.frames
    if clip.duration is not None:
        stop = _end(clip, file.samplerate)
        if stop > file.frames + CLIP_TOLERANCE * file.samplerate:
            raise SourceError(
                f"the list says that it ends at {clip.start + clip.duration:g} s, but the file ends after "
                f"{file.frames / file.samplerate:g} s"
            )
        stop = min(stop, file.frames)
    if start >= stop:
        raise SourceError(
            f"it starts at {clip.start:g} s and has no samples; the file has {file.frames / file.samplerate:g} s"
        )
    return start, stop


def _end(clip: Clip, sample_rate: int) -> int:
    assert clip.duration is not None
    return round((clip.start + clip.duration) * sample_rate)


def _resampled(pieces: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    stream = soxr.ResampleStream(source, target, 1, dtype="float32", quality="VHQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
