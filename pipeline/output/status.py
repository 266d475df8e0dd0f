"""How far a run is, or how it ended, from storage alone: the driver writes it down, anyone reads it.

While a run goes on, the driver replaces one small object every few seconds. It decides nothing: a run never reads it, a
run that cannot write it goes on, and all times in it are for people.
"""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pipeline.events.tally import Amount
from pipeline.output.layout import MANIFEST, PARTS, STATUS
from pipeline.output.ledger import Ledger
from pipeline.storage import NO_OPTIONS, Storage, exists, open_storage

STATUS_VERSION = 1
WRITE_SECONDS = 5.0
"""Between two writings. One takes 10 to 20 ms on a disk, in a thread of its own."""
SILENCE_SECONDS = 12 * WRITE_SECONDS
"""After these, a run that cannot be asked is shown as silent."""

_LOOKS = 5

Told = Literal["running", "finished", "interrupted", "failed"]
State = Literal["running", "finished", "interrupted", "failed", "killed", "silent", "unknown"]


@dataclass(frozen=True)
class RunStatus:
    """What the driver of a run told last.

    Args:
        state: running, or how it ended.
        run_id: of the run.
        host: that the driver runs on.
        process: number of the driver's process there.
        started: when the run began, UTC, ISO 8601.
        written: when this was written, the run's last sign of life.
        progressed: when the driver last heard that something was made.
        planned: what the run is to make.
        done: what it has committed.
        in_flight: what workers have made of shards that are not committed; nothing once the run ended.
        failed: utterances quarantined by this run.
        speed: seconds of audio made in a second, since the run began.
        left: seconds until the rest is made, at this speed; None while nothing is made.
        error: that ended the run, in words; empty if none did.
        part: of a job in parts, `2/8`; empty for a whole run.
    """

    state: Told
    run_id: str
    host: str
    process: int
    started: str
    written: str
    progressed: str
    planned: Amount
    done: Amount
    in_flight: Amount
    failed: int
    speed: float
    left: float | None
    error: str
    part: str = ""

    def to_json(self) -> bytes:
        """The status as it is stored."""
        return (json.dumps({"version": STATUS_VERSION, **dataclasses.asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> RunStatus:
        """The status that `to_json` wrote.

        Raises:
            ValueError: if it is none, or of another version.
        """
        try:
            plain = json.loads(text)
            if plain.pop("version") != STATUS_VERSION:
                raise ValueError("of another version")
            if plain["state"] not in get_args(Told) or datetime.fromisoformat(plain["written"]).tzinfo is None:
                raise ValueError("not as a run tells it")
            amounts = {name: Amount(**plain[name]) for name in ("planned", "done", "in_flight")}
            return cls(**{**plain, **amounts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a status: {error!r}") from error


@dataclass(frozen=True)
class Holding:
    """What a manifest holds.

    Args:
        utterances: rows in manifest.jsonl.
        failed: rows in failures.jsonl.
        seconds: of audio.
    """

    utterances: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Status:
    """What can be seen of an output from here.

    Args:
        output: its URL.
        state: `running`; `finished`, `interrupted` or `failed`, as the run told at its end; `killed`: it ended without
            a word, as the output's lock shows; `silent`: it has told nothing for a minute, from a machine whose locks
            cannot be seen here; `unknown`: no run has told anything that can be read.
        holder: who works on the output now, a run or gc, in its own words; None if nobody, as far as can be seen.
        age: seconds since the last sign of life, by the clocks of both machines; None if there was none.
        run: what the last run told, or None.
        manifest: what the manifest holds, as it was published; None if it is not there.
        parts: what the parts of a job told that is not published yet; `state` is that of all of them then, and `run`
            the one that told something last.
    """

    output: str
    state: State
    holder: str | None
    age: float | None
    run: RunStatus | None
    manifest: Holding | None
    parts: tuple[RunStatus, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The status as plain JSON values, for dashboards; names and meanings change with `version` only.

        version   1
        output, state, holder, age, manifest {utterances, failed, seconds}    as here
        run       {state, run_id, host, process, started, written, progressed, planned, done, in_flight, failed,
                  speed, left, error, part}, as in RunStatus; the three amounts are {shards, utterances, seconds}
        parts     [run, ...], one for each part of a job in parts; empty once it is published
        """
        return {"version": STATUS_VERSION, **dataclasses.asdict(self)}


def read_status(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> Status:
    """How far the run on an output is, or how the last one ended. Takes no lock and writes nothing.

    Args:
        url: of the output.
        options: for the client of an object store.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
    """
    ledger = Ledger(open_storage(url, options))
    storage = ledger.storage
    told, holder = _told(storage), storage.holder()
    for _ in range(_LOOKS):  # so that what was told is not older than the answer of the lock, unless it changes always
        if told == (again := _told(storage)):
            break
        told, holder = again, storage.holder()
    if not told and holder is None:
        ledger.existing_job()
    newest = max(told, key=lambda each: each.written, default=None)
    age = _age(newest) if newest is not None else None
    publication = ledger.publication()
    totals = publication.totals if publication is not None and exists(storage, MANIFEST) else None
    manifest = Holding(totals.utterances, totals.failed, totals.seconds) if totals is not None else None
    parts = tuple(each for each in told if each.part)
    state = _state_of_parts(parts, holder) if parts else _state(newest, holder, age)
    return Status(storage.url, state, holder, age, newest, manifest, parts)


def _told(storage: Storage) -> list[RunStatus]:
    """What the parts of a job tell; if there are none, what the last run told."""
    parts = [told for name in storage.list(PARTS) if (told := _read(storage, name)) is not None]
    whole = _read(storage, STATUS)
    return parts or ([whole] if whole is not None else [])


def _read(storage: Storage, name: str) -> RunStatus | None:
    try:
        with storage.read(name) as file:
            return RunStatus.from_json(file.read())
    except (FileNotFoundError, ValueError):
        return None


def _age(told: RunStatus) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(told.written)).total_seconds())


def _state(told: RunStatus | None, holder: str | None, age: float | None) -> State:
    if told is None:
        return "unknown"
    if told.state != "running" or (holder is not None and told.run_id in holder):
        return told.state
    if holder is not None or told.host == socket.gethostname():
        return "killed"  # the lock is free, or another's
    return "silent" if age is not None and age > SILENCE_SECONDS else "running"


def _state_of_parts(parts: Sequence[RunStatus], holder: str | None) -> State:
    """What becomes of parts together: running as long as one of them is."""
    running = [each for each in parts if each.state == "running"]
    if not running:
        return "failed" if any(each.state == "failed" for each in parts) else "interrupted"
    if holder is None and all(each.host == socket.gethostname() for each in running):
        return "killed"
    return "running" if min(map(_age, running)) <= SILENCE_SECONDS else "silent"
