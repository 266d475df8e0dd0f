"""Writes manifest, list of failures and index of shards from the commits, and has the ledger publish them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from pipeline.config import Job
from pipeline.errors import MelmillError
from pipeline.output.layout import INDEX, JOB
from pipeline.output.ledger import Ledger
from pipeline.output.lists import ListWriter
from pipeline.output.publication import METADATA, Publication, Totals
from pipeline.output.published_rows import last_part
from pipeline.output.records import Failure, Row
from pipeline.planning.commit_index import CommittedShard
from pipeline.planning.plan import Plan
from pipeline.storage import exists, translated

Metas = Callable[[Iterable[int]], Mapping[str, dict[str, Any]]]
"""Positions in the catalogue -> metadata of those utterances, by key."""


def publish(
    ledger: Ledger,
    plan: Plan,
    crashed: Iterable[Failure],
    job: Job,
    described: Mapping[str, Any],
    metas: Metas,
    earlier: Iterable[CommittedShard] = (),
) -> Totals:
    """Write failures.jsonl, index.json and manifest.jsonl from the commits, and publish them with counts in job.json.

    Args:
        ledger: ledger of the output.
        plan: the plan. All of its shards must be committed, except those whose utterances `crashed` names.
        crashed: failures of utterances whose shard could not be made; it has no commit, and the next run tries again.
        job: the job that was done.
        described: content of job.json without the counts.
        metas: gives the current metadata of utterances, for shards that were made with other metadata.
        earlier: commits that were there before the plan was carried out.

    Raises:
        MelmillError: if the counts do not balance, which is a defect. Nothing is published then.
    """
    crashed = tuple(crashed)
    missing = {failure.key for failure in crashed}
    commits = []
    planned = 0
    with translated(f"publishing {ledger.storage.url}"), ledger.storage.scratch() as folder:
        with ListWriter(folder, last_part(job.config.public().output.url), job.config.output.store_in_rows) as lists:
            for shard in sorted((*plan.todo, *plan.done), key=lambda shard: shard.number):
                planned += len(shard.members)
                if missing and not ledger.has_commit(shard.name):
                    continue
                record = ledger.commit_record(shard.name)
                commits.append(shard.name)
                lists.add_shard(record)
                current = record.metadata == job.metadata
                lists.add_rows(record.rows if current else _described(record.rows, metas(shard.members.tolist())))
                lists.add_failures(dataclasses.replace(each, shard=shard.name) for each in record.failures)
                missing -= {each.key for each in record.rows}  # a worker committed the shard and died right after that
                missing -= {each.key for each in record.failures}
            lists.add_failures(plan.refused)
            lists.add_failures(failure for failure in crashed if failure.key in missing)
        totals = lists.totals()
        if not totals.utterances + totals.failed == planned + len(plan.refused) == plan.utterances:
            raise MelmillError(
                f"the counts do not balance: {totals.utterances} made and {totals.failed} failed of {plan.utterances} "
                "utterances. This is a defect of melmill; nothing was published, all commits are kept"
            )
        publication = Publication(
            run_id=job.run_id,
            generation=job.generation,
            state=_state(plan, job),
            complete=not crashed,
            commits=tuple(commits),
            files=lists.files(),
            totals=totals,
            superseded=_superseded(earlier, set(commits), job.generation),
        )
        ledger.publish(folder, publication, described)
    return totals


def why_due(ledger: Ledger, plan: Plan, job: Job) -> str | None:
    """Why what this plan finds committed is to be published; None if it is what was published last."""
    publication = ledger.publication()
    if publication is None:
        return "nothing was published yet, or published.json is lost or damaged"
    if publication.due:
        return publication.due
    if not publication.complete:
        return "shards could not be made when it was published last"
    published = [each.name for each in publication.files]
    if lost := [name for name in (*published, JOB) if not exists(ledger.storage, name)]:
        return f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} gone"
    described = ledger.job() or {}
    if "counts" not in described or described.get("run_id") != publication.run_id:
        return f"run {described.get('run_id')} was stopped before it published"
    before = dict(publication.state)
    if before.get(METADATA) == job.given_metadata:  # an early version of melmill published it
        before[METADATA] = job.metadata
    now = _state(plan, job)
    changed = [what for what in {**now, **before} if before.get(what) != now.get(what)]
    if changed:
        return f"changed: {', '.join(changed)}"
    return None if INDEX in published else f"it was published by an earlier melmill, which wrote no {INDEX}"


def _superseded(earlier: Iterable[CommittedShard], current: Set[str], generation: int) -> dict[str, int]:
    """Size of each commit of an earlier run that is not in the publication, by name."""
    return {each.name: each.bytes for each in earlier if each.name not in current and each.generation < generation}


def _state(plan: Plan, job: Job) -> dict[str, str]:
    """What a publication is made of -> digest over it."""
    refused = (json.dumps(dataclasses.asdict(failure)) for failure in plan.refused)
    return {
        "the shards it consists of": _digest(sorted(shard.name for shard in (*plan.todo, *plan.done))),
        "utterances that cannot be made": _digest(refused),
        "the output's place": _digest([job.config.output.url]),
        "the store's place": _digest([job.config.input.public_store]),
        METADATA: job.metadata,
        **({} if job.config.output.store_in_rows == "name" else {"how rows name the store": _digest(["url"])}),
    }


def _digest(words: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for word in words:
        digest.update(word.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _described(rows: Iterable[Row], metas: Mapping[str, dict[str, Any]]) -> Iterator[Row]:
    """The rows with their current metadata. If that cannot be read, a row keeps the metadata that it was made with."""
    return (dataclasses.replace(row, meta=metas.get(row.key, row.meta)) for row in rows)
