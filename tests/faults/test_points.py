"""Kill -9 before and after every operation on the storage that a run does."""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.corpora import every_byte, rows
from support.faults.children import ahead, run_killed
from support.faults.injection import CHANGES, recording
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import CHANGES_OF_A_RUN, Place, copytree, located, rmtree
from support.faults.scale import spread, trials

from pipeline.config import JobConfig
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import run
from pipeline.output.layout import COMMITS
from pipeline.output.ledger import Ledger
from pipeline.storage import open_storage

Build = Callable[..., JobConfig]


@dataclass(frozen=True)
class Point:
    """Where a run is killed."""

    number: int
    name: str
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.name}"


def points(config: JobConfig, place: Place) -> list[Point]:
    """Every point of a whole run, before and after."""
    place.mkdir()
    with recording(place, CHANGES) as operations:
        run(config)
    return [Point(each.number, str(each), after) for each in operations for after in (False, True)]


def committed(out: Place) -> set[str]:
    return {path.stem for path in (out / COMMITS).glob("*.json")}


def assert_resumes(config: JobConfig, reference: Reference) -> None:
    """A reader is served, one run makes what is missing and nothing else, and the next one finds nothing to do."""
    out = located(config.output.url)
    assert_readable(out)
    for record in Ledger(open_storage(str(out))).commits():
        assert all((out / each.name).exists() for each in record.objects)
    before = committed(out)
    made: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            made.append(event.name)

    run(config, listen)
    assert sorted(made) == sorted(committed(out) - before)
    assert_invariant(out, reference)
    left = every_byte(out)
    assert run(config).run_id == ""
    assert every_byte(out) == left


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_run_killed_at_any_point_is_resumed(
    few_job: Build, few_reference: Reference, fast_path: Place, container: str
) -> None:
    def build(place: Place) -> JobConfig:
        return few_job(output__url=str(place / "audio"), output__container=container)

    def killed(trial: tuple[Place, Point]) -> tuple[JobConfig, Place, int, bool]:
        place, point = trial
        place.mkdir()
        return build(place), place, point.number, point.after

    everywhere = points(build(fast_path / "recorded"), fast_path / "recorded")
    assert len(everywhere) > CHANGES_OF_A_RUN
    chosen = spread(everywhere, trials(3 * len(everywhere), 10))
    for (place, point), code in ahead(run_killed, [(fast_path / str(n), p) for n, p in enumerate(chosen)], killed):
        print(f"killed {point}", flush=True)
        assert code == -signal.SIGKILL
        assert_resumes(build(place), few_reference)
        rmtree(place)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_repack_killed_at_any_point_is_resumed(
    few_job: Build, few_reference: Reference, fast_path: Place, tmp_path: Path, container: str
) -> None:
    """Texts change in a finished output, and the run that copies its audio is killed."""
    texts, finished = tmp_path / "texts.jsonl", fast_path / "finished"
    texts.write_text("".join(json.dumps({"key": key, "text": "new"}) + "\n" for key in few_reference.digests))
    run(few_job(output__url=str(finished / "audio"), output__container=container))

    def build(place: Place) -> JobConfig:
        copytree(finished, place)
        return few_job(output__url=str(place / "audio"), output__container=container, input__meta=str(texts))

    def killed(trial: tuple[Place, Point]) -> tuple[JobConfig, Place, int, bool]:
        place, point = trial
        return build(place), place, point.number, point.after

    config = build(fast_path / "recorded")
    with recording(fast_path / "recorded", CHANGES) as operations:
        run(config)
    everywhere = [Point(each.number, str(each), after) for each in operations for after in (False, True)]
    chosen = spread(everywhere, trials(3 * len(everywhere), 10))
    for (place, point), code in ahead(run_killed, [(fast_path / str(n), p) for n, p in enumerate(chosen)], killed):
        print(f"killed {point}", flush=True)
        assert code == -signal.SIGKILL
        again = few_job(output__url=str(place / "audio"), output__container=container, input__meta=str(texts))
        assert_resumes(again, few_reference)
        out = place / "audio"
        assert {row["meta"]["text"] for row in rows(out)} == {"new"}
        current = {row["shard"].removeprefix("data/").removesuffix(".tar") for row in rows(out)}
        records = {record.name: record for record in Ledger(open_storage(str(out))).commits()}
        assert all(records[name].copied_from in records for name in current)
        rmtree(place)
