"""Superseded shards are reported with their size, and deleted after a publication if the job says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import assert_whole, digests, every_byte, objects, rows
from support.faults.invariant import assert_readable
from support.killing import interrupted_after

from pipeline.config import JobConfig
from pipeline.errors import TooManyFailuresError
from pipeline.events import Event, SupersededDeleted
from pipeline.jobs.run import run
from pipeline.jobs.run_part import publish_parts, run_part
from pipeline.output.audit import verify
from pipeline.output.garbage import find_garbage
from pipeline.output.layout import PUBLISHED
from pipeline.output.ledger import Ledger
from pipeline.output.records import sealed, unsealed
from pipeline.output.status import read_status
from pipeline.output.superseded import NOTHING, Superseded
from pipeline.planning.parts import Part
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


def size_of(out: Path) -> Superseded:
    """All shards that are there now."""
    ledger = Ledger(LocalStorage(out))
    names = objects(out)
    return Superseded(len(ledger.commit_names()), sum((out / name).stat().st_size for name in names))


@pytest.mark.parametrize("container", ["tar", "files"])
def test_run_status_and_verify_say_what_lies_beside_until_gc(job: Build, other: str, container: str) -> None:
    out = Path(job().output.url)
    assert run(job(output__container=container)).superseded == NOTHING
    wanted = size_of(out)
    config = job(output__container=container, vocoder__name=other)
    report = run(config)
    assert (report.superseded, report.deleted) == (wanted, NOTHING)
    assert run(config).superseded == wanted
    assert read_status(str(out)).superseded == verify(str(out)).superseded == wanted
    before = unsealed((out / PUBLISHED).read_bytes())
    (out / PUBLISHED).write_text(json.dumps(sealed({**before, "superseded": None})))  # of an early melmill
    assert read_status(str(out)).superseded == wanted
    (out / PUBLISHED).write_text(json.dumps(sealed(before)))
    for path in (out / "_melmill" / "commits").iterdir():
        if path.stem in before["superseded"]:
            path.unlink()
    assert run(config).superseded == read_status(str(out)).superseded == NOTHING


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_schedule_deletes_what_its_publication_superseded(job: Build, other: str, container: str) -> None:
    out = Path(job().output.url)
    run(job(output__container=container))
    wanted, old = size_of(out), objects(out)
    told: list[Event] = []
    config = job(output__container=container, output__superseded="delete", vocoder__name=other)

    def look(event: Event) -> None:
        told.append(event)
        if not any(isinstance(each, SupersededDeleted) for each in told):
            assert old.keys() <= objects(out).keys()  # as long as the old manifest is there

    report = run(config, look)
    assert (report.superseded, report.deleted) == (NOTHING, wanted)
    assert SupersededDeleted(wanted.shards, wanted.bytes) in told
    assert not old.keys() & objects(out).keys()
    assert find_garbage(str(out)).garbage == ()
    assert_whole(out, 24)
    before = every_byte(out)
    assert run(config).deleted == NOTHING
    assert every_byte(out) == before


def test_what_is_superseded_by_one_changed_shard_alone_is_deleted(job: Build, store: Path) -> None:
    config = job(output__superseded="delete")
    out = Path(config.output.url)
    run(config)
    commits = Ledger(LocalStorage(out)).commit_names()
    (out / rows(out)[0]["shard"]).unlink()
    assert run(config).deleted == Superseded(1, 0)
    assert len(set(commits) - set(Ledger(LocalStorage(out)).commit_names())) == 1
    assert_whole(out, 24)


def test_superseded_shards_that_were_kept_are_deleted_once_the_job_says_so(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    wanted = size_of(out)
    run(job(vocoder__name=other))
    config = job(vocoder__name=other, output__superseded="delete")
    with LocalStorage(out).lock("run 7 on there"):
        assert run(config).superseded == wanted  # another run is at work, and deletes it
    report = run(config)
    assert (report.run_id, report.deleted, report.superseded) == ("", wanted, NOTHING)
    assert_whole(out, 24)


def test_what_dead_attempts_left_is_not_deleted_by_a_run(job: Build, other: str) -> None:
    """An attempt may still be at work on another machine."""
    config = job(output__superseded="delete", vocoder__name=other)
    out = Path(config.output.url)
    run(job())
    left = out / "data" / "000099-0123abcd.tar"
    left.write_bytes(b"left")
    assert run(config).deleted.shards > 3
    assert [each.name for each in find_garbage(str(out)).garbage] == ["data/000099-0123abcd.tar"]


def test_nothing_is_deleted_after_a_publication_with_too_many_failures(job: Build, store: Path, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    before = objects(out)
    mel: Any = zarr.open_group(str(store), mode="r+")["mel"]
    mel[100:900] = np.nan
    with pytest.raises(TooManyFailuresError):
        run(job(output__superseded="delete", vocoder__name=other, input__check_values=False))
    assert before.keys() <= objects(out).keys()
    assert read_status(str(out)).superseded.shards == len(before)


def test_nothing_is_deleted_after_a_publication_that_is_not_complete(job: Build, other: str) -> None:
    config = job(output__superseded="delete", vocoder__name=other)
    out = Path(config.output.url)
    run(job())
    before = objects(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "forget_superseded", lambda ledger: None)
        replace = LocalStorage.replace

        def incomplete(self: LocalStorage, name: str, source: Path | bytes) -> None:
            if name == PUBLISHED and isinstance(source, bytes):
                source = json.dumps(sealed({**unsealed(source), "complete": False})).encode()
            replace(self, name, source)

        patch.setattr(LocalStorage, "replace", incomplete)
        assert run(config).deleted == NOTHING
    assert before.keys() <= objects(out).keys()
    assert run(config).deleted.shards == len(before)  # now it is
    assert_whole(out, 24)


def test_an_interrupted_run_deletes_nothing(job: Build, other: str) -> None:
    config = job(output__superseded="delete", vocoder__name=other)
    out = Path(config.output.url)
    run(job())
    before = digests(out)
    interrupted_after(config, 2)
    assert digests(out) == before
    assert_readable(out)


@pytest.fixture
def parts(job: Build, other: str) -> JobConfig:
    run(job())
    return job(output__superseded="delete", vocoder__name=other)


def test_the_last_part_of_a_job_deletes_what_is_superseded(parts: JobConfig) -> None:
    wanted = size_of(Path(parts.output.url))
    report = run_part(parts, Part.parse("0/2")).published
    assert report is not None
    assert report.deleted == wanted
    again = run_part(parts, Part.parse("1/2")).published
    assert again is not None
    assert again.deleted == publish_parts(parts).deleted == NOTHING
    assert_whole(Path(parts.output.url), 24)
