"""The speech for a training: audio files, read into memory at one sample rate, of which a part is held out."""

from __future__ import annotations

import concurrent.futures
import fnmatch
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.pack.audio import audio_sources, read_audio
from pipeline.pack.audio_files import open_audio
from pipeline.pack.sources import SourceError
from pipeline.stores.text_lists import parse_object, read_lines

# Shorter utterances hold hardly any speech. Longer ones are cut: other voices teach more than the rest of a long one.
_MIN_SECONDS, _MAX_SECONDS = 0.75, 60.0
# All speech is scaled to this peak; the net then gets it at random levels around that.
PEAK = 0.9


@dataclass(frozen=True)
class Recording:
    """One recording.

    Args:
        key: path of the file as it was given, without extension.
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

    A manifest is a .jsonl file whose rows name an audio file under `audio_filepath`, `audio` or `path`, relative to the
    manifest.

    Args:
        sources: folders, files or manifests.
        sample_rate: sample rate that all speech is converted to [Hz].
        hold_out: pattern (`*` and `?`) of the keys to hold out; it may match anywhere in the key. If None, every
            fiftieth utterance is held out, at least two.

    Raises:
        ConfigError: if there is no speech to train on, or no speech is held out.
    """
    left_out: list[str] = []
    files = list(_files(sources, left_out))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        read = list(pool.map(lambda file: _read(file[0], file[1], sample_rate), files))
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
            f"{len(files)} files; both must be more than 0"
        )
    digest = hashlib.sha256()
    for utterance in utterances:
        digest.update(f"{utterance.key}\0{len(utterance.waveform)}\0".encode())
        digest.update(utterance.waveform.tobytes())
    left_out += [item for item in read if isinstance(item, str)]
    return Speech(train, held_out, tuple(left_out), digest.hexdigest())


def _files(sources: Sequence[Path], left_out: list[str]) -> Iterable[tuple[str, Path]]:
    for source in sources:
        if source.is_dir():
            found = audio_sources(str(source))
            left_out += [f"{source / failure.path}: {failure.reason}" for failure in found.failures]
            for file in found.items:
                yield f"{source.name}/{file.key}", source / file.path
        elif source.suffix == ".jsonl":
            yield from _rows(source)
        elif source.is_file():
            yield source.stem, source
        else:
            raise ConfigError(f"{source}: there is no such folder, audio file or manifest")


def _rows(manifest: Path) -> Iterable[tuple[str, Path]]:
    for number, line in read_lines(str(manifest)):
        if not line.strip():
            continue
        try:
            row = parse_object(line)
            named = next(row[name] for name in ("audio_filepath", "audio", "path") if isinstance(row.get(name), str))
        except (ValueError, StopIteration) as error:
            raise ConfigError(
                f"{manifest}, line {number}: a row must be a JSON object that names its audio file under "
                "audio_filepath, audio or path"
            ) from error
        yield str(Path(named).with_suffix("")), manifest.parent / named


def _read(key: str, path: Path, sample_rate: int) -> Recording | str:
    try:
        with open_audio(str(path)) as file:
            bandwidth = file.sound.samplerate / 2
        waveform = np.concatenate([np.empty(0, np.float32), *read_audio(str(path), sample_rate)])
    except (SourceError, soundfile.SoundFileError, OSError) as error:
        return f"{path}: {error}"
    waveform = waveform[: int(_MAX_SECONDS * sample_rate)]
    peak = float(np.abs(waveform).max(initial=0))
    if len(waveform) < _MIN_SECONDS * sample_rate or peak == 0:
        return f"{path}: {len(waveform) / sample_rate:.2f} s with peak {peak:.2g}: too short or too quiet to train on"
    return Recording(key, waveform * np.float32(PEAK / peak), min(bandwidth, sample_rate / 2))
