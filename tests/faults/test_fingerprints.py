"""What a changed mel is known by in stores that hold no digests: its chunks, or its values."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import digests
from support.faults.invariant import Reference, assert_invariant
from support.faults.layouts import CHUNK, ITEMS, MAKERS

from pipeline.config import JobConfig
from pipeline.jobs.run import plan, run
from pipeline.planning.prepare import prepare
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]
OTHERS = [name for name in MAKERS if name != "ragged"]


@pytest.fixture
def store(request: pytest.FixtureRequest, small_mels: Path, tmp_path: Path) -> Path:
    MAKERS[request.param](tmp_path / "mels.zarr", small_mels)
    return tmp_path / "mels.zarr"


def chunk_of(store: Path, item: int) -> Path:
    """The file in which the item's first frames lie."""
    first = item // len(shares_an_object_with(store, item))
    names = [f"piece-{item:02d}/c/0/0", f"piece-{item:02d}/0.0", f"mel/c/{first}/0/0", f"mel/{first}.0.0"]
    return next(path for name in names if (path := store / name).exists())


def change(store: Path, item: int) -> None:
    """Other values in the item's last frames."""
    group: Any = zarr.open_group(str(store), mode="r+")
    target = (item, slice(None), slice(0, CHUNK)) if "mel" in group else (slice(None), slice(0, CHUNK))
    array = group["mel"] if "mel" in group else group[f"piece-{item:02d}"]
    array[target] = array[target] - np.float32(0.5)


@pytest.mark.parametrize("store", OTHERS, indirect=True)
def test_a_touched_chunk_makes_shards_stale_by_chunks_and_not_by_content(
    small_job: Build, reference: Reference, store: Path
) -> None:
    for fingerprint, stale in (("chunks", True), ("content", False)):
        out = store.parent / fingerprint
        job = small_job(input__store=str(store), input__fingerprint=fingerprint, output__url=str(out))
        run(job)
        assert_invariant(out, reference)
        assert not plan(job).todo
        later = 1_000_000_000 + chunk_of(store, 2).stat().st_mtime_ns
        os.utime(chunk_of(store, 2), ns=(later, later))
        assert bool(plan(job).todo) is stale


@pytest.mark.parametrize("store", OTHERS, indirect=True)
@pytest.mark.parametrize("fingerprint", ["chunks", "content"])
def test_a_changed_value_makes_exactly_the_shards_stale_that_it_may_lie_in(
    small_job: Build, reference: Reference, store: Path, fingerprint: str
) -> None:
    job = small_job(input__store=str(store), input__fingerprint=fingerprint)
    run(job)
    before = {shard.name: set(shard.members.tolist()) for shard in plan(job).done}
    change(store, 2)
    together = {2} if fingerprint == "content" else shares_an_object_with(store, 2)
    stale = {name for name, members in before.items() if members & together}
    assert set(before) - {shard.name for shard in plan(job).done} == stale
    assert [shard.reason.split(" of ")[0] for shard in plan(job).todo] == [
        str(len(before[name] & together)) for name in sorted(stale)
    ]
    run(job)
    after = digests(Path(job.output.url))
    assert {key for key in after if after[key] != reference.digests[key]} == {"piece-02"}


def shares_an_object_with(store: Path, item: int) -> set[int]:
    """Items of which one file of the store holds values too."""
    if not (store / "mel").exists():
        return {item}
    size = 2 * ITEMS if (store / "mel/c/2").exists() and not (store / "mel/c/3").exists() else ITEMS
    return set(range(item - item % size, item - item % size + size))


@pytest.mark.parametrize("store", ["grouped", "padded"], indirect=True)
def test_a_mel_that_changes_after_its_content_was_listed_is_quarantined(small_job: Build, store: Path) -> None:
    prepared = prepare(small_job(input__store=str(store), input__fingerprint="content"))
    change(store, 2)
    records = [convert_shard(task, prepared.job) for task in prepared.plan.tasks(prepared.catalogue)]
    failures = [failure for record in records for failure in record.failures]
    assert [failure.key for failure in failures] == ["piece-02"]
    assert "are not those that were listed" in failures[0].reason


@pytest.mark.parametrize("store", OTHERS, indirect=True)
def test_a_mel_that_cannot_be_read_is_a_fault_when_the_content_is_listed(small_job: Build, store: Path) -> None:
    chunk_of(store, 2).unlink()
    planned = plan(small_job(input__store=str(store), input__fingerprint="content"))
    assert {each.key for each in planned.refused} == {f"piece-{i:02d}" for i in shares_an_object_with(store, 2)}
    assert all("is missing" in each.reason for each in planned.refused)
    assert sum(len(shard.members) for shard in planned.todo) == planned.utterances - len(planned.refused)
