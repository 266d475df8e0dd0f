"""Publishes an output: its manifest, its list of failures, and the counts in job.json, from the commits.

Order of it all: the objects of a shard are durable, then its commit record is put if absent, then, at the end of the
run, the manifest is replaced, and after all of it job.json with its counts. So whatever is killed whenever, a shard is
there whole or not at all, a manifest names only what is there, and counts in job.json say that everything is published.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from pipeline.config import Job
from pipeline.errors import MelmillError
from pipeline.ledger import FAILURES, JOB, MANIFEST, PUBLISHED, Ledger
from pipeline.planner import Plan
from pipeline.publication import Publication, Sums, Totals
from pipeline.records import Failure, Row
from pipeline.sinks import stored_object
from pipeline.storage import exists, translated


def publish(ledger: Ledger, plan: Plan, crashed: Iterable[Failure], job: Job, described: Mapping[str, Any]) -> Totals:
    """Write failures.jsonl, manifest.jsonl and the counts in job.json, each replaced atomically, from the commits.

    Args:
        ledger: of the output.
        plan: every shard of it must be committed, but those of which `crashed` names the utterances.
        crashed: utterances whose shard could not be made at all; they have no commit and the next run tries again.
        job: that was done.
        described: what job.json says besides the counts.

    Raises:
        MelmillError: if the counts do not balance, a defect: nothing is published then.
    """
    storage = ledger.storage
    crashed = tuple(crashed)
    missing = {failure.key for failure in crashed}
    sums = Sums()
    commits = []
    planned = failed = 0
    with translated(f"publishing {storage.url}"), storage.scratch() as folder:
        manifest, failures = folder / MANIFEST, folder / FAILURES
        with open(manifest, "w", encoding="utf-8") as rows, open(failures, "w", encoding="utf-8") as bad:
            for shard in sorted((*plan.todo, *plan.done), key=lambda shard: shard.number):
                planned += len(shard.members)
                if missing and not ledger.has_commit(shard.name):
                    continue
                record = ledger.commit_record(shard.name)
                commits.append(shard.name)
                _write_lines(rows, record.rows)
                failed += _write_lines(bad, (dataclasses.replace(f, shard=shard.name) for f in record.failures))
                sums.add(record.rows)
                missing -= {each.key for each in record.rows}  # committed by a worker that died right after
                missing -= {each.key for each in record.failures}
            failed += _write_lines(bad, plan.refused)
            failed += _write_lines(bad, (failure for failure in crashed if failure.key in missing))
        totals = sums.totals(failed)
        if not totals.utterances + failed == planned + len(plan.refused) == plan.utterances:
            raise MelmillError(
                f"the counts do not balance: {totals.utterances} made and {failed} failed of {plan.utterances} "
                "utterances. This is a defect of melmill; nothing was published, all commits are kept"
            )
        files = (stored_object(MANIFEST, manifest)[0], stored_object(FAILURES, failures)[0])
        storage.replace(FAILURES, failures)
        storage.replace(MANIFEST, manifest)
    publication = Publication(
        run_id=job.run_id,
        generation=job.generation,
        state=_state(plan, job),
        complete=not crashed,
        commits=tuple(commits),
        files=files,
        totals=totals,
    )
    storage.replace(PUBLISHED, publication.to_json())
    ledger.write_job({**described, "counts": dataclasses.asdict(totals)})
    return totals


def totals_if_current(ledger: Ledger, plan: Plan, job: Job) -> Totals | None:
    """What is published, if that is all that this plan would publish; None if a publication is due."""
    publication = ledger.publication()
    if publication is None or not publication.complete or publication.state != _state(plan, job):
        return None
    if not all(exists(ledger.storage, name) for name in (MANIFEST, FAILURES, JOB)):
        return None
    described = ledger.job() or {}
    finished = "counts" in described and described.get("run_id") == publication.run_id
    return publication.totals if finished else None


def _state(plan: Plan, job: Job) -> str:
    """Digest over what a publication is made of: the shards, the refused utterances, and the job's places."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(shard.name for shard in (*plan.todo, *plan.done)):
        digest.update(name.encode() + b"\n")
    for failure in plan.refused:
        digest.update(json.dumps(dataclasses.asdict(failure)).encode() + b"\n")
    for place in (job.config.output.url, job.config.input.public_store):
        digest.update(place.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _write_lines(file: IO[str], values: Iterable[Row | Failure]) -> int:
    count = 0
    for value in values:
        file.write(json.dumps(dataclasses.asdict(value)) + "\n")
        count += 1
    return count
