"""One shard: its commit record, its rows and failures as they are published, its objects, its audio."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import IO

import soundfile

from pipeline.audio.encode import decoded_pcm_sha256
from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.output.audit.findings import Checked, Finding, FindingKind, ShardVerified
from pipeline.output.commit_format import Commit
from pipeline.output.layout import FAILURES, MANIFEST, commit_path
from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication
from pipeline.output.published_rows import last_part
from pipeline.output.records import Failure, Row, StoredObject
from pipeline.output.stored_objects import damage

_DECODING = (soundfile.LibsndfileError, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError)
"""Errors that damaged audio raises, also through soundfile's callbacks."""
NOT_A_LINE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""Errors that a line raises which is not one of a list."""


def publish_again(name: str) -> str:
    """What to do if a list is not as it was published."""
    return f"Delete {name}, then run again to publish it again"


@dataclass(frozen=True)
class ShardLines:
    """The lines of one shard, as manifest.jsonl has them.

    Args:
        name: name of the shard's commit.
        lines: number of each line in the manifest, and the line with its end.
    """

    name: str
    lines: tuple[tuple[int, bytes], ...]

    def rows(self) -> tuple[tuple[Row, ...], list[Finding]]:
        """The rows, and a finding for each line that is not one."""
        rows, findings = [], []
        for number, line in self.lines:
            try:
                rows.append(Row.from_dict(json.loads(line)))
            except NOT_A_LINE as error:
                findings.append(unreadable_line(MANIFEST, number, error))
        return tuple(rows), findings


def unreadable_line(name: str, number: int, error: Exception) -> Finding:
    """The finding that a line of a list is not valid."""
    return Finding("corrupt", name, f"line {number} cannot be read: {error!r}. {publish_again(name)}")


def check_published(ledger: Ledger, shard: ShardLines, metadata: str | None) -> Checked:
    """Check a shard that the manifest names. Its rows are parsed only if their lines are not those of the commit.

    Args:
        ledger: ledger of the output.
        shard: the shard's rows in the manifest.
        metadata: digest of the metadata that the manifest was published with; None if it is not known.
    """
    commit, findings = read_commit(ledger, shard.name, f"{len(shard.lines)} rows of {MANIFEST} belong to it")
    if commit is None:
        rows, bad = shard.rows()
        return ShardVerified(shard.name, len(rows), 0.0, len(findings)), bad + findings
    made = len(shard.lines)
    if commit.ready_lines() != b"".join(line for _, line in shard.lines):
        rows, bad = shard.rows()
        made, wanted = len(rows), commit.record.rows
        if commit.head.metadata != metadata:  # the manifest has newer metadata; the digest of the list protects it
            rows, wanted = _without_meta(rows), _without_meta(wanted)
        findings += [*bad, *_compare(MANIFEST, shard.name, rows, wanted)]
    findings += ShardCheck(ledger, commit).check()
    return ShardVerified(shard.name, made, commit.sums.seconds, len(findings)), findings


def check_failures(ledger: Ledger, name: str, failures: tuple[Failure, ...]) -> list[Finding]:
    """Check the failures of one shard, as failures.jsonl has them."""
    commit, findings = read_commit(ledger, name, f"{len(failures)} rows of {FAILURES} belong to it")
    if commit is not None:
        wanted = tuple(replace(failure, shard=name) for failure in commit.failures())
        findings += _compare(FAILURES, name, failures, wanted)
    return findings


@dataclass(frozen=True)
class Unpublished:
    """A committed shard that the manifest does not name: not yet published, superseded, or without audio.

    Args:
        name: name of its commit.
        superseded: whether the last publication names it among the superseded, so that its record may be gone.
        superseded_before: generation of the run that published last, if the publication does not consist of this shard,
            which is superseded if it was made before; None if it does, or if nothing is known of a publication.
    """

    name: str
    superseded: bool
    superseded_before: int | None

    @classmethod
    def of(cls, name: str, publication: Publication | None) -> Unpublished:
        """The shard of a commit, given what was published last; None if that is not known."""
        if publication is None:
            return cls(name, False, None)
        published = not publication.supersedes(name, publication.generation - 1)
        return cls(name, name in (publication.superseded or {}), None if published else publication.generation)


def check_unpublished(ledger: Ledger, shard: Unpublished) -> Checked:
    """Check a committed shard that the manifest does not name."""
    commit, findings = read_commit(ledger, shard.name, superseded=shard.superseded)
    if commit is None:
        return ShardVerified(shard.name, 0, 0.0, len(findings)), findings
    before = shard.superseded_before
    superseded = before is not None and commit.head.generation < before
    findings += ShardCheck(ledger, commit, superseded).check()
    return ShardVerified(shard.name, commit.head.made, commit.sums.seconds, len(findings)), findings


def read_commit(
    ledger: Ledger, name: str, needed: str = "", superseded: bool = False
) -> tuple[Commit | None, list[Finding]]:
    """A commit as it is stored, or None and what is wrong with its record.

    Args:
        ledger: ledger of the output.
        name: name of the commit.
        needed: text that says what needs the record.
        superseded: whether the shard is superseded; then the record may be gone.

    Raises:
        StorageError: if storage fails.
    """
    try:
        return ledger.parsed_commit(name), []
    except (LostRecordError, DamagedRecordError) as error:
        gone = superseded and isinstance(error, LostRecordError)
        return None, [] if gone else [bad_record(ledger, name, error, needed, superseded)]


def bad_record(
    ledger: Ledger, name: str, error: LostRecordError | DamagedRecordError, needed: str = "", superseded: bool = False
) -> Finding:
    """The finding that a commit record is not there, or damaged. The arguments are those of `read_commit`."""
    path, what = commit_path(name), str(error)
    if isinstance(error, LostRecordError):
        return Finding("missing", path, f"{needed}: {what}" if needed else what)
    if superseded:
        what = f"it cannot be read: {error.__cause__}. Delete {path}. {_superseded(ledger)}"
    return Finding("corrupt", path, what, superseded=superseded)


def _superseded(ledger: Ledger) -> str:
    """What to do about a damaged shard that no run makes again."""
    return f"Its shard is superseded, so no run makes it again: melmill gc {ledger.storage.url} --yes deletes it"


def _compare(
    published: str, name: str, found: tuple[Row | Failure, ...], wanted: tuple[Row | Failure, ...]
) -> Iterator[Finding]:
    found, wanted = (tuple(map(_with_store_name, rows)) for rows in (found, wanted))
    if found == wanted:
        return
    committed = {row.key: row for row in wanted}
    there, remedy = f"the commit record {name}", publish_again(published)
    for row in found:
        if committed.pop(row.key, None) != row:
            yield Finding("corrupt", f"{published}: {row.key}", f"its row differs from {there}. {remedy}")
    for key in committed:
        yield Finding("corrupt", f"{published}: {key}", f"it is in {there} but has no row. {remedy}")
    if len(found) == len(wanted):
        yield Finding("corrupt", published, f"its rows differ from {there}. {remedy}")


def _with_store_name(row: Row | Failure) -> Row | Failure:
    """The row as a list has it that names the store alone. Commit records have its whole URL."""
    return replace(row, source=replace(row.source, store=last_part(row.source.store)))


def _without_meta(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(replace(row, meta={}) for row in rows)


@dataclass(frozen=True)
class ShardCheck:
    """A committed shard whose objects and audio are checked.

    Args:
        ledger: ledger of the output.
        commit: the commit, as it is stored.
        superseded: whether the shard is superseded.
    """

    ledger: Ledger
    commit: Commit
    superseded: bool = False

    def check(self) -> Iterator[Finding]:
        """Read all objects, compare them with their digests, and decode the audio of all rows."""
        yield from self._check_objects()
        yield from self.check_audio(self.commit.record.rows)

    def _find(self, kind: FindingKind, name: str, what: str) -> Finding:
        return Finding(kind, name, what, self.commit.head.name, self.superseded)

    def _remedy(self, damaged: str | None = None) -> str:
        """What to do if an object is damaged or lost."""
        if self.superseded:
            return _superseded(self.ledger)
        delete = f"{damaged} and " if damaged else ""
        return f"Delete {delete}{commit_path(self.commit.head.name)}, then run again to have the shard made again"

    def _check_objects(self) -> Iterator[Finding]:
        for wanted in self.commit.objects:
            try:
                what = damage(self.ledger.storage, wanted)
            except FileNotFoundError:
                yield self.missing(wanted)
                continue
            if what is not None:
                yield self._find("corrupt", wanted.name, f"{what}. {self._remedy(wanted.name)}")

    def missing(self, wanted: StoredObject) -> Finding:
        """The finding that an object is not there."""
        return self._find("missing", wanted.name, f"it should hold {wanted.bytes} bytes. {self._remedy()}")

    def check_audio(self, rows: Iterable[Row]) -> Iterator[Finding]:
        """Decode the audio of rows, and compare it with them. An object that is not there is not a finding here."""
        known = {each.name for each in self.commit.objects}
        for name, of_object in groupby(rows, key=lambda row: row.object_name):
            if name not in known:
                for row in of_object:
                    what = f"its row of {row.key!r} names {name}, which is not one of its objects. {self._remedy()}"
                    yield self._find("corrupt", commit_path(self.commit.head.name), what)
                continue
            with contextlib.suppress(FileNotFoundError), self.ledger.storage.read(name) as file:
                for row in of_object:
                    if (wrong := _damaged_audio(file, row)) is not None:
                        yield self._find("corrupt", f"{name}: {row.key}", wrong)


def _damaged_audio(file: IO[bytes], row: Row) -> str | None:
    """What is wrong with the audio of a row, as text; None if it is whole."""
    try:
        file.seek(row.offset)
        found = decoded_pcm_sha256(io.BytesIO(file.read(row.bytes)), row.subtype)
    except FileNotFoundError:
        raise
    except _DECODING as error:
        return f"its audio does not decode: {_reason(error)}"
    if found == (row.pcm_sha256, row.num_samples):
        return None
    return (
        f"it decodes to {found[1]} samples with PCM digest {found[0][:16]}..., its commit record says "
        f"{row.num_samples} samples, {row.pcm_sha256[:16]}..."
    )


def _reason(error: Exception) -> str:
    """What is wrong. Errors of libsndfile name a file object, which is left out."""
    return error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
