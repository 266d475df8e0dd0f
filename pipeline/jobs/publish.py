"""Writes manifest, list of failures and index of shards from the commits, and has the ledger publish them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import Job
from pipeline.errors import MelmillError
from pipeline.output.commit_heads import HeadsWriter
from pipeline.output.layout import INDEX, JOB, publishing_order
from pipeline.output.ledger import Ledger
from pipeline.output.lists import ListWriter
from pipeline.output.parquet_manifest import ParquetManifest
from pipeline.output.publication import METADATA, Publication
from pipeline.output.published_rows import last_part
from pipeline.output.records import Failure, Row
from pipeline.output.totals import Totals
from pipeline.planning.commit_index import CommittedShard
from pipeline.planning.plan import Plan, PlannedShard
from pipeline.planning.sidecars import Sidecars
from pipeline.storage import exists, translated


def publish(
    ledger: Ledger,
    plan: Plan,
    crashed: Iterable[Failure],
    job: Job,
    described: Mapping[str, Any],
    sidecars: Sidecars,
    earlier: Iterable[CommittedShard] = (),
) -> Totals:
    """Write failures.jsonl, index.json and manifest.jsonl from the commits, and publish them with counts in job.json.

    The lines of a commit record are copied if its metadata is that of now, as it mostly is.

    Args:
        ledger: ledger of the output.
        plan: the plan. All of its shards must be committed, except those whose utterances `crashed` names.
        crashed: failures of utterances whose shard could not be made; it has no commit, and the next run tries again.
        job: the job that was done.
        described: content of job.json without the counts.
        sidecars: the current metadata of utterances, for shards that were made with other metadata.
        earlier: commits that were there before the plan was carried out.

    Raises:
        MelmillError: if the counts do not balance, which is a defect. Nothing is published then.
    """
    crashed = tuple(crashed)
    with translated(f"publishing {ledger.storage.url}"), ledger.storage.scratch() as folder:
        name, store = last_part(job.config.public().output.url), job.config.output.store_in_rows
        heads = folder / "heads"
        with ListWriter(folder, name, store, _columns(job, sidecars)) as lists, HeadsWriter(heads) as writer:
            commits, planned = _write(ledger, plan, crashed, lists, writer, sidecars)
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
            commits=commits,
            files=lists.files(),
            totals=totals,
            superseded=_superseded(earlier, set(commits), job.generation),
        )
        ledger.replace_heads(heads)
        ledger.publish(folder, publication, described)
    return totals


def _columns(job: Job, sidecars: Sidecars) -> Callable[[Path], ParquetManifest] | None:
    """Makes the manifest as columns, if the job asks for it."""
    if "parquet" not in job.config.output.manifest:
        return None
    numbers = np.issubdtype(sidecars.metadata.catalogue.where.dtype, np.integer)
    vocoder = job.config.vocoder
    optional = {"mel_distance_unrefined": vocoder.refinements > 0, "mel_origin": vocoder.origin is not None}
    more = tuple(name for name, there in optional.items() if there)
    return partial(ParquetManifest, fields=job.fields, rows_are_numbers=bool(numbers), more=more)


def _write(
    ledger: Ledger,
    plan: Plan,
    crashed: Sequence[Failure],
    lists: ListWriter,
    heads: HeadsWriter,
    sidecars: Sidecars,
) -> tuple[tuple[str, ...], int]:
    """Write the lists, and the heads of all commits. Each commit record is read once, and none that heads are known of.

    Returns:
        The names of the commits that the lists consist of, and the number of utterances of the plan.
    """
    missing = {failure.key for failure in crashed}
    stamps, known = ledger.commit_stamps(), ledger.known_heads()
    shards = {shard.name: shard for shard in (*plan.todo, *plan.done)}
    commits = []
    planned = 0
    for name in sorted({*shards, *stamps}, key=publishing_order):
        shard = shards.get(name)
        if shard is None:
            if (head := ledger.head(name, stamps[name], known)) is not None:
                heads.add(head, stamps[name])
            continue
        planned += len(shard.members)
        if missing and not ledger.has_commit(name):
            continue
        commit = ledger.commit(name)
        commits.append(name)
        heads.add(commit.head, stamps.get(name, ""))
        current = sidecars.rows_are_current(commit.head, shard.members.tolist())
        lists.add_shard(commit, None if current else _described(commit.record.rows, sidecars, shard))
        lists.add_failures(replace(each, shard=name) for each in commit.failures())
        if missing:
            missing.difference_update(commit.head.keys)  # a worker committed the shard and died right after that
    lists.add_failures(plan.refused)
    lists.add_failures(failure for failure in crashed if failure.key in missing)
    return tuple(commits), planned


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
        **({} if job.config.output.manifest == ("jsonl",) else {"the forms of the manifest": _digest(["parquet"])}),
        **({} if job.config.output.store_in_rows == "name" else {"how rows name the store": _digest(["url"])}),
    }


def _digest(words: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for word in words:
        digest.update(word.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _described(rows: Iterable[Row], sidecars: Sidecars, shard: PlannedShard) -> Iterator[Row]:
    """The rows with their current metadata. If that cannot be read, a row keeps the metadata that it was made with."""
    metas = sidecars.metadata.of(shard.members.tolist())
    return (replace(row, meta=metas.get(row.key, row.meta)) for row in rows)
