"""Prepares an output so that the next run mends what `verify` found: it makes damaged shards again, and publishes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.output.audit.findings import Finding
from pipeline.output.layout import JOB, commit_of
from pipeline.output.ledger import Ledger
from pipeline.storage import NO_OPTIONS, open_storage


def repair(
    url: str, findings: Iterable[Finding], options: Mapping[str, Any] = NO_OPTIONS, single_writer: bool = False
) -> tuple[str, ...]:
    """Prepare an output so that the next run of its job mends what was found. Makes and publishes nothing itself.

    A shard with damaged or missing audio is marked stale. A commit record or job.json that cannot be read is deleted:
    the next run makes the record's shard again, or adopts its object if that is whole. published.json gets a note, so
    that the next run publishes the lists again. If a damaged shard is superseded, no run makes it again, none uses it
    again, and nothing is published again for its sake: `gc` deletes it. Unexpected objects are left alone.

    Args:
        url: URL or path of the output.
        findings: findings of `verify`.
        options: options for the client of an object store.
        single_writer: whether nothing else writes to the output; see `open_storage`.

    Returns:
        What was done, one sentence for each step.

    Raises:
        OwnedError: if a run is working on the output.
        StorageError: if it cannot be written.
    """
    found = [finding for finding in findings if finding.kind != "unexpected"]
    if not found:
        return ()
    ledger = Ledger(open_storage(url, options, single_writer))
    done: dict[str, None] = {}
    with ledger.storage.lock(f"verify --repair on {socket.gethostname()}, process {os.getpid()}"):
        for finding in found:
            if finding.shard is not None:
                ledger.mark_stale(finding.shard, f"verify found {finding.name} {finding.kind}")
                done[f"shard {finding.shard} {_fate(ledger, finding)}"] = None
                continue
            commit = commit_of(finding.name) if finding.kind == "corrupt" else None
            if commit is not None and not _is_readable(ledger, commit):  # another run may have repaired it since
                ledger.delete_commit(commit)
                done[f"{finding.name} is deleted: its shard {_fate(ledger, finding)}"] = None
            if finding.kind == "corrupt" and finding.name == JOB:
                ledger.delete_job()
                done[f"{JOB} is deleted: the next run will write it again"] = None
        if (first := next((each for each in found if not each.superseded), None)) is not None:
            ledger.publish_again(f"verify found {first.name} {first.kind}")
            done["the manifest will be published again"] = None
    return tuple(done)


def _fate(ledger: Ledger, finding: Finding) -> str:
    """What becomes of the shard of a finding, as the end of a sentence."""
    if finding.superseded:
        return f"is superseded and will not be used again: melmill gc {ledger.storage.url} --yes deletes it"
    return "will be made again"


def _is_readable(ledger: Ledger, commit: str) -> bool:
    try:
        ledger.commit_record(commit)
    except (LostRecordError, DamagedRecordError):
        return False
    return True
