"""gc is killed before and after each of its deletions, and the output is whole."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import tiny_vocoder

from faults.invariant import Reference, assert_invariant, assert_readable
from pipeline.audit import verify
from pipeline.config import JobConfig
from pipeline.garbage import collect_garbage, find_garbage
from pipeline.jobs import run
from pipeline.ledger import STALE, Ledger
from pipeline.records import StoredObject
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


class Killed(BaseException):
    """What no code catches."""


def dies_at(point: int, patch: pytest.MonkeyPatch) -> None:
    """Make the deletions stop at a point: before the first is 0, after it 1, before the second 2.

    So each state is met twice: one is resumed, the other is not.
    """
    delete, passed = LocalStorage.delete, 0

    def counted(storage: LocalStorage, name: str) -> None:
        nonlocal passed
        for step in (lambda: None, lambda: delete(storage, name)):
            step()
            if passed == point:
                raise Killed
            passed += 1

    patch.setattr(LocalStorage, "delete", counted)


def missing(out: Path) -> list[StoredObject]:
    """Objects of commits that are not there."""
    records = Ledger(LocalStorage(out)).commits()
    return [each for record in records for each in record.objects if not (out / each.name).exists()]


@pytest.fixture
def used(small_job: Build, tmp_path: Path) -> tuple[Path, JobConfig]:
    """An output with a superseded vocoder, one of whose shards is marked stale, and an object of a dead attempt."""
    out = Path(small_job().output.url)
    run(small_job())
    old = Ledger(LocalStorage(out)).commit_names()
    config = small_job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1)))
    run(config)
    LocalStorage(out).replace(f"{STALE}/{old[0]}.json", b"{}")
    shutil.copy(out / "data" / f"{old[1]}.tar", out / "data" / "000099-0123abcd.tar")
    return out, config


def test_gc_killed_at_every_point_leaves_a_whole_output(
    used: tuple[Path, JobConfig], small_job: Build, reference: Reference, tmp_path: Path
) -> None:
    made, config = used
    out = shutil.move(made, tmp_path / "made")
    shards = len(Ledger(LocalStorage(out)).commit_names()) // 2
    points = 0
    while True:
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(out, made)
        with pytest.MonkeyPatch.context() as patch:
            dies_at(points, patch)
            try:
                collect_garbage(str(made))
                break
            except Killed:
                points += 1
        assert_readable(made)
        assert not missing(made)
        assert verify(str(made)).exit_code in (0, 12)
        if points % 2:  # resumed
            collect_garbage(str(made))
            assert verify(str(made)).findings == ()
            assert find_garbage(str(made)).garbage == ()
            run(config)
            assert len(Ledger(LocalStorage(made)).commit_names()) == shards
        else:  # or followed by a run that wants back what was being deleted
            run(small_job())
            shutil.rmtree(made / "data" / "000099-0123abcd.tar", ignore_errors=True)
            collect_garbage(str(made))
            assert_invariant(made, reference)
    assert points >= 2 * (shards + 1 + shards + 1)
