"""The speech for a training: audio files, read into memory at one sample rate, of which a part is held out."""

from __future__ import annotations

import concurrent.futures
import fnmatch
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.pack.audio import Clip, audio_sources, read_audio
from pipeline.pack.audio_files import open_audio
from pipeline.pack.manifests import MANIFEST_EXTENSIONS, manifest_kind, manifest_sources
from pipeline.pack.sources import SourceError

# Shorter utterances hold hardly any speech. Longer ones are cut: other voices teach more than the rest of a long one.
_MIN_SECONDS, _MAX_SECONDS = 0.75, 60.0
# All speech is scaled to this peak; the net then gets it at random levels around that.
PEAK = 0.9


@dataclass(frozen=True)
class Recording:
    """One recording.

    Args:
        key: path of the file as it was given, without extension; in a list, its key there.
        waveform: the samples, `[samples] float32` at the spec's sample rate, with a peak of `PEAK`.
        bandwidth: half of the file's sample rate [Hz]; above it there is nothing to learn.
    """

    key: str
    waveform: NDArray[np.float32]
    bandwidth: float


@dataclass(frozen=True)
class Speech:
    """Recordings to train on, and those held out for the figures.

    Args:
        train: recordings to train on.
        held_out: recordings that are not trained on.
        left_out: files that cannot be read or are too short, each with the reason.
        digest: sha256 of the keys and samples of all recordings, hexadecimal.
    """

    train: tuple[Recording, ...]
    held_out: tuple[Recording, ...]
    left_out: tuple[str, ...]
    digest: str

    @property
    def samples(self) -> int:
        """Length of all recordings to train on [samples]."""
        return sum(len(utterance.waveform) for utterance in self.train)


def read_speech(sources: Sequence[Path], sample_rate: int, hold_out: str | None = None) -> Speech:
    """Reads audio folders, audio files and manifests, with all processors.

    Folders and manifests are read as `pack` reads them: a manifest's stretch of a file is an utterance.

    Args:
        sources: folders, files or manifests.
        sample_rate: sample rate that all speech is converted to [Hz].
        hold_out: pattern (`*` and `?`) of the keys to hold out; it may match anywhere in the key. If None, every
            fiftieth utterance is held out, at least two.

    Raises:
        ConfigError: if there is no speech to train on, or no speech is held out.
    """
    left_out: list[str] = []
    listed = list(_listed(sources, left_out))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        read = list(pool.map(lambda each: _read(each, sample_rate), listed))
    left_out += [item for item in read if isinstance(item, str)]
    utterances = [item for item in read if isinstance(item, Recording)]
    if hold_out is None:
        held = {utterance.key for utterance in utterances[:: min(50, max(1, len(utterances) // 2))]}
    else:
        held = {utterance.key for utterance in utterances if fnmatch.fnmatch(utterance.key, f"*{hold_out}*")}
    train = tuple(utterance for utterance in utterances if utterance.key not in held)
    held_out = tuple(utterance for utterance in utterances if utterance.key in held)
    if not train or not held_out:
        raise ConfigError(
            f"{len(train)} utterances to train on and {len(held_out)} held out by {hold_out or 'every fiftieth'}, of "
            f"{len(listed)} found; both must be more than 0"
            + (f"; {len(left_out)} were left out, first {left_out[0]}" if left_out else "")
        )
    digest = hashlib.sha256()
    for utterance in utterances:
        digest.update(f"{utterance.key}\0{len(utterance.waveform)}\0".encode())
        digest.update(utterance.waveform.tobytes())
    return Speech(train, held_out, tuple(left_out), digest.hexdigest())


@dataclass(frozen=True)
class _Listed:
    """An utterance that a source lists: its key, its name in messages, and where it is."""

    key: str
    name: str
    clip: Clip


def _listed(sources: Sequence[Path], left_out: list[str]) -> Iterator[_Listed]:
    for source in sources:
        if source.is_dir():
            found = audio_sources(str(source))
            left_out += [f"{source / failure.path}: {failure.reason}" for failure in found.failures]
            for item in found.items:
                yield _Listed(f"{source.name}/{item.key}", str(source / item.path), Clip(str(source / item.path)))
        elif source.is_file() and source.name.lower().endswith(MANIFEST_EXTENSIONS):
            if (kind := manifest_kind(str(source))) is None:
                raise ConfigError(
                    f"{source} is not a manifest: its first row must be a JSON object of NeMo (audio_filepath) or of "
                    "lhotse (a cut or recording)"
                )
            rows = manifest_sources(str(source), kind)
            left_out += [f"{source}, {failure.path}: {failure.reason}" for failure in rows.failures]
            for item in rows.items:
                yield _Listed(item.key, f"{source}, {item.path}", item.place)
        elif source.is_file():
            yield _Listed(source.stem, str(source), Clip(str(source)))
        else:
            raise ConfigError(f"{source}: there is no such folder, audio file or manifest")


def _read(listed: _Listed, sample_rate: int) -> Recording | str:
    try:
        with open_audio(listed.clip.path) as file:
            bandwidth = file.sound.samplerate / 2
        waveform = np.concatenate([np.empty(0, np.float32), *read_audio(listed.clip, sample_rate)])
    except (SourceError, soundfile.SoundFileError, OSError) as error:
        return f"{listed.name}: {error}"
    waveform = waveform[: int(_MAX_SECONDS * sample_rate)]
    peak = float(np.abs(waveform).max(initial=0))
    if len(waveform) < _MIN_SECONDS * sample_rate or peak == 0:
        seconds = len(waveform) / sample_rate
        return f"{listed.name}: {seconds:.2f} s with peak {peak:.2g}: too short or too quiet to train on"
    return Recording(listed.key, waveform * np.float32(PEAK / peak), min(bandwidth, sample_rate / 2))
