import dataclasses
import gc
import tracemalloc
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.commits import no_memory, record_of

from pipeline.config import Job, JobConfig
from pipeline.melspec import PRESETS
from pipeline.output.commit_heads import head_of
from pipeline.output.ledger import Ledger
from pipeline.planning.commit_index import index_commits
from pipeline.planning.plan import Plan, plan_shards
from pipeline.planning.prepare import OutputScan, Prepared, replan
from pipeline.planning.sidecars import Sidecars
from pipeline.planning.utterance_metadata import UtteranceMetadata
from pipeline.storage import LocalStorage
from pipeline.stores import Catalogue, Utterance
from pipeline.stores.base import Utterances
from pipeline.vocoders.griffin_lim import GriffinLim

SPEC = PRESETS["hifigan-22k"]
SHARDS, PER_SHARD, FRAMES = 20, 50, 400
UTTERANCES = SHARDS * PER_SHARD


class _NoStore:
    """Of which a plan asks nothing but this."""

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        return 0


def a_catalogue() -> Catalogue:
    frames = np.full(UTTERANCES, FRAMES, np.int64)
    return Catalogue(
        keys=np.array([f"speaker/utterance-{i:06d}" for i in range(UTTERANCES)], dtype=np.dtypes.StringDType()),
        frames=frames,
        digests=np.random.default_rng(0).integers(0, 256, (UTTERANCES, 16), np.uint8),
        where=np.cumsum(frames) - frames,
    )


def a_job(out: Path, container: str, generation: int) -> Job:
    """Of another vocoder in each generation."""
    seconds = (PER_SHARD - 0.5) * FRAMES * SPEC.hop_length / SPEC.sample_rate
    output = {"url": str(out), "container": container, "shard_seconds": seconds}
    config = JobConfig.build({"input": {"store": "mels.zarr"}, "output": output})
    return Job(config, SPEC, f"{generation:032x}", "run", generation)


def before_any_commit(out: Path, catalogue: Catalogue, job: Job) -> Prepared:
    nothing = OutputScan(index_commits(catalogue, ()), {}, b"", heads_lacked=False)
    plan = plan_shards(catalogue, job, nothing.commits, {}, lambda first, last: 0, no_memory)
    store, ledger = cast(Any, _NoStore()), Ledger(LocalStorage(out))
    metadata = UtteranceMetadata(store, catalogue, {}, None, 0, "")
    return Prepared(job, store, catalogue, GriffinLim(SPEC), (), None, None, plan, ledger, nothing, Sidecars(metadata))


def commit(plan: Plan, catalogue: Catalogue, job: Job, ledger: Ledger) -> None:
    for task in plan.tasks(catalogue):
        record = record_of(task, job)
        for each in record.objects:
            ledger.storage.put_if_absent(each.name, b"")
        ledger.put_commit(record)


def peak_of_planning(prepared: Prepared) -> int:
    """Bytes that a plan against what is committed takes beyond what was there; the least of three times.

    Now and then the record before the one in hand waits for the garbage collector.
    """
    peaks = []
    for _ in range(3):
        gc.collect()
        tracemalloc.start()
        try:
            begun = tracemalloc.get_traced_memory()[0]
            plan = replan(prepared).plan
            peaks.append(tracemalloc.get_traced_memory()[1] - begun)
        finally:
            tracemalloc.stop()
        assert (len(plan.todo), len(plan.done)) == (0, SHARDS)
    return min(peaks)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_plan_keeps_a_line_of_a_commit_and_no_rows(tmp_path: Path, container: str) -> None:
    catalogue, peaks = a_catalogue(), {}
    for generation in (1, 2, 3, 4):
        job = a_job(tmp_path, container, generation)
        prepared = before_any_commit(tmp_path, catalogue, job)
        commit(prepared.plan, catalogue, job, prepared.ledger)
        prepared.ledger.write_job({"generation": generation})
        if generation in (2, 4):  # of one generation alone, one record is in hand, not two
            peaks[generation] = peak_of_planning(prepared)
    print(container, peaks)
    assert (peaks[4] - peaks[2]) / (2 * SHARDS) < 3000  # bytes a commit, whose keys and digests alone would take 10,000


def test_a_plan_made_again_reads_no_commit_unless_others_are_there(tmp_path: Path) -> None:
    catalogue, job = a_catalogue(), a_job(tmp_path, "tar", 1)
    prepared = before_any_commit(tmp_path, catalogue, job)
    commit(prepared.plan, catalogue, job, prepared.ledger)
    prepared.ledger.write_job({"generation": 0})
    once = replan(prepared)
    again = replan(once)
    assert again.scan is once.scan
    victim = once.plan.done[3].name
    once.ledger.mark_stale(victim, "for a test")
    marked = replan(once)
    assert marked.scan is once.scan
    assert [shard.reason for shard in marked.plan.todo] == ["for a test"]
    once.ledger.storage.delete(f"data/{victim}.tar")
    assert set(replan(once).lost) == {victim}
    once.ledger.delete_commit(victim)
    assert len(replan(once).scan.commits.shards) == len(once.scan.commits.shards) - 1


def test_keys_of_one_hash_are_told_apart(tmp_path: Path) -> None:
    """-1 and -2 have the same hash, and so would two keys once in a while."""
    catalogue, job = a_catalogue(), a_job(tmp_path, "tar", 1)
    prepared = before_any_commit(tmp_path, catalogue, job)
    tasks = list(prepared.plan.tasks(catalogue))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.planning.commit_index.hash", lambda key: len(key), raising=False)
        committed = index_commits(catalogue, (head_of(record_of(task, job)) for task in tasks))
    assert committed.home.tolist() == [index // PER_SHARD for index in range(UTTERANCES)]
    assert not committed.changed.any()


def test_an_utterance_of_two_shards_is_of_the_newer_commit(tmp_path: Path) -> None:
    catalogue, job = a_catalogue(), a_job(tmp_path, "tar", 1)
    first, second, *_ = before_any_commit(tmp_path, catalogue, job).plan.tasks(catalogue)
    both = dataclasses.replace(second, utterances=Utterances.of([*second.utterances, *first.utterances]))
    for newer, number in ((first, 0), (both, 1)):
        generations = {task.number: 2 if task is newer else 1 for task in (first, both)}
        records = [record_of(t, dataclasses.replace(job, generation=generations[t.number])) for t in (first, both)]
        committed = index_commits(catalogue, map(head_of, records))
        homes = {committed.shards[home].number for home in committed.home[: len(first.utterances)]}
        assert homes == {number}
