"""How runs went that have ended, for people: why they made shards, how much, and what they had to begin again.

The driver writes one small object at the end of each run that had something to do, and of each part of a job. Nothing
is decided by it: a run never reads it, and one that cannot write it continues. A run that was killed has none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.events import Reason
from pipeline.events.tally import Amount
from pipeline.output.layout import RUNS
from pipeline.output.totals import Totals
from pipeline.storage import Storage

RUN_RECORD_VERSION = 1
MOST_RETRIES = 200
"""Number of retries that are written down; the others are counted."""
MOST_REASONS = 50

Outcome = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class Retry:
    """A shard whose worker was lost.

    Args:
        seconds: time since the run began [s].
        shard: number of the shard.
        reason: text that says what happened to it, and what was done.
        abandoned: whether it was given up.
    """

    seconds: float
    shard: int
    reason: str
    abandoned: bool


@dataclass(frozen=True)
class RunRecord:
    """How a run went, or a part of a job.

    Args:
        run_id: identifier of the run.
        outcome: how it ended.
        started: time when it began, UTC, ISO 8601.
        elapsed: wall-clock time that it took [s].
        planned: the work that it was to do.
        done: the work that it committed.
        failed: number of utterances that it quarantined.
        texts_changed: number of utterances whose metadata had changed.
        repacked: number of shards that it was to copy, since only texts had changed.
        reasons: why it made shards, the most common reason first, at most MOST_REASONS.
        retries: shards that lost their worker, at most MOST_RETRIES.
        retries_total: number of times that a shard lost its worker.
        before: totals of the publication before; None if there was none.
        part: index and number of parts, `2/8`, if this is a part of a job; empty for a whole run.
    """

    run_id: str
    outcome: Outcome
    started: str
    elapsed: float
    planned: Amount
    done: Amount
    failed: int
    texts_changed: int
    repacked: int
    reasons: tuple[Reason, ...]
    retries: tuple[Retry, ...]
    retries_total: int
    before: Totals | None
    part: str = ""

    def to_json(self) -> bytes:
        """The record as it is stored."""
        return (json.dumps({"version": RUN_RECORD_VERSION, **dataclasses.asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> RunRecord:
        """The record that `to_json` wrote. ValueError if it is not valid, or has another version."""
        try:
            plain = json.loads(text)
            if plain.pop("version") != RUN_RECORD_VERSION or plain["outcome"] not in get_args(Outcome):
                raise ValueError("it has a version or an outcome that no run writes")
            parsed: Mapping[str, Any] = {
                "planned": Amount(**plain["planned"]),
                "done": Amount(**plain["done"]),
                "reasons": tuple(Reason(**{**each, "first": tuple(each["first"])}) for each in plain["reasons"]),
                "retries": tuple(Retry(**each) for each in plain["retries"]),
                "before": Totals(**plain["before"]) if plain["before"] is not None else None,
            }
            return cls(**{**plain, **parsed})
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not the record of a run: {error!r}") from error


def run_records(storage: Storage) -> Iterator[RunRecord]:
    """The records of an output's runs, by the second in which they began. Those that cannot be read are left out.

    Raises:
        StorageError: if storage fails.
    """
    for name in storage.list(RUNS):
        with contextlib.suppress(FileNotFoundError, ValueError), storage.read(name) as file:
            yield RunRecord.from_json(file.read())
