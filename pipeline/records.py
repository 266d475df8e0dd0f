"""What a worker leaves behind, as values: manifest rows, failures, and the commit record of a shard that holds them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pipeline.config import Subtype

RECORD_VERSION = 1


@dataclass(frozen=True)
class Source:
    """Where an utterance's mel came from.

    Args:
        store: URL of the store.
        row: first row (ragged), item (padded) or array path (grouped) when it was read.
        digest: of its mel, as hexadecimal.
    """

    store: str
    row: int | str
    digest: str


@dataclass(frozen=True)
class Row:
    """One line of manifest.jsonl: an utterance that was made.

    Args:
        key: the utterance's name.
        shard: the tar that holds it, or the folder of its files, relative to the output.
        member: its audio's name in there.
        offset: of the audio's first byte in the tar; 0 where the audio is a file of its own.
        bytes: of the audio.
        sample_rate: [Hz].
        num_samples: length [samples].
        duration: length [s].
        subtype: PCM_16, PCM_24 or FLOAT.
        pcm_sha256: digest over the little-endian PCM as written.
        peak: largest absolute sample before quantization; 1.0 is full scale.
        rms_dbfs: level before quantization [dB re full scale].
        clipped: samples that quantization clipped.
        mel_distance: mean absolute log-mel difference to the input, or None if it was not measured.
        mel_distance_relative: the same over the standard deviation of the input's log-mel values.
        source: where the mel came from.
        meta: the utterance's own metadata, passed through.
    """

    key: str
    shard: str
    member: str
    offset: int
    bytes: int
    sample_rate: int
    num_samples: int
    duration: float
    subtype: Subtype
    pcm_sha256: str
    peak: float
    rms_dbfs: float
    clipped: int
    mel_distance: float | None
    mel_distance_relative: float | None
    source: Source
    meta: dict[str, Any]

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Row:
        """The row that was written as `dataclasses.asdict` gives it. KeyError or TypeError if it is none."""
        return cls(**{**plain, "source": Source(**plain["source"])})


@dataclass(frozen=True)
class Failure:
    """One line of failures.jsonl: an utterance that was quarantined.

    Args:
        key: the utterance's name.
        source: where its mel is.
        error: kind of error, as the class is called.
        reason: what is wrong, with coordinates.
    """

    key: str
    source: Source
    error: str
    reason: str

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Failure:
        """The failure that was written as `dataclasses.asdict` gives it. KeyError or TypeError if it is none."""
        return cls(**{**plain, "source": Source(**plain["source"])})


@dataclass(frozen=True)
class StoredObject:
    """One immutable object of a shard: its tar, or one of its files.

    Args:
        name: relative to the output.
        bytes: its size.
        sha256: over its bytes.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Ingredients:
    """What a shard was made with, besides its mels. Says why a shard is stale.

    Args:
        vocoder: digest.
        contract: of the mels in the store, as JSON.
        output: container, codec and subtype.
    """

    vocoder: str
    contract: str
    output: str


@dataclass(frozen=True)
class ShardRecord:
    """The commit record: a shard exists if, and only if, its record does.

    Args:
        shard: its number.
        fingerprint: digest over everything that its samples depend on, as hexadecimal.
        attempt: the attempt that made it.
        generation: the run's number on this output.
        ingredients: what it was made with.
        objects: what it consists of; empty if every utterance failed.
        rows: the utterances made, in order.
        failures: the utterances quarantined, in order.
        revision: counts the times that the same shard was made again: what was quarantined or damaged in it is no part
            of the fingerprint.
    """

    shard: int
    fingerprint: str
    attempt: str
    generation: int
    ingredients: Ingredients
    objects: tuple[StoredObject, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    revision: int = 0

    @property
    def name(self) -> str:
        """As in object names: `000123-1a2b3c4d`."""
        return shard_name(self.shard, self.fingerprint, self.revision)

    @property
    def seconds(self) -> float:
        """Audio in the shard [s]."""
        return sum(row.duration for row in self.rows)

    def to_json(self) -> bytes:
        """The record as it is stored."""
        return json.dumps({"version": RECORD_VERSION, **dataclasses.asdict(self)}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ShardRecord:
        """The record that `to_json` wrote.

        Raises:
            ValueError: if it is none, or of another version.
        """
        try:
            plain = json.loads(text)
            version = plain.pop("version")
            if version != RECORD_VERSION:
                raise ValueError(f"version {version}, this melmill reads {RECORD_VERSION}")
            return cls(
                **{
                    **plain,
                    "ingredients": Ingredients(**plain["ingredients"]),
                    "objects": tuple(StoredObject(**each) for each in plain["objects"]),
                    "rows": tuple(map(Row.from_dict, plain["rows"])),
                    "failures": tuple(map(Failure.from_dict, plain["failures"])),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a commit record: {error!r}") from error


def shard_name(number: int, fingerprint: str, revision: int = 0) -> str:
    """Number and the fingerprint's first eight digits, or those of the fingerprint's and the revision's digest.

    >>> shard_name(123, "1a2b3c4d5e6f")
    '000123-1a2b3c4d'
    """
    if revision:
        fingerprint = hashlib.blake2b(f"{fingerprint} {revision}".encode(), digest_size=4).hexdigest()
    return f"{number:06d}-{fingerprint[:8]}"
