"""Two attempts at one shard never mix."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import assert_whole, objects, rows

from pipeline.config import Job, JobConfig
from pipeline.errors import ContractError
from pipeline.jobs.run import run
from pipeline.jobs.steps import describe_job
from pipeline.output.commit_format import Commit
from pipeline.output.layout import COMMITS
from pipeline.output.records import ShardRecord, StoredObject
from pipeline.planning.plan import ShardTask
from pipeline.planning.prepare import prepare
from pipeline.storage import LocalStorage
from pipeline.worker import attempt as attempt_module
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]
CONTAINERS = [
    ("tar", "flac", "PCM_16"),
    ("tar", "wav", "FLOAT"),
    ("files", "flac", "PCM_24"),
    ("files", "wav", "FLOAT"),
]


def first_task(config: JobConfig) -> tuple[ShardTask, Job]:
    prepared = prepare(config)
    prepared.ledger.write_job(describe_job(prepared))
    return next(prepared.plan.tasks(prepared.catalogue)), prepared.job


def a_job(job: Build, container: str, codec: str, subtype: str) -> tuple[JobConfig, Path]:
    config = job(output__container=container, output__codec=codec, output__subtype=subtype)
    return config, Path(config.output.url)


@pytest.mark.parametrize("form", CONTAINERS)
def test_a_second_attempt_returns_the_firsts_record_and_leaves_one_shard(
    job: Build, form: tuple[str, str, str]
) -> None:
    config, out = a_job(job, *form)
    task, resolved = first_task(config)
    first = convert_shard(task, resolved)
    before = objects(out)
    assert convert_shard(task, resolved) == first
    assert objects(out) == before


@pytest.mark.parametrize("form", CONTAINERS)
def test_an_object_whose_commit_was_lost_is_adopted_as_it_is(job: Build, form: tuple[str, str, str]) -> None:
    """As after a kill between the object and its commit record. A float WAV has a time stamp: bytes may differ."""
    config, out = a_job(job, *form)
    task, resolved = first_task(config)
    first = convert_shard(task, resolved)
    before = objects(out)
    shutil.rmtree(out / COMMITS)
    second = convert_shard(task, resolved)
    assert second.attempt != first.attempt
    assert (second.objects, second.rows) == (first.objects, first.rows)
    assert objects(out) == before
    run(config)
    assert_whole(out, 24)


@pytest.mark.parametrize("form", CONTAINERS)
def test_a_damaged_object_without_commit_is_not_adopted(job: Build, form: tuple[str, str, str]) -> None:
    config, out = a_job(job, *form)
    task, resolved = first_task(config)
    first = convert_shard(task, resolved)
    shutil.rmtree(out / COMMITS)
    victim = out / first.objects[0].name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.chmod(0o644)
    victim.write_bytes(content)
    second = convert_shard(task, resolved)
    assert first.objects[0].name not in {each.name for each in second.objects}
    assert [row.pcm_sha256 for row in second.rows] == [row.pcm_sha256 for row in first.rows]
    victim.unlink()
    run(config)
    assert_whole(out, 24)


def test_of_two_overlapping_attempts_the_slower_discards_its_own(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster attempt commits while the slower stands just before its first put."""
    config = job()
    out = Path(config.output.url)
    task, resolved = first_task(config)
    real_commit = attempt_module.Attempt.commit
    faster: list[ShardRecord] = []

    def overtaken(self: attempt_module.Attempt, *made: Any) -> ShardRecord:
        monkeypatch.setattr(attempt_module.Attempt, "commit", real_commit)
        faster.append(convert_shard(task, resolved))
        return real_commit(self, *made)

    monkeypatch.setattr(attempt_module.Attempt, "commit", overtaken)
    assert convert_shard(task, resolved) == faster[0]
    run(config)
    assert_whole(out, 24)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_all_objects_are_there_before_the_commit_that_names_them(
    job: Build, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    config = job(output__container=container)
    out = Path(config.output.url)
    seen = []
    real_put = LocalStorage.put_if_absent

    def watched(self: LocalStorage, name: str, content: bytes | Path) -> bool:
        if name.startswith(COMMITS):
            assert isinstance(content, bytes)
            names = set(Commit(content).head.objects)
            seen.append(names <= set(objects(out)))
        return real_put(self, name, content)

    monkeypatch.setattr(LocalStorage, "put_if_absent", watched)
    run(config)
    assert len(seen) > 3
    assert all(seen)


def test_an_attempt_that_put_its_object_apart_and_then_lost_the_race_removes_it(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = job()
    out = Path(config.output.url)
    task, resolved = first_task(config)
    monkeypatch.setattr(attempt_module.Attempt, "_adopt", lambda self, made, path, rows: None)
    first = convert_shard(task, resolved)
    assert convert_shard(task, resolved) == first
    assert set(objects(out)) == {each.name for each in first.objects}


def test_an_object_that_its_own_attempt_discards_meanwhile_is_not_missed(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = job()
    out = Path(config.output.url)
    task, resolved = first_task(config)
    convert_shard(task, resolved)
    shutil.rmtree(out / COMMITS)
    real_adopt = attempt_module.Attempt._adopt

    def too_late(self: attempt_module.Attempt, made: StoredObject, path: Path, rows: list) -> StoredObject | None:
        (out / made.name).unlink()
        return real_adopt(self, made, path, rows)

    monkeypatch.setattr(attempt_module.Attempt, "_adopt", too_late)
    convert_shard(task, resolved)
    run(config)
    assert_whole(out, 24)


def test_a_worker_with_another_vocoder_refuses_the_shard(job: Build) -> None:
    task, resolved = first_task(job())
    with pytest.raises(ContractError, match="on this worker but ffffffff where the run was planned"):
        convert_shard(task, dataclasses.replace(resolved, vocoder_digest="f" * 32))


def test_rows_name_the_object_that_counts(job: Build) -> None:
    config = job()
    run(config)
    out = Path(config.output.url)
    for record in map(LocalStorage(out).read, LocalStorage(out).list(COMMITS)):
        with record:
            parsed = Commit(record.read()).record
        assert {row.shard for row in parsed.rows} == {each.name for each in parsed.objects}
    assert len(rows(out)) == 24
