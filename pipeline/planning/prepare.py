"""Prepares a job: opens its store, loads its vocoder, checks its contract, makes its plan. Writes nothing."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import chain
from typing import Any

from pipeline.audio.loudness import check_installed
from pipeline.config import Job, JobConfig, VocoderConfig
from pipeline.errors import ConfigError
from pipeline.melspec import Difference, MelSpec
from pipeline.output.commit_heads import CommitHead
from pipeline.output.layout import DATA, INDEX, PARQUET, shard_path
from pipeline.output.ledger import Ledger
from pipeline.output.parquet_manifest import check_installed as check_pyarrow
from pipeline.output.shard_index import indexed_shards
from pipeline.planning.commit_index import CommitIndex, index_commits
from pipeline.planning.contract import check_contract, check_values, source_contract
from pipeline.planning.mel_origin import decide_origin
from pipeline.planning.memory import check_memory, memory_need
from pipeline.planning.plan import Plan, plan_shards
from pipeline.planning.shard_length import LONGEST_SECONDS, begun_with, shard_seconds
from pipeline.planning.sidecars import Sidecars
from pipeline.planning.utterance_metadata import UtteranceMetadata
from pipeline.planning.versions import installed
from pipeline.storage import NO_OPTIONS, Storage, absolute_url, exists, open_output, open_storage
from pipeline.stores import Catalogue, MelStore, open_store
from pipeline.stores.sampling import sample_mels
from pipeline.vocoders import Vocoder, check_device, load_vocoder, other_origin, other_refinements

_UNKNOWN_WORKERS = 16
"""Number of workers to have work for on a cluster that is not asked how many it has."""


@dataclass(frozen=True)
class OutputScan:
    """What one reading of an output's commits and objects found.

    Args:
        commits: the commits, indexed by the catalogue's utterances.
        lost: name of each commit with an object that is gone -> why its shard is to be made again.
        listing: digest over the names of all commits and objects, and the stamps of commits, before they were read.
        heads_lacked: whether the file of heads lacked one, so that a commit record was read.
    """

    commits: CommitIndex
    lost: Mapping[str, str]
    listing: bytes
    heads_lacked: bool


@dataclass(frozen=True)
class Prepared:
    """A job with its store opened, its vocoder loaded and its plan made.

    Args:
        job: the job, with every `auto` resolved.
        store: the store, opened.
        catalogue: the store's utterances.
        vocoder: the vocoder, loaded in this process; workers load their own.
        differences: the differences between the store's contract and the vocoder's; all of them can be bridged.
        unverified: the part of the store's contract that its values could not confirm, as text; None if all was.
        why_origin: what `vocoder.mels` was decided by, as text; None if the vocoder treats all mels alike.
        plan: the shards to make, and those that are there.
        ledger: ledger of the output.
        scan: the commits and objects that the plan was made from.
        sidecars: what the JSON files beside the audio are to say: the metadata of the utterances.
    """

    job: Job
    store: MelStore
    catalogue: Catalogue
    vocoder: Vocoder
    differences: tuple[Difference, ...]
    unverified: str | None
    why_origin: str | None
    plan: Plan
    ledger: Ledger
    scan: OutputScan
    sidecars: Sidecars

    @property
    def lost(self) -> Mapping[str, str]:
        """Name of each commit with an object that is gone -> why its shard is to be made again."""
        return self.scan.lost


def prepare(config: JobConfig, adopt: bool = False, parts: int = 1) -> Prepared:
    """Open, check and plan. Writes nothing. Raises what `pipeline.plan` raises.

    Args:
        config: the job.
        adopt: whether the output may have been made from a store at another place; see `run`.
        parts: number of parts that the job is done in. Their clusters may differ, and their plans must not.
    """
    config = _absolute(config)
    out, store_path = (_place(url) for url in (config.output.url, config.input.store.removeprefix("file://")))
    if os.path.join(out, "").startswith(os.path.join(store_path, "")):
        raise ConfigError(f"the output {out} lies in the store {config.input.store}. Choose another folder")
    if config.output.loudness is not None:
        check_installed()
    ledger = Ledger(open_output(config.output))
    described = ledger.job()
    if described is not None and not adopt:
        _check_same_store(described, config)
    stated = config.input.stated_spec()
    _check_index(ledger)
    if "parquet" in config.output.manifest:
        check_pyarrow()
        _check_parquet(ledger)
    source = config.input
    store = open_store(source.store, source.layout, stated, source.fingerprint, source.options)
    contract = source_contract(store, stated)
    wanted = config.vocoder
    vocoder = _load(wanted, contract)
    if config.cluster.kind in ("local", "synchronous"):  # in other clusters the workers have the card, not this process
        check_device(wanted.device)
    differences = check_contract(store, contract, vocoder, source.convert, source.framing)
    catalogue = store.catalogue()
    if not len(catalogue):
        raise ConfigError(
            f"the store {store.url} holds no utterances ({store.describe()}). Check input.store and input.layout"
        )
    sample = cache(partial(sample_mels, store, catalogue))
    decided = decide_origin(wanted, vocoder, described, sample, contract)
    vocoder = _load(decided.config, contract)
    config = config.model_copy(update={"vocoder": decided.config})
    config = _with_shard_length(config, described, contract.seconds(int(catalogue.frames.sum())), parts)
    metadata = UtteranceMetadata.read(store, catalogue, source.meta, (described or {}).get("metadata"))
    job = Job(
        config=config,
        mel=contract,
        vocoder_digest=vocoder.digest,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        generation=1 + (described["generation"] if described else 0),
        metadata=metadata.state,
        given_metadata=metadata.digest,
        fields=metadata.fields.types,
        versions=installed(),
        runtime=vocoder.backend.runtime,
        elsewhere={**vocoder.backend.elsewhere, **other_refinements(vocoder), **other_origin(vocoder)},
    )
    sidecars = Sidecars(metadata, config.output.sidecar)
    scan = _scan(ledger, catalogue, sidecars)
    plan = _plan(scan, ledger, store, catalogue, vocoder, job, sidecars)
    if plan.todo:
        check_memory(plan.memory, config.cluster)
    unverified = check_values(store, sample(), contract) if plan.todo and source.check_values else None
    return Prepared(job, store, catalogue, vocoder, differences, unverified, decided.why, plan, ledger, scan, sidecars)


def _load(config: VocoderConfig, contract: MelSpec) -> Vocoder:
    """The vocoder of a job, in this process. Mels whose origin is still open are taken as recorded."""
    return load_vocoder(
        config.name, contract, 1, config.runtime, config.device, config.batch, 1, config.precision, config.refine,
        config.origin or "recorded",
    )  # fmt: skip


def _with_shard_length(config: JobConfig, described: Mapping[str, Any] | None, seconds: float, parts: int) -> JobConfig:
    """The job with a number for `output.shard_seconds`: that of the output, if it was begun."""
    output, cluster = config.output, config.cluster
    if output.shard_seconds is not None:
        return config
    length = begun_with(described)
    if length is None:
        workers = _UNKNOWN_WORKERS if cluster.kind == "dask" else cluster.worker_count()
        if parts > 1:
            workers = parts
        length = shard_seconds(seconds, workers) if workers else LONGEST_SECONDS
    return config.model_copy(update={"output": output.model_copy(update={"shard_seconds": length})})


def job_of_output(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> dict[str, Any]:
    """The job that made an output, as plain values for `config.load_job`, with the output where it is now.

    Its runtime is the one that made the output's last shards, so `auto` does not make shards stale.

    Raises:
        ConfigError: if there is no output, or its job.json is lost.
    """
    described = Ledger(open_storage(url, options)).existing_job()
    job = described.get("job")
    if not isinstance(job, dict) or "output" not in job:
        raise ConfigError(f"{url} has lost its job.json. Run its job again: that writes it again")
    vocoder = dict(job.get("vocoder", {}))
    if vocoder.get("runtime") == "auto":  # which was onnxruntime where job.json does not say what it was
        vocoder["runtime"] = described.get("vocoder", {}).get("runtime") or "onnxruntime"
    return {
        **job,
        "vocoder": vocoder,
        "output": {**job["output"], "url": url, "options": dict(options or job["output"].get("options", {}))},
    }


def replan(prepared: Prepared) -> Prepared:
    """The same job, planned again with what is committed now. Commits are read again only if they have changed."""
    described = prepared.ledger.job()
    job = replace(prepared.job, generation=1 + (described["generation"] if described else 0))
    no_run_since = job.generation == prepared.job.generation
    sidecars = prepared.sidecars
    scan = _scan(prepared.ledger, prepared.catalogue, sidecars, prepared.scan if no_run_since else None)
    plan = _plan(scan, prepared.ledger, prepared.store, prepared.catalogue, prepared.vocoder, job, sidecars)
    return replace(prepared, job=job, plan=plan, scan=scan)


def _scan(ledger: Ledger, catalogue: Catalogue, sidecars: Sidecars, before: OutputScan | None = None) -> OutputScan:
    """Look at all commits, one at a time. If all are as in an earlier scan, return that one."""
    listing, tars = hashlib.blake2b(digest_size=16), set()
    stamps = ledger.commit_stamps()
    for name in chain(*stamps.items(), ledger.storage.list(DATA)):
        listing.update(name.encode("utf-8", "surrogateescape") + b"\n")
        if name.count("/") == 1:
            tars.add(name)
    if before is not None and before.listing == listing.digest():
        return before
    lost: dict[str, str] = {}
    known = ledger.known_heads()

    def heads() -> Iterator[CommitHead]:
        for head in ledger.heads(stamps, known):
            if (gone := _lost_object(ledger.storage, head, tars)) is not None:
                lost[head.name] = f"its object {gone} is lost"
            yield head

    commits = index_commits(catalogue, heads(), sidecars, ledger.commit_record)
    return OutputScan(commits, lost, listing.digest(), known.lacked)


def _lost_object(storage: Storage, commit: CommitHead, tars: Set[str]) -> str | None:
    """The first object of a commit that is gone. Files are listed for one shard at a time, since there may be millions.

    An object that the listing lacks may have been put since, so it is looked up, too.
    """
    names = [name for name in commit.objects if name not in tars]
    files = set(storage.list(shard_path(commit.name))) if names else set()
    return next((name for name in names if name not in files and not exists(storage, name)), None)


def _plan(
    scan: OutputScan,
    ledger: Ledger,
    store: MelStore,
    catalogue: Catalogue,
    vocoder: Vocoder,
    job: Job,
    sidecars: Sidecars,
) -> Plan:
    need = partial(memory_need, job, store, catalogue, vocoder)
    stale = {**scan.lost, **ledger.stale()}
    return plan_shards(catalogue, job, scan.commits, stale, store.chunk_bytes, need, sidecars.digest)


def _absolute(config: JobConfig) -> JobConfig:
    """The job with local paths made absolute, so that it means the same on every worker."""
    values = config.model_dump()
    values["output"]["url"] = absolute_url(config.output.url)
    if "://" not in config.input.store:
        values["input"]["store"] = os.path.abspath(config.input.store)
    if config.input.meta is not None:
        values["input"]["meta"] = os.path.abspath(config.input.meta)
    if config.vocoder.name.endswith(".onnx"):
        values["vocoder"]["name"] = os.path.abspath(config.vocoder.name)
    return JobConfig.model_validate(values)


def _place(url: str) -> str:
    """A URL or path in a form that can be compared with others."""
    return url if "://" in url else os.path.realpath(url)


def _check_index(ledger: Ledger) -> None:
    """Refuse an output for which no run has written an index yet, if another file has the index's name."""
    if ledger.owns(INDEX):
        return
    try:
        indexed_shards(ledger.storage)
    except FileNotFoundError:
        return
    except ValueError as error:
        raise ConfigError(
            f"{ledger.storage.url}/{INDEX} is where melmill writes the list of shards, but holds something else: "
            f"{error}. Move that file away, then run again"
        ) from error


def _check_parquet(ledger: Ledger) -> None:
    """Refuse an output for which no run has written a manifest.parquet yet, if another file has that name."""
    if exists(ledger.storage, PARQUET) and not ledger.owns(PARQUET):
        raise ConfigError(
            f"{ledger.storage.url}/{PARQUET} is where melmill writes the manifest as columns, and no run of melmill "
            "has written that file. Move it away, then run again"
        )


def _check_same_store(described: dict[str, Any], config: JobConfig) -> None:
    theirs = described.get("job", {}).get("input", {}).get("store")
    ours, run = config.input.public_store, described.get("run_id")
    if theirs != ours:
        raise ConfigError(
            f"the output {config.output.url} belongs to another job: it was made from {theirs}"
            f"{f' (run {run})' if run else ''}, this job reads {ours}. Choose another output; or, if the store was "
            "moved, pass --adopt"
        )
