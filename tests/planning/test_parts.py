import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.planning.parts import WHOLE, Part
from pipeline.planning.plan import PlannedShard


def planned(number: int) -> PlannedShard:
    return PlannedShard(number, f"{number:08x}", np.arange(1), 1.0, "new")


@given(st.sets(st.integers(0, 200), max_size=40), st.integers(1, 12))
def test_every_part_comes_to_every_shard_once_and_to_its_own_first(numbers: set[int], count: int) -> None:
    shards = [planned(number) for number in sorted(numbers)]
    begun = []
    for index in range(count):
        part = Part(index, count)
        order = list(part.order(shards))
        own = [shard for shard in shards if part.owns(shard)]
        assert order[: len(own)] == own
        assert sorted(shard.number for shard in order) == sorted(numbers)
        begun += own
    assert sorted(shard.number for shard in begun) == sorted(numbers)
    assert list(WHOLE.order(shards)) == shards


def test_parts_that_help_come_from_the_end_and_to_another_part_each() -> None:
    shards = [planned(number) for number in range(8)]
    assert [shard.number for shard in Part(0, 4).order(shards)] == [0, 4, 5, 1, 6, 2, 7, 3]
    assert [shard.number for shard in Part(2, 4).order(shards)] == [2, 6, 7, 3, 4, 0, 5, 1]


@pytest.mark.parametrize(
    ("text", "part"), [("0/8", Part(0, 8)), ("7/8", Part(7, 8)), ("8/8", Part(0, 8)), ("0/1", WHOLE), ("1/1", WHOLE)]
)
def test_a_part_is_counted_from_0_or_from_1(text: str, part: Part) -> None:
    assert Part.parse(text) == part


@pytest.mark.parametrize(
    "text", ["", "1", "9/8", "0/0", "-1/8", "1/8/2", "a/b", "1 / 8", "\u0661/8", "1/" + "9" * 5000]
)
def test_what_names_no_part_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match="it must be INDEX/COUNT"):
        Part.parse(text)
