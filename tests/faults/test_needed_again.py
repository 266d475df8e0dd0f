"""A superseded shard that is needed again is read before it is published, and made again if it was damaged."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from support.corpora import rows
from support.faults.fixtures import small_job_of
from support.faults.invariant import Reference, assert_invariant
from support.faults.places import Place, copytree, located
from support.killing import interrupted_after

from pipeline.config import JobConfig
from pipeline.errors import UnfinishedError
from pipeline.events import Event, RunStarted, ShardCommitted, SupersededNeeded
from pipeline.jobs.run import plan, run
from pipeline.jobs.run_part import publish_parts, run_part
from pipeline.output.audit import verify
from pipeline.output.garbage import collect_garbage
from pipeline.planning.parts import Part
from pipeline.storage import Storage, open_storage

Build = Callable[..., JobConfig]


@pytest.fixture(scope="module")
def superseded_outputs(
    small_store: Path, vocoder_path: Path, other: str, new_place: Callable[[], Place]
) -> Callable[[str], Place]:
    """Gives, for a container, an output whose shards by the tiny vocoder are superseded by those of another vocoder."""

    @functools.cache
    def made(container: str) -> Place:
        out = new_place() / "audio"
        for vocoder in (vocoder_path, Path(other)):
            run(small_job_of(small_store, vocoder, out, output__container=container))
        return out

    return made


@pytest.fixture
def superseded(small_job: Build, superseded_outputs: Callable[[str], Place]) -> Build:
    """The job whose shards are superseded, on a copy of that output; its keyword is the container."""

    def build(container: str = "tar") -> JobConfig:
        config = small_job(output__container=container)
        copytree(superseded_outputs(container), located(config.output.url))
        return config

    return build


def flip(path: Place) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))


def cut(path: Place) -> None:
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1])


DAMAGE: dict[str, tuple[Callable[[Place], None], str]] = {
    "a byte": (flip, "was damaged since it was made: its sha256 is"),
    "a byte less": (cut, "was damaged since it was made: it holds"),
    "deleted": (lambda path: path.unlink(), "is lost"),
}


def told_by(config: JobConfig, act: Callable[..., object] = run) -> list[Event]:
    told: list[Event] = []
    act(config, listener=told.append)
    return told


def superseded_object(out: Place) -> Place:
    """The first object of shard 0 that the last publication superseded."""
    published = {row["shard"] for row in rows(out)}
    shards = (out / f"data/{path.name}" for path in (out / "data").iterdir() if path.name.startswith("000000-"))
    (shard,) = (each for each in shards if f"data/{each.name}" not in published)
    return shard if shard.suffix == ".tar" else min(shard.iterdir(), key=lambda path: path.name)


def made_by(told: list[Event]) -> list[int]:
    return [each.shard for each in told if isinstance(each, ShardCommitted)]


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_shard_that_is_needed_again_is_made_again(
    superseded: Build, reference: Reference, name: str, container: str
) -> None:
    config = superseded(container)
    out = located(config.output.url)
    damage, why = DAMAGE[name]
    damage(superseded_object(out))
    there = len({row["shard"] for row in rows(out)}) - (name == "deleted")
    assert plan(config).needed_again == there  # which reads no object
    told = told_by(config)
    (needed,) = (each for each in told if isinstance(each, SupersededNeeded))
    assert needed.shards == there
    (started,) = (each for each in told if isinstance(each, RunStarted))
    assert [(each.shards, why in each.words) for each in started.reasons] == [(1, True)]
    assert made_by(told) == [0]
    assert_invariant(out, reference)
    assert plan(config).needed_again == 0
    collect_garbage(str(out))
    assert_invariant(out, reference)


def test_what_is_whole_is_read_once_and_not_made_again(
    superseded: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = superseded()
    out = located(config.output.url)
    read: list[str] = []
    kind = type(open_storage(str(out)))
    plain = kind.read
    monkeypatch.setattr(kind, "read", lambda self, name: read.append(name) or plain(self, name))
    told = told_by(config)
    assert made_by(told) == []
    names = {row["shard"] for row in rows(out)}
    assert sorted(name for name in read if name.startswith("data/")) == sorted(names)
    assert needed_sizes(told) == [(len(names), sum(len((out / name).read_bytes()) for name in names))]
    read.clear()
    assert told_by(config)
    assert not [name for name in read if name.startswith("data/")]
    assert_invariant(out, reference)


def needed_sizes(told: list[Event]) -> list[tuple[int, int]]:
    return [(each.shards, each.bytes) for each in told if isinstance(each, SupersededNeeded)]


def test_a_run_that_resumes_reads_nothing_of_what_it_made(small_job: Build, reference: Reference) -> None:
    config = small_job()
    out = located(config.output.url)
    interrupted_after(config, 2)
    interrupted_after(config, 1)
    told = told_by(config)
    assert needed_sizes(told) == []
    assert_invariant(out, reference)


def test_it_is_read_again_if_the_run_is_stopped_before_it_publishes(
    superseded: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = superseded()
    out = located(config.output.url)
    victim = superseded_object(out)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.jobs.steps.publish", stopped)
        with pytest.raises(KeyError, match="stopped"):
            run(config)
    flip(victim)
    assert made_by(told_by(config)) == [0]
    assert_invariant(out, reference)


def stopped(*_: object) -> None:
    raise KeyError("stopped")


def test_a_plan_writes_nothing_and_reads_no_audio(superseded: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    config = superseded()
    out = located(config.output.url)
    before = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    kind = type(open_storage(str(out)))
    plain = kind.read

    def read(storage: Storage, name: str) -> object:
        assert not name.startswith("data/")
        return plain(storage, name)

    monkeypatch.setattr(kind, "read", read)
    found = plan(config)
    assert found.needed_again == found.describe()["needed_again"] == len(found.done)
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", DAMAGE)
def test_a_part_makes_its_own_damaged_shard_again(superseded: Build, reference: Reference, name: str) -> None:
    config = superseded()
    out = located(config.output.url)
    DAMAGE[name][0](superseded_object(out))  # of shard 0, which is part 0's
    part = Part.parse("0/2")
    told = told_by(config, lambda config, listener: run_part(config, part, listener))
    assert made_by(told) == [0]
    assert_invariant(out, reference)


def test_the_part_that_publishes_reads_what_parts_that_have_not_begun_would_read(
    superseded: Build, reference: Reference
) -> None:
    config = superseded()
    out = located(config.output.url)
    flip(superseded_object(out))
    published = (out / "manifest.jsonl").read_bytes()
    with pytest.raises(UnfinishedError, match="1 shard is still to be made"):
        run_part(config, Part.parse("1/2"))
    assert (out / "manifest.jsonl").read_bytes() == published
    with pytest.raises(UnfinishedError, match="1 shard is still to be made"):
        publish_parts(config)
    assert run_part(config, Part.parse("1/2")).published is not None
    assert_invariant(out, reference)


def test_publish_reads_them_too(superseded: Build, reference: Reference) -> None:
    config = superseded()
    out = located(config.output.url)
    cut(superseded_object(out))
    with pytest.raises(UnfinishedError, match="1 shard is still to be made"):
        publish_parts(config)
    run(config)
    assert verify(str(out)).exit_code == 0
    assert_invariant(out, reference)
