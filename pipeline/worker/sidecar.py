"""The JSON file beside an utterance's audio, and how both get into a shard."""

from __future__ import annotations

import dataclasses
import json
from typing import IO

from pipeline.audio.member_names import escape
from pipeline.config import Job
from pipeline.output.records import Row
from pipeline.worker.attempt import Attempt


def sidecar(row: Row) -> bytes:
    """The JSON file of an utterance."""
    fields = {
        "key": row.key,
        "sample_rate": row.sample_rate,
        "num_samples": row.num_samples,
        "duration": row.duration,
        "meta": row.meta,
    }
    return json.dumps(fields).encode()


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
    place = attempt.sink.add(escape(row.key), job.config.output.codec, encoded, sidecar(row))
    return dataclasses.replace(row, **dataclasses.asdict(place))
