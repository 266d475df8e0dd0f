"""The JSON file beside an utterance's audio, and how both get into a shard."""

from __future__ import annotations

import dataclasses
import json
from typing import IO, Any

from pipeline.audio.member_names import escape
from pipeline.config import Job, Sidecar
from pipeline.output.common_fields import common_fields
from pipeline.output.not_measured import NO_DISTANCE
from pipeline.output.records import Row
from pipeline.worker.attempt import Attempt


def sidecar(row: Row, kind: Sidecar) -> bytes | None:
    """The JSON file of an utterance; None if there is to be none. All files of one kind have the same fields."""
    if kind == "none":
        return None
    fields: dict[str, Any] = {"key": row.key}
    if kind == "full":
        fields |= common_fields(row.meta)
    fields |= {"sample_rate": row.sample_rate, "num_samples": row.num_samples, "duration": row.duration}
    if kind == "full":
        distance = row.mel_distance if row.mel_distance is not None else NO_DISTANCE
        fields |= {"peak": row.peak, "rms_dbfs": row.rms_dbfs, "mel_distance": distance}
    return json.dumps({**fields, "meta": row.meta}).encode()


def add_to_shard(row: Row, encoded: IO[bytes], job: Job, attempt: Attempt) -> Row:
    """Add an utterance to the shard that an attempt makes.

    Args:
        row: the utterance's row, wherever its audio lay before.
        encoded: encoded audio, read from the current position to the end.
        job: the job.
        attempt: the attempt at the shard.

    Returns:
        The row, with the place of the audio in the shard.

    Raises:
        UtteranceError: if its name is too long for the output.
    """
    output = job.config.output
    place = attempt.sink.add(escape(row.key), output.codec, encoded, sidecar(row, output.sidecar))
    return dataclasses.replace(row, shard=place.shard, member=place.member, offset=place.offset, bytes=place.bytes)
