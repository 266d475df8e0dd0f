"""One shard: its commit record, its rows and failures as they are published, its objects, its audio."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import soundfile

from pipeline.audio.encode import decoded_pcm_sha256
from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.output.audit.findings import Finding, FindingKind, ShardVerified
from pipeline.output.layout import FAILURES, MANIFEST, commit_path
from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication
from pipeline.output.published_rows import last_part
from pipeline.output.records import Failure, Row, ShardRecord
from pipeline.output.stored_objects import damage

Checked = tuple[ShardVerified, list[Finding]]

_DECODING = (soundfile.LibsndfileError, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError)
"""Errors that damaged audio raises, also through soundfile's callbacks."""


def publish_again(name: str) -> str:
    """What to do if a list is not as it was published."""
    return f"Delete {name}, then run again to publish it again"


def check_published(ledger: Ledger, metadata: str | None, name: str, rows: tuple[Row, ...]) -> Checked:
    """Check a shard that the manifest names.

    Args:
        ledger: ledger of the output.
        metadata: digest of the metadata that the manifest was published with; None if it is not known.
        name: name of the shard's commit.
        rows: the shard's rows in the manifest.
    """
    record, findings = read_record(ledger, name, f"{len(rows)} rows of {MANIFEST} belong to it")
    if record is None:
        return ShardVerified(name, len(rows), 0.0, len(findings)), findings
    wanted = record.rows
    if record.metadata != metadata:  # the manifest has newer metadata, which the digest of the whole list protects
        rows, wanted = _without_meta(rows), _without_meta(wanted)
    findings += _compare(MANIFEST, record, rows, wanted)
    findings += _Shard(ledger, record).check()
    return ShardVerified(name, len(rows), record.seconds, len(findings)), findings


def check_failures(ledger: Ledger, name: str, failures: tuple[Failure, ...]) -> list[Finding]:
    """Check the failures of one shard, as failures.jsonl has them."""
    record, findings = read_record(ledger, name, f"{len(failures)} rows of {FAILURES} belong to it")
    if record is not None:
        findings += _compare(FAILURES, record, failures, tuple(replace(f, shard=name) for f in record.failures))
    return findings


def check_unpublished(ledger: Ledger, publication: Publication | None, name: str) -> Checked:
    """Check a committed shard that the manifest does not name: not yet published, superseded, or without audio.

    Args:
        ledger: ledger of the output.
        publication: what was published last; None if it is not known.
        name: name of the shard's commit.
    """
    known = publication.superseded if publication is not None else None
    record, findings = read_record(ledger, name, superseded=name in (known or {}))
    if record is None:
        return ShardVerified(name, 0, 0.0, len(findings)), findings
    superseded = publication is not None and publication.supersedes(name, record.generation)
    findings += _Shard(ledger, record, superseded).check()
    return ShardVerified(name, len(record.rows), record.seconds, len(findings)), findings


def read_record(
    ledger: Ledger, name: str, needed: str = "", superseded: bool = False
) -> tuple[ShardRecord | None, list[Finding]]:
    """A commit record, or None and what is wrong with it.

    Args:
        ledger: ledger of the output.
        name: name of the commit.
        needed: text that says what needs the record.
        superseded: whether the shard is superseded; then the record may be gone.

    Raises:
        StorageError: if storage fails.
    """
    try:
        return ledger.commit_record(name), []
    except LostRecordError as error:
        if superseded:
            return None, []
        return None, [Finding("missing", commit_path(name), f"{needed}: {error}" if needed else str(error))]
    except DamagedRecordError as error:
        path, what = commit_path(name), str(error)
        if superseded:
            what = f"it cannot be read: {error.__cause__}. Delete {path}. {_superseded(ledger)}"
        return None, [Finding("corrupt", path, what, superseded=superseded)]


def _superseded(ledger: Ledger) -> str:
    """What to do about a damaged shard that no run makes again."""
    return f"Its shard is superseded, so no run makes it again: melmill gc {ledger.storage.url} --yes deletes it"


def _compare(
    published: str, record: ShardRecord, found: tuple[Row | Failure, ...], wanted: tuple[Row | Failure, ...]
) -> Iterator[Finding]:
    found, wanted = (tuple(map(_with_store_name, rows)) for rows in (found, wanted))
    if found == wanted:
        return
    committed = {row.key: row for row in wanted}
    there, remedy = f"the commit record {record.name}", publish_again(published)
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
class _Shard:
    """A committed shard whose objects and audio are checked."""

    ledger: Ledger
    record: ShardRecord
    superseded: bool = False

    def check(self) -> Iterator[Finding]:
        yield from self._check_objects()
        yield from self._check_audio()

    def _find(self, kind: FindingKind, name: str, what: str) -> Finding:
        return Finding(kind, name, what, self.record.name, self.superseded)

    def _remedy(self, damaged: str | None = None) -> str:
        """What to do if an object is damaged or lost."""
        if self.superseded:
            return _superseded(self.ledger)
        delete = f"{damaged} and " if damaged else ""
        return f"Delete {delete}{commit_path(self.record.name)}, then run again to have the shard made again"

    def _check_objects(self) -> Iterator[Finding]:
        for wanted in self.record.objects:
            try:
                what = damage(self.ledger.storage, wanted)
            except FileNotFoundError:
                what = f"it should hold {wanted.bytes} bytes. {self._remedy()}"
                yield self._find("missing", wanted.name, what)
                continue
            if what is not None:
                yield self._find("corrupt", wanted.name, f"{what}. {self._remedy(wanted.name)}")

    def _check_audio(self) -> Iterator[Finding]:
        """Decode the audio of the record's rows, and compare it with them."""
        known = {each.name for each in self.record.objects}
        for row in self.record.rows:
            name = row.object_name
            if name not in known:
                what = f"its row of {row.key!r} names {name}, which is not one of its objects. {self._remedy()}"
                yield self._find("corrupt", commit_path(self.record.name), what)
                continue
            try:
                with self.ledger.storage.read(name) as file:
                    file.seek(row.offset)
                    found = decoded_pcm_sha256(io.BytesIO(file.read(row.bytes)), row.subtype)
            except FileNotFoundError:
                continue  # reported with its object
            except _DECODING as error:
                yield self._find("corrupt", f"{name}: {row.key}", f"its audio does not decode: {_reason(error)}")
                continue
            if found != (row.pcm_sha256, row.num_samples):
                yield self._find(
                    "corrupt",
                    f"{name}: {row.key}",
                    f"it decodes to {found[1]} samples with PCM digest {found[0][:16]}..., its commit record says "
                    f"{row.num_samples} samples, {row.pcm_sha256[:16]}...",
                )


def _reason(error: Exception) -> str:
    """What is wrong. Errors of libsndfile name a file object, which is left out."""
    return error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
