"""The rows and records of an output, as values: manifest rows, failures, objects, and the commit record of a shard.

`commit_format` says how a commit record is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config import Subtype
from pipeline.events import Stages
from pipeline.melspec import MelOrigin
from pipeline.output.common_fields import COMMON_FIELDS, common_fields
from pipeline.output.layout import audio_object, shard_name
from pipeline.output.not_measured import with_nulls


@dataclass(frozen=True)
class Source:
    """Where an utterance's mel came from.

    Args:
        store: URL of the store.
        row: first row (ragged), item (padded) or array path (grouped) when it was read.
        digest: digest of the mel, as hexadecimal.
    """

    store: str
    row: int | str
    digest: str


@dataclass(frozen=True)
class Row:
    """One line of manifest.jsonl: an utterance that was made.

    Args:
        key: the utterance's name.
        shard: the shard's tar, or the folder of its files, relative to the output.
        member: name of the audio in the tar or the folder.
        offset: offset of the audio's first byte in the tar; 0 if the audio is a file of its own.
        bytes: size of the encoded audio.
        sample_rate: sample rate of the audio [Hz].
        num_samples: length of the audio [samples].
        duration: length of the audio [s].
        subtype: PCM_16, PCM_24 or FLOAT.
        pcm_sha256: digest over the little-endian PCM as written.
        peak: largest absolute sample before quantization; 1.0 is full scale.
        rms_dbfs: level before quantization [dB re full scale].
        clipped: number of samples that quantization clipped; 0 in FLOAT.
        mel_distance: mean absolute log-mel difference to the input, or None if it was not measured.
        mel_distance_relative: `mel_distance` divided by the standard deviation of the input's log-mel values.
        source: place that the mel came from.
        meta: the utterance's own metadata, passed through.
        over_full_scale: number of samples whose absolute value before quantization was over 1.0, in FLOAT too; None in
            rows that were written before it was counted.
        gain_db: gain that brought the utterance to `output.loudness` [dB]; 0.0 if no loudness was asked for.
        loudness: loudness as written, before quantization [LUFS]; None if no loudness was asked for, or if the
            utterance has no measurable one.
        mel_distance_unrefined: `mel_distance` of the net's waveform before it was refined, `NO_DISTANCE` if it was not
            measured; None, and no field of the manifest, where nothing is refined.
        mel_origin: what the vocoder took the mels as; None, and no field of the manifest, if it treats all alike.
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
    # Added later: rows without these fields have these values.
    over_full_scale: int | None = None
    gain_db: float = 0.0
    loudness: float | None = None
    mel_distance_unrefined: float | None = None
    mel_origin: MelOrigin | None = None

    @property
    def object_name(self) -> str:
        """Name of the object that holds the audio: the shard's tar, or the audio's own file."""
        return audio_object(self.shard, self.member)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Row:
        """The row that `asdict` gave, or a line of the manifest. KeyError or TypeError if it is not valid."""
        _require_text(plain, "key", "shard")
        told = {name: plain[name] for name in COMMON_FIELDS if name in plain}
        if told and told != common_fields(plain["meta"]):
            raise TypeError(f"{', '.join(told)} are {list(told.values())}, which are not those of its meta")
        fields = with_nulls(plain)
        for name in told:
            del fields[name]
        fields["source"] = Source(**fields["source"])
        return cls(**fields)


@dataclass(frozen=True)
class Failure:
    """One line of failures.jsonl: an utterance that was quarantined.

    Args:
        key: the utterance's name.
        source: place of its mel.
        error: name of the error's class.
        reason: text that says what is wrong, with coordinates.
        shard: name, in failures.jsonl, of the shard whose commit record holds this failure. None in the commit
            record itself, for an utterance that was refused before any work, and for one whose workers died.
    """

    key: str
    source: Source
    error: str
    reason: str
    shard: str | None = None

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Failure:
        """The failure that `dataclasses.asdict` gave. KeyError or TypeError if it is not valid."""
        _require_text(plain, "key", *(["shard"] if plain.get("shard") is not None else []))
        return cls(**{**plain, "source": Source(**plain["source"])})


@dataclass(frozen=True)
class StoredObject:
    """One immutable object of a shard: its tar, or one of its files.

    Args:
        name: name of the object, relative to the output.
        bytes: size of the object.
        sha256: digest of the object's bytes, as hexadecimal.
    """

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, path: Path) -> StoredObject:
        """The object that a finished file will be, with its size and digest."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(name, file.tell(), digest)


@dataclass(frozen=True)
class Ingredients:
    """What a shard was made with, besides its mels. A difference says why a shard is stale.

    Args:
        vocoder: digest of the vocoder.
        contract: mel contract of the store, as JSON.
        output: container, codec, subtype, and the sample rate and loudness that were asked for, as text.
        sidecar: what lies beside each audio: full, plain or none; no sample depends on it. Empty in records of early
            versions of melmill: plain.
    """

    vocoder: str
    contract: str
    output: str
    sidecar: str = ""


@dataclass(frozen=True)
class ShardMaking:
    """How a shard was made, for people. Nothing is decided by it, and the clocks of workers may differ.

    Args:
        run_id: identifier of the run, or of the part of a job, that made it.
        worker: name of the worker.
        began: time when the worker began [s since 1970, UTC].
        ended: time when the shard's objects were durable.
        stages: time spent on each stage, without that of the commit record itself.
    """

    run_id: str
    worker: str
    began: float
    ended: float
    stages: Stages

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ShardMaking:
        """What `dataclasses.asdict` gave. KeyError or TypeError if it is not valid."""
        return cls(**{**plain, "stages": Stages(**plain["stages"])})


@dataclass(frozen=True)
class ShardRecord:
    """The commit record. A shard exists if, and only if, its record does.

    Args:
        shard: number of the shard.
        fingerprint: digest over everything that the shard's samples depend on, as hexadecimal.
        attempt: identifier of the attempt that made it.
        generation: number of the run on this output.
        ingredients: ingredients that the shard was made with.
        objects: the objects that the shard consists of; empty if every utterance failed.
        rows: rows of the utterances that were made, in order.
        failures: failures of the utterances that were quarantined, in order.
        revision: number of times that the same shard was made before, because an utterance of it was quarantined or
            an object damaged. Neither changes the fingerprint.
        metadata: digest of all utterances' metadata when the shard was made, as hexadecimal; empty if there was none.
        texts: digest over what the JSON files of the shard say besides its audio, as hexadecimal; empty if its
            utterances had no metadata, and in records of early versions of melmill.
        copied_from: name of the commit whose audio was copied; empty if all audio was decoded.
        copied_seconds: duration of the audio that was copied beside audio that was decoded [s]; 0.0 if one or the other
            was done with all of it.
        making: how it was made; None in records of early versions of melmill.
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
    texts: str = ""
    copied_from: str = ""
    copied_seconds: float = 0.0
    making: ShardMaking | None = None

    @property
    def id(self) -> ShardId:
        """What identifies the shard."""
        return ShardId(self.shard, self.fingerprint, revision=self.revision, texts=self.texts)

    @property
    def name(self) -> str:
        """The shard's name, as in object names: `000123-1a2b3c4d`."""
        return self.id.name

    @property
    def seconds(self) -> float:
        """Duration of the audio in the shard [s]."""
        return sum(row.duration for row in self.rows)

    @property
    def size(self) -> int:
        """Size of the shard's objects [bytes]."""
        return sum(each.bytes for each in self.objects)


def sealed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a digest over its values, which shows whether one of them was changed later."""
    return {**plain, "seal": _seal(plain)}


def sealed_text(plain: Mapping[str, Any]) -> bytes:
    """The JSON object that `sealed` gives, as text for a file."""
    return (json.dumps(sealed(plain), indent=2) + "\n").encode()


def unsealed(text: bytes) -> dict[str, Any]:
    """The JSON object that `sealed` gave, without its seal.

    Raises:
        ValueError: if it is not a JSON object, has no seal, or was changed since.
    """
    try:
        plain = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(plain, dict):
        raise ValueError(f"it is a {type(plain).__name__}, not a JSON object")
    seal = plain.pop("seal", None)
    if seal != _seal(plain):
        raise ValueError("it was changed after it was written: its seal does not match" if seal else "it has no seal")
    return plain


def _seal(plain: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def _require_text(plain: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(plain[name], str):
            raise TypeError(f"{name} is {plain[name]!r}, not text")


@dataclass(frozen=True, slots=True)
class ShardId:
    """What identifies a shard. Two of them have the same name once in four billion times.

    Args:
        number: number of the shard.
        fingerprint: digest over everything that the shard's samples depend on, as hexadecimal.
        revision: number of times that the same shard was made before.
        texts: digest over what its JSON files say besides its audio, as hexadecimal; empty if they say nothing more.
    """

    number: int
    fingerprint: str
    revision: int = field(default=0, kw_only=True)
    texts: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        """The shard's name, as in object names: `000123-1a2b3c4d`."""
        return shard_name(self.number, self.fingerprint, self.revision, self.texts)
