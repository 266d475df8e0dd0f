"""Reads an output once: the lists, shard by shard; the shards that no list names; then the names of all objects."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from pipeline.errors import ConfigError, DamagedRecordError, LostRecordError
from pipeline.events import Listener
from pipeline.output.audit.findings import Finding, FindingKind, VerifyReport
from pipeline.output.audit.shards import (
    NOT_A_LINE,
    ShardLines,
    Unpublished,
    check_failures,
    check_published,
    check_unpublished,
    publish_again,
    unreadable_line,
)
from pipeline.output.audit.workers import All, checking
from pipeline.output.exports import exported_here
from pipeline.output.layout import (
    COMMITS,
    FAILURES,
    INDEX,
    JOB,
    MANIFEST,
    PARQUET,
    PUBLISHED,
    audio_object,
    commit_of,
    is_shard_name,
    of_others,
    shard_of,
)
from pipeline.output.ledger import Ledger
from pipeline.output.publication import METADATA, Announced, Publication
from pipeline.output.records import Failure, Row
from pipeline.output.superseded import superseded_beside
from pipeline.storage import NO_OPTIONS, PRIVATE, exists, open_storage, translated

_LOST_LIST = "it is not there; run the job again to publish it"


def verify(
    url: str,
    listener: Listener = lambda event: None,
    options: Mapping[str, Any] = NO_OPTIONS,
    workers: int | None = 1,
) -> VerifyReport:
    """Read every object of an output again, and check sizes, digests, PCM, and that the lists agree with the commits.

    Shards that are committed but not in the manifest (not yet published, or superseded) are read, too. While job.json
    has no counts, a run is at work or was stopped before it published; each list may then be the one before, or the one
    that was being put in place. In `_melmill`, only commit records and published.json are checked, since a run relies
    on them. Memory holds the rows of a few shards, and the names of all shards.

    In a script, call it with more than one worker under `if __name__ == "__main__":`, since workers are new processes.

    Args:
        url: URL or path of the output.
        listener: called with each shard that was read.
        options: options for the client of an object store.
        workers: number of processes that read; 1 for this process alone, which reads several shards at once. None for
            one process per core, or this one alone if the output is small.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
        InterruptedRunError: if a worker process is killed.
    """
    ledger = Ledger(open_storage(url, options))
    with translated(f"reading {url}"):
        publication = ledger.publication() if workers is None else None
        utterances = publication.totals.utterances if publication is not None else 0
        return Verification(ledger, url, listener).report(checking(ledger, url, options, workers, utterances))


class Verification:
    """What is found while an output is read.

    Args:
        ledger: ledger of the output.
        url: URL or path of the output, for texts.
        listener: called with each shard that was read.
    """

    def __init__(self, ledger: Ledger, url: str, listener: Listener) -> None:
        self._ledger = ledger
        self._url = url
        self._listener = listener
        self.findings: list[Finding] = []
        self._seen: set[str] = set()
        self._lost: set[str] = set()
        self._others: set[str] = set()
        self._lists = {MANIFEST, FAILURES, INDEX, JOB}
        self._utterances = self._failed = 0
        self._seconds = 0.0

    def report(self, checks: AbstractContextManager[All]) -> VerifyReport:
        """Read everything, with what checks many shards at once."""
        described = self.job()
        publication = self.publication(described)
        announced = None if "counts" in described else self._ledger.announced()
        with checks as check_all:
            self._check_manifest(check_all, _metadata(publication, announced))
            self._check_failures()
            replaced = self._ledger.stale()  # made again since, or about to be: nobody needs what is left of them
            unread = (name for name in self._ledger.commit_names() if name not in self._seen and name not in replaced)
            shards = (Unpublished.of(name, publication) for name in unread)
            for event, found in check_all(check_unpublished, shards):
                self.findings += found
                self._listener(event)
        known = publication.files if publication is not None else ()
        known += announced.files if announced is not None else ()
        for name in (INDEX, PARQUET):
            deleted = name == PARQUET and announced is not None and all(each.name != name for each in announced.files)
            if publication is not None and any(each.name == name for each in publication.files) and not deleted:
                self._check_there(name)
        self._lists |= {each.name for each in known} | exported_here(self._ledger.storage)
        for name in (MANIFEST, FAILURES, INDEX, PARQUET):
            self._check_file(name, {each.sha256 for each in known if each.name == name})
        self._check_names()
        return VerifyReport(
            self._utterances,
            self._failed,
            self._seconds,
            tuple(self.findings),
            tuple(sorted(self._others)),
            superseded_beside(self._ledger),
        )

    def _find(self, kind: FindingKind, name: str, what: str) -> None:
        self.findings.append(Finding(kind, name, what))

    def job(self) -> dict[str, Any]:
        """What job.json says; empty if that is lost or damaged, which is a finding."""
        storage = self._ledger.storage
        ours = next(iter(storage.list(PRIVATE)), None) is not None
        if not exists(storage, JOB):
            if not ours:
                what = f"{self._url} holds no melmill output: there is no {JOB}. Give the folder that a run wrote to"
                raise ConfigError(what)
            self._find("missing", JOB, "it is not there; run the job again to have it written again")
            return {}
        try:
            return self._ledger.job() or {}
        except ConfigError as error:
            if not ours:
                raise
            self._find("corrupt", JOB, str(error))
            return {}

    def publication(self, described: dict[str, Any]) -> Publication | None:
        """What published.json says."""
        try:
            publication = self._ledger.read_publication()
        except FileNotFoundError:
            if "counts" in described:
                self._find("missing", PUBLISHED, "it is not there; run the job again to have it written again")
            return None
        except ValueError as error:
            self._find("corrupt", PUBLISHED, f"{error}. Delete it, then run again to have it written again")
            return None
        if "counts" in described and publication.run_id != described.get("run_id"):
            what = f"it describes run {described.get('run_id')}, but run {publication.run_id} published last"
            self._find("corrupt", JOB, f"{what}. Delete it, then run again to have it written again")
        return publication

    def _check_manifest(self, check_all: All, metadata: str | None) -> None:
        for event, found in check_all(partial(check_published, metadata=metadata), self._shards()):
            if event.name in self._seen:
                what = f"the rows of shard {event.name} are not next to each other"
                self._find("corrupt", MANIFEST, f"{what}. {publish_again(MANIFEST)}")
            self._seen.add(event.name)
            self._lost |= {event.name} if any(each.kind == "missing" for each in found) else set()
            self.findings += found
            self._utterances += event.utterances
            self._seconds += event.seconds
            self._listener(event)

    def _shards(self) -> Iterator[ShardLines]:
        """The shards of the manifest. A line that names none is a finding."""

        def named() -> Iterator[tuple[str, int, bytes]]:
            with self._ledger.storage.read(MANIFEST) as file:
                for number, line in enumerate(file, 1):
                    if (name := self._shard_of(number, line)) is not None:
                        yield name, number, line

        try:
            for name, lines in groupby(named(), key=itemgetter(0)):
                numbered = list(lines)
                yield ShardLines(name, tuple((number, line) for _, number, line in numbered))
        except FileNotFoundError:
            self._find("missing", MANIFEST, _LOST_LIST)

    def _shard_of(self, number: int, line: bytes) -> str | None:
        """Name of the shard that a line of the manifest names. Lines are parsed only if they do not look as usual."""
        # In a text of JSON, a backslash would stand before these quotation marks.
        if (name := _named(line.partition(b', "shard": "')[2].partition(b'"')[0])) is not None:
            return name
        try:
            row = Row.from_dict(json.loads(line))
        except NOT_A_LINE as error:
            self.findings.append(unreadable_line(MANIFEST, number, error))
            return None
        if (name := shard_of(row.object_name)) is None:
            what = f"its shard {row.shard!r} is not valid. {publish_again(MANIFEST)}"
            self._find("corrupt", f"{MANIFEST}: {row.key}", what)
        return name

    def _check_failures(self) -> None:
        for name, group in groupby(self._lines(), key=lambda failure: failure.shard):
            failures = tuple(group)
            self._failed += len(failures)
            if name is not None and is_shard_name(name):
                self.findings += check_failures(self._ledger, name, failures)
            elif name is not None:
                what = f"its shard {name!r} is not valid. {publish_again(FAILURES)}"
                self._find("corrupt", f"{FAILURES}: {failures[0].key}", what)

    def _lines(self) -> Iterator[Failure]:
        try:
            with self._ledger.storage.read(FAILURES) as file:
                for number, line in enumerate(file, 1):
                    try:
                        yield Failure.from_dict(json.loads(line))
                    except NOT_A_LINE as error:
                        self.findings.append(unreadable_line(FAILURES, number, error))
        except FileNotFoundError:
            self._find("missing", FAILURES, _LOST_LIST)

    def _check_there(self, name: str) -> None:
        if not exists(self._ledger.storage, name):
            self._find("missing", name, _LOST_LIST)

    def _check_file(self, name: str, wanted: set[str]) -> None:
        """Compare a list with the digests that it may have: several, if a run was stopped while it published."""
        try:
            with self._ledger.storage.read(name) as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return  # reported elsewhere
        if wanted and sha256 not in wanted:
            what = f"its sha256 is {sha256}, it was published with {' or '.join(sorted(wanted))}"
            self._find("corrupt", name, f"{what}. {publish_again(name)}")

    def _check_names(self) -> None:
        commits = set(self._ledger.commit_names())
        for shard, names in groupby(self._ledger.storage.list(""), key=shard_of):
            if (known := self._known(shard, commits)) is None:
                continue
            for name in names:
                if name not in self._lists and (other := of_others(name)) is not None:
                    self._others.add(other)
                    continue
                private = name.startswith(f"{PRIVATE}/") and not name.startswith(f"{COMMITS}/")
                if name not in known and not private and commit_of(name) is None:
                    self._find("unexpected", name, "no commit record names it. Delete it, unless a run is at work")

    def _known(self, shard: str | None, commits: set[str]) -> set[str] | None:
        """The objects that may be there: those of a shard, or those of no shard.

        None if the commit record is lost or damaged, which is reported elsewhere.
        """
        if shard is None:
            return self._lists
        if shard not in commits:
            return None if shard in self._lost else set()
        with contextlib.suppress(LostRecordError, DamagedRecordError):
            return set(self._ledger.commit(shard).head.objects)
        return None


def _metadata(publication: Publication | None, announced: Announced | None) -> str | None:
    """Digest of the metadata that the manifest was published with; None if it is not known."""
    if publication is None or (announced is not None and announced.run_id != publication.run_id):
        return None
    return publication.state.get(METADATA)


@functools.lru_cache(maxsize=16)
def _named(shard: bytes) -> str | None:
    """Name of the commit of the shard that a row names: a tar, or a folder of files. None if it is not valid."""
    path = shard.decode("ascii", "replace")
    return shard_of(audio_object(path, "member"))
