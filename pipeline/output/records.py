"""What a run leaves behind, as values: manifest rows, failures, the commit record of a shard, and what is published."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config import Subtype
from pipeline.output.layout import shard_name

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
        clipped: samples that quantization clipped; none in FLOAT.
        mel_distance: mean absolute log-mel difference to the input, or None if it was not measured.
        mel_distance_relative: the same over the standard deviation of the input's log-mel values.
        source: where the mel came from.
        meta: the utterance's own metadata, passed through.
        over_full_scale: samples whose absolute value before quantization was over 1.0, in FLOAT too; None in rows of
            before it was counted.
        gain_db: gain that brought it to `output.loudness` [dB]; 0.0 where none was asked for.
        loudness: as written, before quantization [LUFS]; None where none was asked for, or the utterance has none.
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
    # Since: absent in what was written before, whose values these are.
    over_full_scale: int | None = None
    gain_db: float = 0.0
    loudness: float | None = None

    @property
    def object_name(self) -> str:
        """Name of the object that holds the audio: the shard's tar, or the audio's own file."""
        return self.shard if self.shard.endswith(".tar") else f"{self.shard}/{self.member}"

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Row:
        """The row that was written as `dataclasses.asdict` gives it. KeyError or TypeError if it is none."""
        _require_text(plain, "key", "shard")
        return cls(**{**plain, "source": Source(**plain["source"])})


@dataclass(frozen=True)
class Failure:
    """One line of failures.jsonl: an utterance that was quarantined.

    Args:
        key: the utterance's name.
        source: where its mel is.
        error: kind of error, as the class is called.
        reason: what is wrong, with coordinates.
        shard: in failures.jsonl, the name of the shard whose commit record holds it; None for an utterance that was
            refused before any work or whose workers died, and in the record itself.
    """

    key: str
    source: Source
    error: str
    reason: str
    shard: str | None = None

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Failure:
        """The failure that was written as `dataclasses.asdict` gives it. KeyError or TypeError if it is none."""
        _require_text(plain, "key", *(["shard"] if plain.get("shard") is not None else []))
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

    @classmethod
    def of(cls, name: str, path: Path) -> StoredObject:
        """A finished file with its size and digest."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(name, file.tell(), digest)


@dataclass(frozen=True)
class Ingredients:
    """What a shard was made with, besides its mels. Says why a shard is stale.

    Args:
        vocoder: digest.
        contract: of the mels in the store, as JSON.
        output: container, codec, subtype, and the sample rate and loudness that were asked for.
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
        metadata: digest of all utterances' metadata when it was made, as hexadecimal; empty where there was none.
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
    metadata: str = ""

    @property
    def id(self) -> ShardId:
        """What it is known by."""
        return ShardId(self.shard, self.fingerprint, revision=self.revision)

    @property
    def name(self) -> str:
        """As in object names: `000123-1a2b3c4d`."""
        return self.id.name

    @property
    def seconds(self) -> float:
        """Audio in the shard [s]."""
        return sum(row.duration for row in self.rows)

    def to_json(self) -> bytes:
        """The record as it is stored."""
        return json.dumps(sealed({"version": RECORD_VERSION, **dataclasses.asdict(self)})).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ShardRecord:
        """The record that `to_json` wrote.

        Raises:
            ValueError: if it is none, is damaged, or of another version.
        """
        try:
            plain = unsealed(text)
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


def sealed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a digest over its values, so that a later change of one of them is seen."""
    return {**plain, "seal": _seal(plain)}


def unsealed(text: bytes) -> dict[str, Any]:
    """The JSON object that `sealed` gave, without its seal.

    Raises:
        ValueError: if it is no JSON object, has no seal, or was changed since.
    """
    try:
        plain = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(plain, dict):
        raise ValueError(f"it is a {type(plain).__name__}, no JSON object")
    seal = plain.pop("seal", None)
    if seal != _seal(plain):
        raise ValueError("it was changed after it was written: its seal does not fit" if seal else "it has no seal")
    return plain


def _seal(plain: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def _require_text(plain: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(plain[name], str):
            raise TypeError(f"{name} is {plain[name]!r}, no text")


@dataclass(frozen=True, slots=True)
class ShardId:
    """What a shard is known by. Two of them have the same name once in four billion times.

    Args:
        number: of the shard.
        fingerprint: digest over everything that its samples depend on, as hexadecimal.
        revision: how often the same shard was made before.
    """

    number: int
    fingerprint: str
    revision: int = field(default=0, kw_only=True)

    @property
    def name(self) -> str:
        """As in object names: `000123-1a2b3c4d`."""
        return shard_name(self.number, self.fingerprint, self.revision)
