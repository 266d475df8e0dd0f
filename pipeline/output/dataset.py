"""An output as those read it who train: the utterances of one publication, by number.

import pipeline

dataset = pipeline.read("audio")
key, samples, sample_rate, meta = dataset[0]
"""

from __future__ import annotations

import hashlib
import io
import json
import operator
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.encode import decoded, pcm_bytes, quantize
from pipeline.config import Subtype
from pipeline.errors import ConfigError, StorageError
from pipeline.output.common_fields import COMMON_FIELDS
from pipeline.output.layout import JOB, MANIFEST, audio_object
from pipeline.output.ledger import not_published
from pipeline.storage import NO_OPTIONS
from pipeline.storage.ranges import Ranges


class AudioItem(NamedTuple):
    """One utterance of an `AudioDataset`.

    Args:
        key: the utterance's name.
        samples: its audio, `[samples] float32`; full scale is 1.0.
        sample_rate: sample rate of the audio [Hz].
        meta: its metadata: text, speaker and whatever else the store or `input.meta` had.
    """

    key: str
    samples: NDArray[np.float32]
    sample_rate: int
    meta: dict[str, Any]


class AudioDataset:
    """The utterances of one publication of an output, in the order of its manifest. `pipeline.read` opens it.

    `len(dataset)` is their number, and `dataset[i]` an `AudioItem`, which is read when it is asked for: one request for
    the bytes of this utterance alone. Negative numbers count from the end. The dataset holds what the manifest said
    when it was opened, about 0.3 KB for each utterance. So an epoch is one publication, whatever a run publishes
    meanwhile. The dataset can be pickled and survives a fork: it serves as the `dataset` of torch's `DataLoader`, with
    any number of workers.

    Args:
        ranges: the output.
        lines: the rows, each as a JSON array, without anything between them.
        ends: where each row ends in `lines`, `[utterances] int64`.
        check: whether each utterance's digest is compared with that in the manifest.
    """

    def __init__(self, ranges: Ranges, lines: bytes, ends: NDArray[np.int64], check: bool) -> None:
        self._ranges = ranges
        self._lines = lines  # not a list of objects: workers that are forked would copy it, page by page
        self._ends = ends
        self._check = check

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> AudioItem:
        """An utterance.

        Args:
            index: its number, from 0, or from -1 at the end; an int, or anything that stands for one, as of NumPy.

        Raises:
            IndexError: if there is none of this number.
            StorageError: if its audio is gone, damaged, or cannot be read.
        """
        index = range(len(self))[operator.index(index)]
        row = json.loads(self._lines[self._ends[index - 1] if index else 0 : self._ends[index]])
        key, name, start, size, num_samples, subtype, digest, meta = row
        samples, sample_rate = self._audio(key, name, start, size)
        where = f"{self._ranges.url}/{name}: the audio of {key!r}"
        if len(samples) != num_samples:
            raise StorageError(
                f"{where} has {len(samples)} samples, {MANIFEST} says {num_samples}. {_verify(self._ranges.url)}"
            )
        if self._check and _pcm_sha256(samples, subtype) != digest:
            raise StorageError(f"{where} does not have the digest that {MANIFEST} states. {_verify(self._ranges.url)}")
        return AudioItem(key, samples, sample_rate, meta)

    def _audio(self, key: str, name: str, start: int, size: int) -> tuple[NDArray[np.float32], int]:
        try:
            encoded = self._ranges.read(name, start, size)
            return decoded(encoded)
        except FileNotFoundError as error:
            raise StorageError(
                f"{self._ranges.url}/{name}, which holds {key!r}, is not there. If superseded shards were "
                f"deleted since this dataset was opened, open it again; else {_verify(self._ranges.url)}"
            ) from error
        except soundfile.LibsndfileError as error:
            raise StorageError(
                f"{self._ranges.url}/{name}: {len(encoded)} bytes from byte {start} on, of {size}, are not the audio "
                f"of {key!r} ({error}). {_verify(self._ranges.url)}"
            ) from error


def read(url: str, options: Mapping[str, Any] = NO_OPTIONS, check: bool = False) -> AudioDataset:
    """The audio of an output, by number, for training and for looking at.

    Args:
        url: path or URL of the output: any that fsspec takes, also `https://` and `hf://`.
        options: options for the client of the URL; may name environment variables.
        check: compare each utterance, when it is read, with its digest in the manifest.

    Raises:
        ConfigError: if there is no published output, its manifest is not valid, or the URL cannot be opened.
        StorageError: if it cannot be read.
    """
    ranges = Ranges(url, options)
    try:
        manifest = ranges.read(MANIFEST)
    except FileNotFoundError as error:
        raise ConfigError(_nothing_to_read(ranges)) from error
    lines, ends = io.BytesIO(), array("q")
    for number, line in enumerate(io.BytesIO(manifest), 1):
        try:
            lines.write(json.dumps(_needed(json.loads(line)), separators=(",", ":")).encode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"line {number} of {ranges.url}/{MANIFEST} is not a valid row of a manifest ({error!r}). "
                f"{_verify(ranges.url)}"
            ) from error
        ends.append(lines.tell())
    return AudioDataset(ranges, lines.getvalue(), np.array(ends, np.int64), check)


def _needed(row: dict[str, Any]) -> list[Any]:
    """What a dataset keeps of a row of the manifest."""
    return [
        str(row["key"]),
        audio_object(str(row["shard"]), str(row["member"])),
        int(row["offset"]),
        int(row["bytes"]),
        int(row["num_samples"]),
        row["subtype"],
        row["pcm_sha256"],
        {name: row[name] for name in COMMON_FIELDS if name in row} | row["meta"],
    ]


def _pcm_sha256(samples: NDArray[np.float32], subtype: Subtype) -> str:
    return hashlib.sha256(pcm_bytes(quantize(samples, subtype)[0], subtype)).hexdigest()


def _nothing_to_read(ranges: Ranges) -> str:
    try:
        ranges.read(JOB)
    except FileNotFoundError:
        return f"{ranges.url} holds no melmill output: there is no {MANIFEST}. Give the folder that a run wrote to"
    return not_published(ranges.url)


def _verify(url: str) -> str:
    return f"`melmill verify {url}` finds all that is damaged"
