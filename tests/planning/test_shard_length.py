"""How long shards are where the job leaves it open, and that a run keeps what an earlier one began with."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import JobConfig
from pipeline.jobs.steps import describe_job
from pipeline.planning import shard_length
from pipeline.planning.parts import WHOLE, Part
from pipeline.planning.prepare import prepare
from pipeline.planning.shard_length import LONGEST_SECONDS, begun_with, shard_seconds

Build = Callable[..., JobConfig]


@given(st.floats(1, 1e8), st.integers(1, 5000))
def test_all_workers_have_work(seconds: float, workers: int) -> None:
    length = shard_seconds(seconds, workers)
    shards = seconds / length
    assert length <= LONGEST_SECONDS
    assert length >= min(40, seconds) * 0.999
    assert shards >= min(workers, seconds / 40 - 1)
    assert length == LONGEST_SECONDS or shards < 10.01 * workers
    assert length == LONGEST_SECONDS or shards < workers or round(shards) % workers == 0


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards may be as short as the prompts are few."""
    monkeypatch.setattr(shard_length, "_SHORTEST_SECONDS", 2.0)


def names(config: JobConfig, parts: int = 1) -> list[str]:
    return [shard.name for shard in prepare(config, parts=parts).plan.todo]


@pytest.mark.usefixtures("short")
def test_the_length_of_shards_is_that_with_which_the_output_was_begun(job: Build) -> None:
    def with_workers(number: int) -> JobConfig:
        return job(output__shard_seconds=None, cluster__kind="local", cluster__workers=number)

    begun = prepare(with_workers(1))
    shards = [shard.name for shard in begun.plan.todo]
    assert names(with_workers(7)) != shards
    begun.ledger.write_job(describe_job(begun))  # as a run does before its first shard
    assert names(with_workers(7)) == names(job(output__shard_seconds=None)) == shards
    assert names(job(output__shard_seconds=2)) != shards


@pytest.mark.usefixtures("short")
def test_parts_of_a_job_make_the_same_plan_on_clusters_of_any_size(job: Build) -> None:
    plans = [
        names(job(output__shard_seconds=None, cluster__kind="local", cluster__workers=number), parts=3)
        for number in (1, 2, 5)
    ]
    assert plans[0] == plans[1] == plans[2]
    assert len(plans[0]) > 3


@pytest.mark.parametrize("described", [None, {}, {"job": {}}, {"job": {"output": {"shard_seconds": None}}}])
def test_an_output_that_does_not_say_its_length_has_none(described: dict[str, Any] | None) -> None:
    assert begun_with(described) is None


@pytest.mark.parametrize("part", [WHOLE, Part(1, 2)])
def test_long_shards_come_first(job: Build, part: Part) -> None:
    shards = list(part.order(prepare(job(output__shard_seconds=1)).plan.todo))
    own = [shard.seconds for shard in shards if part.owns(shard)]
    assert len(own) > 5
    assert own == sorted(own, reverse=True)
    assert shards[: len(own)] == [shard for shard in shards if part.owns(shard)]
