"""How far a run is, or how it ended, read from storage alone. The driver writes it, and any process may read it.

While a run is at work, its driver replaces one small object every few seconds. Nothing is decided by it: a run never
reads it, a run that cannot write it continues, and the times in it are for people.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pipeline.errors import ConfigError
from pipeline.events.tally import Amount
from pipeline.output.exports import ExportState, export_states
from pipeline.output.layout import MANIFEST, PARQUET, PARTS, STATUS
from pipeline.output.ledger import Ledger
from pipeline.output.superseded import NOTHING, Superseded, superseded_beside
from pipeline.storage import NO_OPTIONS, Storage, exists, open_storage

STATUS_VERSION = 1
WRITE_SECONDS = 5.0
"""Time between two writings [s]. Each takes 10 to 20 ms on a disk, in a thread of its own."""
SILENCE_SECONDS = 12 * WRITE_SECONDS
"""Time without a sign of life [s] after which a run on another machine is shown as silent."""

_LOOKS = 5

Told = Literal["running", "finished", "interrupted", "failed"]
State = Literal["running", "finished", "interrupted", "failed", "killed", "silent", "unknown"]


@dataclass(frozen=True)
class RunStatus:
    """What the driver of a run wrote last.

    Args:
        state: running, or how the run ended.
        run_id: identifier of the run.
        host: name of the machine that the driver runs on.
        process: number of the driver's process on that machine.
        started: time when the run began, UTC, ISO 8601.
        written: time when this was written: the run's last sign of life.
        progressed: time when the driver last heard that something was made.
        planned: the work that the run is to do.
        done: the work that it has committed.
        in_flight: the work done on shards that are not committed; zero once the run has ended.
        failed: number of utterances that this run quarantined.
        speed: seconds of audio made per second, since the run began.
        left: time until the rest is made at this speed [s]; None while nothing is made.
        error: message of the error that ended the run; empty if none did.
        part: index and number of parts, `2/8`, if this is a part of a job; empty for a whole run.
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
            ValueError: if it is not valid, or has another version.
        """
        try:
            plain = json.loads(text)
            if plain.pop("version") != STATUS_VERSION:
                raise ValueError("it has another version")
            if plain["state"] not in get_args(Told) or datetime.fromisoformat(plain["written"]).tzinfo is None:
                raise ValueError("it has a state or a time that no run writes")
            amounts = {name: Amount(**plain[name]) for name in ("planned", "done", "in_flight")}
            return cls(**{**plain, **amounts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a status: {error!r}") from error


@dataclass(frozen=True)
class Holding:
    """What a manifest holds.

    Args:
        utterances: number of rows in manifest.jsonl.
        failed: number of rows in failures.jsonl.
        seconds: duration of the audio [s].
    """

    utterances: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Status:
    """What this process can see of an output.

    Args:
        output: URL or path of the output.
        state: `running`; `finished`, `interrupted` or `failed`, as the run wrote at its end; `killed`: the run ended
            without writing so, as the output's lock shows; `silent`: a run on a machine whose locks cannot be seen here
            has written nothing for a minute; `unknown`: no run has written a status that can be read.
        holder: process that works on the output now, a run or gc; None if nobody does, as far as this process can see.
        age: time since the last sign of life, by the clocks of both machines [s]; None if there was none.
        run: status that the last run wrote, or None.
        manifest: totals of the manifest, as it was published; None if there is no manifest.
        parts: statuses of the parts of a job, if it is not published yet. Then `state` is that of all of them together,
            and `run` is the part that wrote last.
        superseded: shards that lie beside the current ones until `gc` deletes them.
        manifests: names of the files that hold the manifest: manifest.jsonl, and manifest.parquet if it was asked for.
        exports: exports that were made of it, and whether they are of the manifest of now.
    """

    output: str
    state: State
    holder: str | None
    age: float | None
    run: RunStatus | None
    manifest: Holding | None
    parts: tuple[RunStatus, ...] = ()
    superseded: Superseded = NOTHING
    manifests: tuple[str, ...] = ()
    exports: tuple[ExportState, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The status as plain JSON values, for dashboards. Names and meanings change only with `version`.

        version   1
        output, state, holder, age, manifest {utterances, failed, seconds}    as here
        run       {state, run_id, host, process, started, written, progressed, planned, done, in_flight, failed,
                  speed, left, error, part}, as in RunStatus; the three amounts are {shards, utterances, seconds}
        parts     [run, ...], one for each part of a job in parts; empty once the job is published
        superseded   {shards, bytes}
        manifests    [name, ...]
        exports   [{note: {format, target, host, made, manifest, files}, age}, ...]
        """
        return {"version": STATUS_VERSION, **dataclasses.asdict(self)}


def read_status(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> Status:
    """How far the run on an output is, or how the last one ended. Takes no lock and writes nothing.

    Args:
        url: URL or path of the output.
        options: options for the client of an object store.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
    """
    ledger = Ledger(open_storage(url, options))
    storage = ledger.storage
    told, holder = _told(storage), storage.holder()
    for _ in range(_LOOKS):  # so that the status is not older than what the lock says, unless it changes all the time
        if told == (again := _told(storage)):
            break
        told, holder = again, storage.holder()
    if not told and holder is None:
        ledger.existing_job()
    newest = max(told, key=lambda each: each.written, default=None)
    age = _age(newest) if newest is not None else None
    manifests = _manifests(ledger)
    manifest = _holding(ledger) if manifests else None
    parts = tuple(each for each in told if each.part)
    state = _state_of_parts(parts, holder) if parts else _state(newest, holder, age)
    beside, exports = superseded_beside(ledger), export_states(ledger)
    return Status(storage.url, state, holder, age, newest, manifest, parts, beside, manifests, exports)


def _manifests(ledger: Ledger) -> tuple[str, ...]:
    """The names of the files that hold the manifest. A manifest.parquet of others is not one of them."""
    if not exists(ledger.storage, MANIFEST):
        return ()
    publication = ledger.publication()
    published = {each.name for each in publication.files} if publication is not None else set()
    return (MANIFEST, *({PARQUET} & published))


def _holding(ledger: Ledger) -> Holding | None:
    if (publication := ledger.publication()) is not None:
        totals = publication.totals
        return Holding(totals.utterances, totals.failed, totals.seconds)
    with contextlib.suppress(ConfigError):  # published.json is lost or damaged; job.json has the same counts
        if (counts := ledger.existing_job().get("counts")) is not None:
            return Holding(counts["utterances"], counts["failed"], counts["seconds"])
    return None


def _told(storage: Storage) -> list[RunStatus]:
    """What the parts of a job wrote; if there are none, what the last run wrote."""
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
        return "killed"  # the lock is free, or another run has it
    return "silent" if age is not None and age > SILENCE_SECONDS else "running"


def _state_of_parts(parts: Sequence[RunStatus], holder: str | None) -> State:
    """The state of all parts together: running as long as one of them is."""
    running = [each for each in parts if each.state == "running"]
    if not running:
        return "failed" if any(each.state == "failed" for each in parts) else "interrupted"
    if holder is None and all(each.host == socket.gethostname() for each in running):
        return "killed"
    return "running" if min(map(_age, running)) <= SILENCE_SECONDS else "silent"
