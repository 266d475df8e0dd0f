"""The power is cut after any operation of a run, and what was not synced is gone, or half there, or garbage."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.corpora import digests
from support.faults.disk import Disk, Fate, Tree
from support.faults.injection import CHANGES, Injection, Operation
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.scale import spread, trials

from pipeline.config import JobConfig
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import run
from pipeline.output.layout import COMMITS, PUBLISHED
from pipeline.storage import PRIVATE, SCRATCH

Build = Callable[..., JobConfig]
OUT = "audio"
NO_OBJECTS = (f"{OUT}/{SCRATCH}", f"{OUT}/{PRIVATE}/run.lock")
FATES: tuple[Fate, ...] = ("nothing more", "names, no content", "names, garbage", "anything", "anything", "anything")


@dataclass(frozen=True)
class Promise:
    """What outlives a power cut from now on."""

    objects: Tree


@dataclass(frozen=True)
class Cut:
    """What a power cut left.

    Args:
        where: the last operation before it, and the fate of what was not synced.
        tree: that is there.
        promised: that must be there.
    """

    where: str
    tree: Tree
    promised: Tree

    def broken(self) -> set[str]:
        """What was promised and is not there, or not as it was."""
        return {name for name, content in self.promised.items() if self.tree.get(name) != content}

    def signature(self) -> frozenset[tuple[str, bytes | None]]:
        """Equal if what a run takes note of is equal."""
        return frozenset(each for each in self.tree.items() if not each[0].startswith(NO_OBJECTS))


Step = Operation | Promise


def recorded(config: JobConfig, place: Path) -> list[Step]:
    """A run: its operations, a promise of each shard once it is committed, and of everything once it is published."""
    steps: list[Step] = []
    out = place / OUT

    def listen(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            commit = f"{COMMITS}/{event.name}.json"
            names = [commit, *(each["name"] for each in json.loads((out / commit).read_bytes())["objects"])]
            steps.append(Promise({f"{OUT}/{name}": (out / name).read_bytes() for name in names}))

    with Injection(place, after=steps.append, kinds=CHANGES):
        report = run(config, listen)
    if not report.run_id:
        return steps  # it did nothing, and so has nothing to promise
    tree = {str(path.relative_to(place)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    forgettable = (*NO_OBJECTS, f"{OUT}/{PUBLISHED}")  # if it is lost, the next run publishes once more
    return [*steps, Promise({name: each for name, each in tree.items() if not name.startswith(forgettable)})]


def cuts(before: Iterable[Step], steps: Iterable[Step]) -> Iterator[Cut]:
    """What power cuts leave after each of the steps, which follow others that the power outlived."""
    disk, promised = Disk(), {}
    for step in before:
        promised |= follow(disk, step)
    promised = {name: each for name, each in promised.items() if "/data/" in name or COMMITS in name}  # for ever
    for number, step in enumerate(steps):
        promised = promised | follow(disk, step)
        for index, fate in enumerate(FATES):
            tree = disk.after_power_cut(fate, random.Random(f"{number} {index}"))
            yield Cut(f"{step if isinstance(step, Operation) else 'the promise'}: {fate}", tree, promised)


def follow(disk: Disk, step: Step) -> Tree:
    if isinstance(step, Promise):
        return step.objects
    disk.apply(step)
    return {}


def restore(tree: Tree, place: Path) -> None:
    """The tree as a folder, in place of what was there."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, content in tree.items():
        if content is None:
            (place / name).mkdir()
        else:
            (place / name).write_bytes(content)


def survives(cut: Cut, config: JobConfig, place: Path, reference: Reference) -> None:
    """What was promised is there, a reader is served, and one run makes the rest."""
    out = place / OUT
    restore(cut.tree, place)
    assert_readable(out)
    run(config)
    assert_invariant(out, reference)


def all_survive(everywhere: Iterable[Cut], count: int, config: JobConfig, place: Path, reference: Reference) -> None:
    """No cut breaks a promise, and of those that differ in what a run sees, so many are resumed."""
    different: dict[frozenset[tuple[str, bytes | None]], Cut] = {}
    for cut in everywhere:
        assert not cut.broken(), cut.where
        different.setdefault(cut.signature(), cut)
    chosen = list(different.values())
    print(f"{len(chosen)} different disks")
    for cut in spread(chosen, min(len(chosen), trials(len(chosen), count))):
        print(f"power cut after {cut.where}", flush=True)
        survives(cut, config, place, reference)


@pytest.fixture
def place(fast_path: Path) -> Path:
    path = fast_path / "place"
    path.mkdir()
    return path


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_power_cut_during_a_first_run_loses_nothing_that_was_committed(
    few_job: Build, few_reference: Reference, place: Path, container: str
) -> None:
    config = few_job(output__url=str(place / OUT), output__container=container)
    all_survive(cuts([], recorded(config, place)), 10, config, place, few_reference)


def test_a_power_cut_during_a_run_that_makes_all_anew_leaves_the_old_or_the_new(few_job: Build, place: Path) -> None:
    config = few_job(output__url=str(place / OUT))
    first = recorded(config, place)
    config = few_job(output__url=str(place / OUT), output__subtype="PCM_24")
    second = recorded(config, place)
    reference = Reference(digests(place / OUT))
    all_survive(cuts(first, second), 8, config, place, reference)


@pytest.mark.parametrize(("container", "brief"), [("tar", 20), ("files", 2)])
def test_a_power_cut_after_a_killed_run_was_resumed_loses_nothing(
    few_job: Build, few_reference: Reference, place: Path, container: str, brief: int
) -> None:
    """The killed run gave a name and did not live to sync it: the next one must."""
    config = few_job(output__url=str(place / OUT), output__container=container)
    first = recorded(config, place)
    for killed in spread(namings(first), min(len(namings(first)), trials(1000, brief))):
        disk = Disk()
        for step in first[:killed]:
            follow(disk, step)
        restore(disk.now(), place)
        print(f"killed after {first[killed - 1]}")
        all_survive(cuts(first[:killed], recorded(config, place)), 1, config, place, few_reference)


def namings(steps: Sequence[Step]) -> list[int]:
    """How many steps were done when something got the name under which it stays."""
    return [
        number
        for number, step in enumerate(steps, 1)
        if isinstance(step, Operation)
        and step.kind in ("mkdir", "link", "replace")
        and not (step.target or step.path).startswith(NO_OBJECTS)
    ]


def test_without_the_syncs_of_any_one_thing_a_power_cut_breaks_a_promise(few_job: Build, place: Path) -> None:
    """None of them is there for nothing, and this disk forgets what was not synced."""
    steps = recorded(few_job(output__url=str(place / OUT), output__container="files"), place)
    disk, things = Disk(), set()
    for step in steps:
        if isinstance(step, Operation) and disk.apply(step) and step.kind == "fsync":
            things.add(anonymous(step.path))
    print(sorted(things))
    assert {".", OUT, f"{OUT}/data", f"{OUT}/data/*", f"{OUT}/{COMMITS}", f"{OUT}/{SCRATCH}/*/object"} < things
    for thing in things:
        without = [
            step for step in steps if isinstance(step, Promise) or step.kind != "fsync" or anonymous(step.path) != thing
        ]
        assert any(cut.broken() for cut in cuts([], without)), thing


def anonymous(path: str) -> str:
    """The path with stars for names that differ from run to run or from shard to shard."""
    return re.sub(r"(?<=/)([0-9a-f]{32}|\d{6}-[0-9a-f]{8}|\d+(?=$))", "*", path)
