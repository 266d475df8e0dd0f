"""gc, or a run that deletes what it superseded, is killed before and after each deletion, and the output is whole."""

from collections.abc import Callable, Iterator

import pytest
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import ON_S3, Place, copy, copytree, located, move, rmtree
from support.faults.scale import FULL
from support.killing import Killed, dies_at

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.output.audit import verify
from pipeline.output.garbage import collect_garbage, find_garbage
from pipeline.output.layout import STALE
from pipeline.output.ledger import Ledger
from pipeline.output.records import StoredObject
from pipeline.storage import open_storage

Build = Callable[..., JobConfig]


STEP = 1 if FULL or not ON_S3 else 3
"""From one point to the next; odd, so that both sorts are met."""


def missing(out: Place) -> list[StoredObject]:
    """Objects of commits that are not there."""
    records = Ledger(open_storage(str(out))).commits()
    return [each for record in records for each in record.objects if not (out / each.name).exists()]


def killed_at_every_point(out: Place, made: Place, delete: Callable[[], object]) -> Iterator[int]:
    """Each point at which `delete` was killed, on a new copy of an output, until it comes to its end."""
    points = 0
    while True:
        rmtree(made, ignore_errors=True)
        copytree(out, made)
        with pytest.MonkeyPatch.context() as patch:
            dies_at(str(made), points, patch)
            try:
                delete()
                return
            except Killed:
                points += STEP
        assert_readable(made)
        assert not missing(made)
        assert verify(str(made)).exit_code in (0, 12)
        yield points


@pytest.fixture
def used(small_job: Build, other: str) -> tuple[Place, JobConfig]:
    """An output with a superseded vocoder, one of whose shards is marked stale, and an object of a dead attempt."""
    out = located(small_job().output.url)
    run(small_job())
    old = Ledger(open_storage(str(out))).commit_names()
    config = small_job(vocoder__name=other)
    run(config)
    open_storage(str(out)).replace(f"{STALE}/{old[0]}.json", b"{}")
    copy(out / "data" / f"{old[1]}.tar", out / "data" / "000099-0123abcd.tar")
    return out, config


def test_gc_killed_at_every_point_leaves_a_whole_output(
    used: tuple[Place, JobConfig], small_job: Build, reference: Reference, outputs: Place
) -> None:
    made, config = used
    out = move(made, outputs / "made")
    shards = len(Ledger(open_storage(str(out))).commit_names()) // 2
    points = 0
    for points in killed_at_every_point(out, made, lambda: collect_garbage(str(made))):
        if points % 2:  # resumed
            collect_garbage(str(made))
            assert verify(str(made)).findings == ()
            assert find_garbage(str(made)).garbage == ()
            run(config)
            assert len(Ledger(open_storage(str(made))).commit_names()) == shards
        else:  # or followed by a run that wants back what was being deleted
            run(small_job())
            rmtree(made / "data" / "000099-0123abcd.tar", ignore_errors=True)
            collect_garbage(str(made))
            assert_invariant(made, reference)
    assert points >= 2 * (shards + 1 + shards + 1)


def test_a_run_killed_while_it_deletes_leaves_a_whole_output_and_the_next_one_deletes_the_rest(
    few_job: Build, other: str, few_reference: Reference, outputs: Place
) -> None:
    made = located(few_job().output.url)
    config = few_job(output__superseded="delete", vocoder__name=other)
    back = few_job(output__superseded="delete")
    run(few_job())
    out = move(made, outputs / "made")
    superseded = len(Ledger(open_storage(str(out))).commit_names())
    points = 0
    for points in killed_at_every_point(out, made, lambda: run(config)):
        run(config if points % 2 else back)  # or what was being deleted is wanted back
        assert find_garbage(str(made)).garbage == ()
        if points % 2:
            assert verify(str(made)).findings == ()
        else:
            assert_invariant(made, few_reference)
    assert points >= 2 * (superseded + superseded)
    assert find_garbage(str(made)).garbage == ()
