"""A job before it begins: its store opened, its vocoder loaded, its contract checked, its plan made. Writes nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.config import Job, JobConfig
from pipeline.contract import check_contract, check_values, source_contract
from pipeline.errors import ConfigError
from pipeline.ledger import Ledger
from pipeline.mastering import check_installed
from pipeline.melspec import Difference
from pipeline.planner import CommittedShard, Plan, plan_shards
from pipeline.storage import local_path, open_storage
from pipeline.stores import Catalogue, MelStore, open_store
from pipeline.vocoders import Vocoder, check_device, load_vocoder

WORKER_BASE_BYTES = 128 * 2**20
"""Resident memory of a worker that has imported everything and decoded nothing, measured on Linux, rounded up."""


@dataclass(frozen=True)
class Prepared:
    """A job with its store opened, its vocoder loaded and its plan made.

    Args:
        job: with every `auto` resolved.
        store: opened.
        catalogue: of the store.
        vocoder: loaded in this process; workers load their own.
        differences: between the store's contract and the vocoder's, all of them bridged.
        plan: what is to be done.
        ledger: of the output.
        lost: name of a commit whose objects are gone -> which; to be marked stale by a run.
    """

    job: Job
    store: MelStore
    catalogue: Catalogue
    vocoder: Vocoder
    differences: tuple[Difference, ...]
    plan: Plan
    ledger: Ledger
    lost: Mapping[str, str]


def prepare(config: JobConfig, adopt: bool = False) -> Prepared:
    """Open, check and plan. Writes nothing. Errors as `plan`."""
    config = _absolute(config)
    out, store_path = (os.path.realpath(url) for url in (config.output.url, config.input.store.removeprefix("file://")))
    if os.path.join(out, "").startswith(os.path.join(store_path, "")):
        raise ConfigError(f"the output {out} lies in the store {config.input.store}. Choose another folder")
    if config.output.loudness is not None:
        check_installed()
    ledger = Ledger(open_storage(config.output.url))
    described = ledger.job()
    if described is not None and not adopt:
        _check_same_job(described, config)
    stated = config.input.stated_spec()
    store = open_store(config.input.store, config.input.layout, stated, config.input.fingerprint)
    source = source_contract(store, stated)
    wanted = config.vocoder
    if config.cluster.kind != "dask":  # whose workers have the card, and not this process
        check_device(wanted.device)
    vocoder = load_vocoder(wanted.name, source, 1, wanted.runtime, wanted.device, wanted.batch)
    differences = check_contract(store, source, vocoder, config.input.convert, config.input.framing)
    job = Job(
        config=config,
        source=source,
        vocoder_digest=vocoder.digest,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        generation=1 + (described["generation"] if described else 0),
    )
    catalogue = store.catalogue()
    if not len(catalogue):
        raise ConfigError(f"the store {store.url} holds no utterance ({store.describe()})")
    plan, lost = _plan(ledger, store, catalogue, vocoder, job)
    if plan.todo and config.input.check_values:
        check_values(store, catalogue, source)
    return Prepared(job, store, catalogue, vocoder, differences, plan, ledger, lost)


def job_of_output(url: str) -> dict[str, Any]:
    """The job that made an output, as plain values for `config.load_job`, with the output where it is now.

    Raises:
        ConfigError: if there is no output, or its job cannot be known any more.
    """
    described = Ledger(open_storage(url)).existing_job()
    job = described.get("job")
    if not isinstance(job, dict) or "output" not in job:
        raise ConfigError(f"{url} has lost its job.json. Run its job again: that writes it anew")
    return {**job, "output": {**job["output"], "url": url}}


def replan(prepared: Prepared) -> Prepared:
    """The same job, planned again against what is committed now."""
    described = prepared.ledger.job()
    job = replace(prepared.job, generation=1 + (described["generation"] if described else 0))
    plan, lost = _plan(prepared.ledger, prepared.store, prepared.catalogue, prepared.vocoder, job)
    return replace(prepared, job=job, plan=plan, lost=lost)


def _plan(
    ledger: Ledger, store: MelStore, catalogue: Catalogue, vocoder: Vocoder, job: Job
) -> tuple[Plan, dict[str, str]]:
    window = (job.config.vocoder.window or vocoder.window) + sum(vocoder.halo)
    at_once = window * (job.config.vocoder.batch or 1)
    threads = job.config.cluster.threads_per_worker
    there = frozenset(ledger.storage.list("data"))
    committed, lost = [], {}
    for record in ledger.commits():
        committed.append(CommittedShard.of(record))
        if gone := [each.name for each in record.objects if each.name not in there]:
            lost[record.name] = f"its object {gone[0]} is lost"
    stale = {**lost, **ledger.stale()}
    worker_bytes = WORKER_BASE_BYTES + threads * vocoder.memory(at_once)
    return plan_shards(catalogue, job, committed, stale, store.chunk_bytes, worker_bytes), lost


def _absolute(config: JobConfig) -> JobConfig:
    """The job with local paths made absolute, so that it means the same on every worker."""
    values = config.model_dump()
    values["output"]["url"] = str(local_path(config.output.url))
    if "://" not in config.input.store:
        values["input"]["store"] = os.path.abspath(config.input.store)
    if config.vocoder.name.endswith(".onnx"):
        values["vocoder"]["name"] = os.path.abspath(config.vocoder.name)
    return JobConfig.model_validate(values)


def _check_same_job(described: dict[str, Any], config: JobConfig) -> None:
    theirs = described.get("job", {}).get("input", {}).get("store")
    ours = config.input.public_store
    if theirs != ours:
        raise ConfigError(
            f"the output {config.output.url} belongs to another job: it was made from {theirs} (run "
            f"{described.get('run_id')}), this job reads {ours}. Choose another output; or, if the store was moved, "
            "say --adopt"
        )
