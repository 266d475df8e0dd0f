"""verify: read an output again, all of it, and hold it against its manifest and its commit records."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import soundfile

from pipeline.errors import ConfigError, StorageError
from pipeline.events import Event, Listener
from pipeline.ledger import COMMITS, FAILURES, JOB, MANIFEST, Ledger
from pipeline.records import Failure, Row, ShardRecord
from pipeline.sinks.encode import decoded_pcm_sha256
from pipeline.storage import PRIVATE, Storage, open_storage

FindingKind = Literal["missing", "corrupt", "unexpected"]

EXIT_CODES: dict[FindingKind, int] = {"corrupt": 11, "missing": 10, "unexpected": 12}
"""The exit code of each kind, the gravest first: an output with several kinds gets the first."""

_SHARD_OF_OBJECT = re.compile(r"data/(\d{6,}-[0-9a-f]{8})(?:-[0-9a-f]{8})?(?:\.tar|/|$)")


_PUBLISH = f"Delete {MANIFEST}, then run again to publish it anew"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        kind: missing, corrupt or unexpected.
        name: of the object, or of the utterance in it.
        what: is wrong, in words.
    """

    kind: FindingKind
    name: str
    what: str


@dataclass(frozen=True)
class ShardVerified(Event):
    """A shard was read again.

    Args:
        name: of its commit.
        utterances: in it.
        seconds: of audio in it.
        findings: in it.
    """

    name: str
    utterances: int
    seconds: float
    findings: int


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Args:
        utterances: rows in the manifest that were read again.
        failed: rows in failures.jsonl.
        seconds: of audio decoded.
        findings: all that is wrong; empty if the output is whole.
    """

    utterances: int
    failed: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 whole, 10 something is missing, 11 corrupt, 12 there is something unexpected; the gravest counts."""
        kinds = {finding.kind for finding in self.findings}
        return next((code for kind, code in EXIT_CODES.items() if kind in kinds), 0)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**dataclasses.asdict(self), "exit_code": self.exit_code}


def verify(url: str, listener: Listener = lambda event: None) -> VerifyReport:
    """Read every object of an output again: sizes, digests, PCM, the manifest against the commits, nothing besides.

    What is committed but not in the manifest (before the first publication, or superseded) is read all the same.

    Args:
        url: of the output.
        listener: is told of each shard.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
    """
    ledger = Ledger(open_storage(url))
    findings: list[Finding] = []
    described = _described(ledger, url, findings)
    rows = _lines(ledger.storage, MANIFEST, Row, findings)
    failures = sum(1 for _ in _lines(ledger.storage, FAILURES, Failure, findings))
    shards = groupby(rows, key=lambda row: _commit_name(row.shard))
    seen: set[str] = set()
    utterances, seconds = 0, 0.0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = ((name or "", tuple(group)) for name, group in shards)
        for checked in pool.map(lambda job: _check_shard(ledger, *job), jobs):
            event, found = checked
            if event.name in seen:
                found.append(Finding("corrupt", MANIFEST, f"the rows of shard {event.name} do not stand together"))
            seen.add(event.name)
            findings += found
            utterances += event.utterances
            seconds += event.seconds
            listener(event)
        stale = ledger.stale()  # made again since: what is left of it is nobody's
        unread = (name for name in ledger.commit_names() if name not in seen and name not in stale)
        for event, found in pool.map(lambda name: _check_unpublished(ledger, name), unread):
            findings += found
            listener(event)
    lost = {finding.name for finding in findings if finding.kind == "missing"}
    findings += _check_counts(described, utterances, failures, lost)
    findings += _check_names(ledger)
    return VerifyReport(utterances, failures, seconds, tuple(findings))


def _described(ledger: Ledger, url: str, findings: list[Finding]) -> dict[str, Any]:
    """What job.json says, empty if it cannot be read but there are commits: then that is a finding."""
    try:
        described = ledger.job()
    except ConfigError as error:
        if not ledger.commit_names():
            raise
        findings.append(Finding("corrupt", JOB, str(error)))
        return {}
    if described is None:
        raise ConfigError(f"{url} holds no melmill output: there is no {JOB}. Give the folder that a run wrote to")
    if JOB not in ledger.storage.list(""):
        findings.append(Finding("missing", JOB, "it is not there; run the job again to have it written anew"))
    return described


def _lines(storage: Storage, name: str, kind: type[Row] | type[Failure], findings: list[Finding]) -> Iterator[Any]:
    try:
        with storage.read(name) as file:
            for number, line in enumerate(file, 1):
                try:
                    yield kind.from_dict(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    findings.append(Finding("corrupt", name, f"line {number} cannot be read: {error!r}. {_PUBLISH}"))
    except FileNotFoundError:
        findings.append(Finding("missing", name, "it is not there; run the job again to publish it"))


def _commit_name(shard: str) -> str | None:
    match = _SHARD_OF_OBJECT.match(str(shard))
    return match[1] if match else None


def _check_shard(ledger: Ledger, name: str, rows: tuple[Row, ...]) -> tuple[ShardVerified, list[Finding]]:
    findings: list[Finding] = []
    try:
        record = ledger.commit_record(name)
    except StorageError as error:
        what = f"its rows in {MANIFEST} have no commit record: {error}. If that changes nothing: {_PUBLISH}"
        findings.append(Finding("missing", rows[0].shard, what))
    else:
        findings += _check_rows(record, rows)
        findings += _check_objects(ledger.storage, record)
        findings += _check_audio(ledger.storage, record, rows, _PUBLISH)
    event = ShardVerified(name, len(rows), sum(row.duration for row in rows), len(findings))
    return event, findings


def _check_unpublished(ledger: Ledger, name: str) -> tuple[ShardVerified, list[Finding]]:
    """A committed shard that the manifest does not name. A record that cannot be read is found by `_check_names`."""
    findings: list[Finding] = []
    try:
        record = ledger.commit_record(name)
    except StorageError:
        return ShardVerified(name, 0, 0.0, 0), findings
    findings += _check_objects(ledger.storage, record)
    findings += _check_audio(ledger.storage, record, record.rows, _remake(record))
    return ShardVerified(name, len(record.rows), record.seconds, len(findings)), findings


def _remake(record: ShardRecord, damaged: str | None = None) -> str:
    """What to do about a shard that is damaged or lost."""
    delete = f"{damaged} and " if damaged else ""
    return f"Delete {delete}{COMMITS}/{record.name}.json, then run again to have the shard made anew"


def _check_rows(record: ShardRecord, rows: tuple[Row, ...]) -> Iterator[Finding]:
    if rows == record.rows:
        return
    committed = {row.key: row for row in record.rows}
    there = f"the commit record {record.name}"
    for row in rows:
        if committed.pop(row.key, None) != row:
            yield Finding("corrupt", f"{MANIFEST}: {row.key}", f"its row differs from {there}. {_PUBLISH}")
    for key in committed:
        yield Finding("missing", f"{MANIFEST}: {key}", f"it is in {there} but has no row. {_PUBLISH}")
    if len(rows) == len(record.rows):
        yield Finding("corrupt", MANIFEST, f"its rows differ from {there}. {_PUBLISH}")


def _check_objects(storage: Storage, record: ShardRecord) -> Iterator[Finding]:
    for wanted in record.objects:
        try:
            with storage.read(wanted.name) as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except FileNotFoundError:
            yield Finding("missing", wanted.name, f"it should hold {wanted.bytes} bytes. {_remake(record)}")
            continue
        remedy = _remake(record, wanted.name)
        if size != wanted.bytes:
            yield Finding("corrupt", wanted.name, f"it holds {size} bytes and should hold {wanted.bytes}. {remedy}")
        elif sha256 != wanted.sha256:
            yield Finding("corrupt", wanted.name, f"its sha256 is {sha256}, should be {wanted.sha256}. {remedy}")


def _check_audio(storage: Storage, record: ShardRecord, rows: Iterable[Row], remedy: str) -> Iterator[Finding]:
    """The rows' audio, decoded. `remedy` is for rows that fit no object; what objects lack is found before."""
    known = {each.name for each in record.objects}
    for row in rows:
        name = row.shard if row.shard.endswith(".tar") else f"{row.shard}/{row.member}"
        if name not in known:
            what = f"the commit record {record.name} has no object {name}. {remedy}"
            yield Finding("corrupt", f"{MANIFEST}: {row.key}", what)
            continue
        try:
            with storage.read(name) as file:
                file.seek(row.offset)
                found = decoded_pcm_sha256(io.BytesIO(file.read(row.bytes)), row.subtype)
        except FileNotFoundError:
            continue  # reported with its object
        except (
            soundfile.LibsndfileError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
            MemoryError,
            OverflowError,
        ) as error:
            yield Finding("corrupt", f"{name}: {row.key}", f"its audio does not decode: {_reason(error)}")
            continue
        if found != (row.pcm_sha256, row.num_samples):
            yield Finding(
                "corrupt",
                f"{name}: {row.key}",
                f"it decodes to {found[1]} samples with PCM digest {found[0][:16]}..., the manifest says "
                f"{row.num_samples} samples, {row.pcm_sha256[:16]}...",
            )


def _reason(error: Exception) -> str:
    """What is wrong, without the file object that libsndfile's errors name."""
    return error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)


def _check_counts(described: dict[str, Any], utterances: int, failures: int, lost: set[str]) -> Iterator[Finding]:
    counts = described.get("counts")
    if counts is None:
        return  # a run is going on, or was stopped before it published
    for name, wanted, found in (
        (MANIFEST, counts.get("utterances"), utterances),
        (FAILURES, counts.get("failed"), failures),
    ):
        if wanted != found and name not in lost:
            yield Finding("corrupt", name, f"it has {found} good lines, {JOB} counts {wanted}. {_PUBLISH}")


def _check_names(ledger: Ledger) -> Iterator[Finding]:
    known = {MANIFEST, FAILURES, JOB}
    for name in ledger.commit_names():
        try:
            known |= {each.name for each in ledger.commit_record(name).objects}
        except StorageError as error:
            yield Finding("corrupt", f"{COMMITS}/{name}.json", str(error))
    for name in ledger.storage.list(""):
        if name not in known and not name.startswith(f"{PRIVATE}/"):
            yield Finding("unexpected", name, "no commit record names it. Delete it, unless a run is going on")
