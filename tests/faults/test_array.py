"""A job in parts: processes that know nothing of each other, any of which may die."""

import contextlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import Place, located
from support.faults.processes import ended, events_in, session_of, start, until
from support.faults.scale import seeded, trials

from pipeline.config import JobConfig
from pipeline.errors import OwnedError, UnfinishedError
from pipeline.events import Event, Listener, ShardStarted
from pipeline.jobs import run_part as array
from pipeline.jobs import steps
from pipeline.jobs.run import run
from pipeline.jobs.run_part import publish_parts, run_part
from pipeline.jobs.steps import Made
from pipeline.output.garbage import collect_garbage
from pipeline.output.layout import COMMITS, JOB, PARTS
from pipeline.output.status import read_status
from pipeline.planning.parts import Part
from pipeline.planning.prepare import Prepared
from pipeline.storage import open_storage
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]


def commits(config: JobConfig) -> list[Path]:
    return sorted((located(config.output.url) / COMMITS).glob("*"))


@contextlib.contextmanager
def started(config: JobConfig, logs: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many parts, at once."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(ended(start(config, logs / f"{index}.log", "--log-json", "--part", f"{index}/{count}")))
            for index in range(count)
        ]


def test_parts_at_once_make_every_shard_and_the_last_one_publishes(
    small_job: Build, reference: Reference, tmp_path: Path
) -> None:
    config = small_job()
    with started(config, tmp_path, 3) as parts:
        assert [part.wait() for part in parts] == [0, 0, 0]
    assert_invariant(located(config.output.url), reference)
    finished = [events_in(tmp_path / f"{index}.log", "RunFinished") for index in range(3)]
    assert any(finished)
    assert not list(open_storage(config.output.url).list(PARTS))
    assert run(config).run_id == ""  # there is nothing to do


def kill(process: subprocess.Popen[bytes]) -> None:
    """With all its workers, as a node that fails does."""
    for each in session_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)


def test_parts_that_are_killed_are_made_up_for_by_the_others(
    small_job: Build, reference: Reference, outputs: Place, tmp_path: Path
) -> None:
    for number, rng in enumerate(seeded(trials(10, 1), "parts")):
        (tmp_path / str(number)).mkdir()
        config = small_job(output__url=str(outputs / f"audio-{number}"), output__shard_seconds=0.3)
        with started(config, tmp_path / str(number), 4) as parts:
            wanted = rng.randrange(1, 8)
            until(lambda: len(commits(config)) >= wanted, f"commit {wanted}")  # noqa: B023
            for victim in rng.sample(parts, 2):
                kill(victim)
            assert_readable(located(config.output.url))
            codes = [part.wait() for part in parts]
        assert sorted(codes) in ([-9, -9, 0, 0], [-9, 0, 0, 0], [0, 0, 0, 0])
        assert_invariant(located(config.output.url), reference)


def test_a_part_whose_others_never_begin_makes_all(small_job: Build, reference: Reference) -> None:
    config = small_job()
    report = run_part(config, Part(2, 5))
    assert report.published is not None
    assert report.published.totals.utterances == len(reference.digests)
    assert_invariant(located(config.output.url), reference)
    assert run_part(config, Part(0, 5)).run_id == ""


def test_job_json_says_when_the_part_that_published_began(small_job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    began = "2020-01-01T00:00:00+00:00"
    described = steps.describe_job
    monkeypatch.setattr(steps, "describe_job", lambda prepared: {**described(prepared), "started": began})
    config = small_job()
    run_part(config, Part(0, 1))
    assert json.loads((located(config.output.url) / JOB).read_text())["started"] == began


def test_a_part_makes_no_shard_that_another_has_committed_meanwhile(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_job()
    events: list[Event] = []
    make = array.make_shards

    def outrun(prepared: Prepared, listener: Listener, give_up_after: int, part: Part) -> Made:
        """The other part makes its own when this one has made its plan."""
        for task in prepared.plan.tasks(prepared.catalogue, filter(Part(1, 2).owns, prepared.plan.todo)):
            convert_shard(task, prepared.job)
        return make(prepared, listener, give_up_after, part)

    monkeypatch.setattr(array, "make_shards", outrun)
    run_part(config, Part(0, 2), events.append)
    assert_invariant(located(config.output.url), reference)
    begun = [event.shard for event in events if isinstance(event, ShardStarted)]
    assert sorted(begun) == list(range(0, len(commits(config)), 2))


def test_a_whole_run_gc_and_parts_keep_out_of_each_others_way(small_job: Build) -> None:
    config = small_job()
    storage = open_storage(config.output.url)
    with storage.share("part 1/2 of run 7 on there"):
        with pytest.raises(OwnedError, match="part 1/2 of run 7 on there"):
            run(config)
        with pytest.raises(OwnedError, match="part 1/2 of run 7 on there"):
            publish_parts(config)
        report = run_part(config, Part(0, 2))
        assert report.published is None
        with pytest.raises(OwnedError, match="part"):
            collect_garbage(config.output.url)
    assert publish_parts(config).run_id
    assert publish_parts(config).run_id == ""


def test_a_part_waits_for_one_that_publishes_but_not_for_ever(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_job()
    storage = open_storage(config.output.url)
    monkeypatch.setattr(array, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(array, "_LOOK_SECONDS", 0.01)
    with storage.lock("run 7 on there"), pytest.raises(OwnedError, match="run 7 on there"):
        run_part(config, Part(0, 2))
    assert not commits(config)


def test_parts_of_another_job_are_refused(small_job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    config, other = small_job(), small_job(output__codec="wav")
    storage = open_storage(config.output.url)
    monkeypatch.setattr(array, "_LOOK_SECONDS", 0.01)
    with storage.share("part 1/2 of run 7 on there"):
        run_part(config, Part(0, 2))
        with pytest.raises(OwnedError, match=r"parts of another job .*: part .* differ in output\.codec"):
            run_part(other, Part(0, 2))
    assert run_part(other, Part(0, 2)).published is not None


def test_what_is_not_complete_is_not_published(small_job: Build, reference: Reference) -> None:
    config = small_job()
    with contextlib.suppress(KeyboardInterrupt), open_storage(config.output.url).share("part 1/2"):
        run_part(config, Part(0, 2))
    lost = random.Random(0).choice(commits(config))
    lost.unlink()
    with pytest.raises(
        UnfinishedError, match=rf"1 shard is still to be made \({lost.stem}\).* Run the parts"
    ) as caught:
        publish_parts(config)
    assert caught.value.exit_code == 75
    assert not (located(config.output.url) / "manifest.jsonl").exists()
    run_part(config, Part(1, 2))
    assert_invariant(located(config.output.url), reference)


def test_the_parts_tell_how_they_go_until_all_is_published(small_job: Build) -> None:
    config = small_job()
    out = config.output.url
    with open_storage(out).share("part 1/2 of run 7 on there"):
        run_part(config, Part(0, 2))
        told = read_status(out)
        assert [part.part for part in told.parts] == ["0/2"]
        assert told.parts[0].planned.shards == told.parts[0].done.shards == len(commits(config))
    path = located(out) / PARTS / "000001.json"
    path.write_text(json.dumps({**json.loads(told.parts[0].to_json()), "part": "1/2", "state": "running"}))
    assert read_status(out).state == "killed"
    with open_storage(out).share("part 1/2 of run 7 on there"):
        assert read_status(out).state == "running"
    publish_parts(config)
    assert (read_status(out).state, read_status(out).parts) == ("finished", ())
