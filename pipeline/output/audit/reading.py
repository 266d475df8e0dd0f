"""Reads an output once: the lists, shard by shard; the shards that no list names; then the names of all objects."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from pipeline.errors import ConfigError
from pipeline.events import Listener
from pipeline.output.audit.findings import Finding, FindingKind, VerifyReport
from pipeline.output.audit.shards import (
    Checked,
    check_failures,
    check_published,
    check_unpublished,
    publish_again,
    read_record,
)
from pipeline.output.layout import (
    COMMITS,
    FAILURES,
    INDEX,
    JOB,
    MANIFEST,
    PUBLISHED,
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

Item = TypeVar("Item")
Line = TypeVar("Line", Row, Failure)

_LOST_LIST = "it is not there; run the job again to publish it"
_AHEAD = 2  # shards per thread that are read ahead; their rows are in memory


def verify(url: str, listener: Listener = lambda event: None, options: Mapping[str, Any] = NO_OPTIONS) -> VerifyReport:
    """Read every object of an output again, and check sizes, digests, PCM, and that the lists agree with the commits.

    Shards that are committed but not in the manifest (not yet published, or superseded) are read, too. While job.json
    has no counts, a run is at work or was stopped before it published; each list may then be the one before, or the one
    that was being put in place. In `_melmill`, only commit records and published.json are checked, since a run relies
    on them. Memory holds the rows of a few shards, and the names of all shards.

    Args:
        url: URL or path of the output.
        listener: called with each shard that was read.
        options: options for the client of an object store.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
    """
    ledger = Ledger(open_storage(url, options))
    with translated(f"reading {url}"):
        return _Verification(ledger, url, listener).report()


class _Verification:
    def __init__(self, ledger: Ledger, url: str, listener: Listener) -> None:
        self._ledger = ledger
        self._url = url
        self._listener = listener
        self._findings: list[Finding] = []
        self._seen: set[str] = set()
        self._lost: set[str] = set()
        self._others: set[str] = set()
        self._utterances = self._failed = 0
        self._seconds = 0.0

    def report(self) -> VerifyReport:
        described = self._job()
        publication = self._publication(described)
        announced = None if "counts" in described else self._ledger.announced()
        threads = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(threads) as pool:
            self._check_manifest(pool, _AHEAD * threads, _metadata(publication, announced))
            self._check_failures()
            replaced = self._ledger.stale()  # made again since, or about to be: nobody needs what is left of them
            unread = (name for name in self._ledger.commit_names() if name not in self._seen and name not in replaced)
            check = partial(check_unpublished, self._ledger, publication)
            for event, found in _ahead(pool, check, unread, _AHEAD * threads):
                self._findings += found
                self._listener(event)
        known = publication.files if publication is not None else ()
        known += announced.files if announced is not None else ()
        if publication is not None and any(each.name == INDEX for each in publication.files):
            self._check_there(INDEX)
        for name in (MANIFEST, FAILURES, INDEX):
            self._check_file(name, {each.sha256 for each in known if each.name == name})
        self._check_names()
        return VerifyReport(
            self._utterances,
            self._failed,
            self._seconds,
            tuple(self._findings),
            tuple(sorted(self._others)),
            superseded_beside(self._ledger),
        )

    def _find(self, kind: FindingKind, name: str, what: str) -> None:
        self._findings.append(Finding(kind, name, what))

    def _job(self) -> dict[str, Any]:
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

    def _publication(self, described: dict[str, Any]) -> Publication | None:
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

    def _check_manifest(self, pool: ThreadPoolExecutor, ahead: int, metadata: str | None) -> None:
        def groups() -> Iterator[tuple[str, tuple[Row, ...]]]:
            for name, rows in groupby(self._lines(MANIFEST, Row), key=lambda row: shard_of(row.object_name)):
                if name is not None:
                    yield name, tuple(rows)
                    continue
                for row in rows:
                    what = f"its shard {row.shard!r} is not valid. {publish_again(MANIFEST)}"
                    self._find("corrupt", f"{MANIFEST}: {row.key}", what)

        check = partial(check_published, self._ledger, metadata)
        for event, found in _ahead(pool, lambda group: check(*group), groups(), ahead):
            if event.name in self._seen:
                what = f"the rows of shard {event.name} are not next to each other"
                self._find("corrupt", MANIFEST, f"{what}. {publish_again(MANIFEST)}")
            self._seen.add(event.name)
            self._lost |= {event.name} if any(each.kind == "missing" for each in found) else set()
            self._findings += found
            self._utterances += event.utterances
            self._seconds += event.seconds
            self._listener(event)

    def _check_failures(self) -> None:
        for name, group in groupby(self._lines(FAILURES, Failure), key=lambda failure: failure.shard):
            failures = tuple(group)
            self._failed += len(failures)
            if name is not None and is_shard_name(name):
                self._findings += check_failures(self._ledger, name, failures)
            elif name is not None:
                what = f"its shard {name!r} is not valid. {publish_again(FAILURES)}"
                self._find("corrupt", f"{FAILURES}: {failures[0].key}", what)

    def _lines(self, name: str, kind: type[Line]) -> Iterator[Line]:
        try:
            with self._ledger.storage.read(name) as file:
                for number, line in enumerate(file, 1):
                    try:
                        yield kind.from_dict(json.loads(line))
                    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                        what = f"line {number} cannot be read: {error!r}"
                        self._find("corrupt", name, f"{what}. {publish_again(name)}")
        except FileNotFoundError:
            self._find("missing", name, _LOST_LIST)

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
                if (other := of_others(name)) is not None:
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
            return {MANIFEST, FAILURES, INDEX, JOB}
        if shard not in commits:
            return None if shard in self._lost else set()
        record, _ = read_record(self._ledger, shard)
        return None if record is None else {each.name for each in record.objects}


def _metadata(publication: Publication | None, announced: Announced | None) -> str | None:
    """Digest of the metadata that the manifest was published with; None if it is not known."""
    if publication is None or (announced is not None and announced.run_id != publication.run_id):
        return None
    return publication.state.get(METADATA)


def _ahead(
    pool: ThreadPoolExecutor, check: Callable[[Item], Checked], items: Iterable[Item], ahead: int
) -> Iterator[Checked]:
    """The checks' results in order. At most `ahead` items are taken in advance; `Executor.map` takes all at once."""
    waiting: deque[Future[Checked]] = deque()
    for item in items:
        waiting.append(pool.submit(check, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
