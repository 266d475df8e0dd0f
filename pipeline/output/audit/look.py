"""A quick look: the audio of some utterances, chosen at random, instead of everything."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.events import Listener
from pipeline.output.audit.findings import Checked, Finding, Look, ShardVerified, VerifyReport
from pipeline.output.audit.reading import Verification
from pipeline.output.audit.shards import ShardCheck, bad_record
from pipeline.output.audit.workers import checking
from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication
from pipeline.output.superseded import superseded_beside
from pipeline.storage import NO_OPTIONS, exists, open_storage, translated


def look(
    url: str,
    utterances: int,
    listener: Listener = lambda event: None,
    options: Mapping[str, Any] = NO_OPTIONS,
    workers: int | None = 1,
) -> VerifyReport:
    """Decode the audio of some utterances of an output, and compare it with their commit records.

    Every utterance that is committed, and not superseded, is chosen with the same probability, anew each time. Nothing
    else is read: no whole object, no row of a list, and no name of an object that nothing names. Of a commit record,
    its seal is checked, and the rows of those utterances alone are parsed.

    Args:
        url: URL or path of the output.
        utterances: number of utterances to read.
        listener: called with each shard of which something was read.
        options: options for the client of an object store.
        workers: number of processes that read; see `verify`.

    Raises:
        ConfigError: if there is no melmill output.
        StorageError: if it cannot be read.
        InterruptedRunError: if a worker process is killed.
    """
    ledger = Ledger(open_storage(url, options))
    with translated(f"reading {url}"):
        verification = Verification(ledger, url, listener)
        publication = verification.publication(verification.job())
        there, findings = _there(ledger, publication)
        counts = [made for _, made in there]
        chosen = _chosen(counts, utterances)
        findings, seconds = verification.findings + findings, 0.0
        read = sum(map(len, chosen.values()))
        with checking(ledger, url, options, workers, read) as check_all:
            items = (_Some(there[at][0], rows) for at, rows in sorted(chosen.items()))
            for event, found in check_all(_check_some, items):
                findings += found
                seconds += event.seconds
                listener(event)
        failed = publication.totals.failed if publication is not None else 0
        how_much = Look(read, sum(counts), len(chosen), len(there))
        return VerifyReport(read, failed, seconds, tuple(findings), superseded=superseded_beside(ledger), look=how_much)


def _there(ledger: Ledger, publication: Publication | None) -> tuple[list[tuple[str, int]], list[Finding]]:
    """Name of each commit that is not superseded, with the number of its rows; and the records that are damaged."""
    there, findings = [], []
    known = ledger.known_heads()
    for name, stamp in ledger.commit_stamps().items():
        try:
            head = ledger.head(name, stamp, known)
        except DamagedRecordError as error:
            findings.append(bad_record(ledger, name, error))
            continue
        if head is not None and (publication is None or not publication.supersedes(name, head.generation)):
            there.append((name, head.made))
    return there, findings


@dataclass(frozen=True)
class _Some:
    """Some rows of a shard.

    Args:
        name: name of the shard's commit.
        rows: their indexes, ascending.
    """

    name: str
    rows: tuple[int, ...]


def _chosen(counts: list[int], utterances: int) -> dict[int, tuple[int, ...]]:
    """Index of a shard -> indexes of the rows to read, given the number of rows of each shard."""
    total = sum(counts)
    ends = np.array(list(accumulate(counts)), np.int64)
    chosen: dict[int, list[int]] = {}
    for at in sorted(random.sample(range(total), min(utterances, total))):
        shard = int(np.searchsorted(ends, at, side="right"))
        chosen.setdefault(shard, []).append(at - int(ends[shard]) + counts[shard])
    return {shard: tuple(rows) for shard, rows in chosen.items()}


def _check_some(ledger: Ledger, some: _Some) -> Checked:
    try:
        commit, rows = ledger.commit_with_rows(some.name, some.rows)
    except (LostRecordError, DamagedRecordError) as error:
        return ShardVerified(some.name, 0, 0.0, 1), [bad_record(ledger, some.name, error)]
    check, needed = ShardCheck(ledger, commit), {row.object_name for row in rows}
    findings = [
        check.missing(each) for each in commit.objects if each.name in needed and not exists(ledger.storage, each.name)
    ]
    findings += check.check_audio(rows)
    seconds = sum(row.duration for row in rows)
    return ShardVerified(some.name, len(rows), seconds, len(findings)), findings
