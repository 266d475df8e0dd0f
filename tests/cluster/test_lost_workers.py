"""Whom to blame for lost workers, without workers."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cluster.lost_workers import DEATHS, UNSEEN_DEATHS, Blame, Suspect
from pipeline.planning.plan import ShardTask
from pipeline.stores.base import Utterance, Utterances


def shard(size: int) -> ShardTask:
    return ShardTask(3, "f" * 32, Utterances.of(Utterance(i, f"u{i}", 40, "00" * 16, i) for i in range(size)))


def search(task: ShardTask, survives: Callable[[list[str]], bool]) -> tuple[dict[str, str], int]:
    """Who is condemned, and how many workers that took."""
    suspect, deaths = Suspect(task), 0
    while suspect.group is not None and not suspect.setup_is_at_fault:
        if survives([each.key for each in suspect.group]):
            suspect.survived()
        else:
            suspect.lost("died")
            deaths += 1
    return suspect.condemned, deaths


@given(st.integers(1, 200), st.data())
def test_exactly_the_guilty_are_condemned(size: int, data: st.DataObject) -> None:
    guilty = data.draw(st.sets(st.integers(0, size - 1), max_size=4))
    condemned, deaths = search(shard(size), lambda keys: not any(f"u{i}" in keys for i in guilty))
    assert condemned.keys() == {f"u{i}" for i in guilty}
    assert deaths <= len(guilty) * (DEATHS + size.bit_length())


@given(st.integers(1, 60), st.randoms(use_true_random=False))
def test_workers_that_are_preempted_now_and_then_condemn_nobody(size: int, chance: random.Random) -> None:
    """Never three times over the same utterance alone, which is what a guilty one does."""
    losses: Counter[tuple[str, ...]] = Counter()

    def survives(keys: list[str]) -> bool:
        group = tuple(keys)
        lost = chance.random() < 0.6 and (len(group) > 1 or losses[group] < DEATHS - 1)
        losses[group] += lost
        return not lost

    condemned, _ = search(shard(size), survives)
    assert condemned == {}


def test_what_lost_several_workers_at_once_is_not_tried_as_often() -> None:
    """Another's scheduler may itself try again before it tells."""
    suspect = Suspect(shard(1))
    suspect.survived()
    suspect.lost("died", 4)
    assert suspect.condemned == {"u0": "every worker that made it died, 4 of them while it was alone"}


def test_workers_that_die_without_any_utterance_are_another_matter() -> None:
    suspect = Suspect(shard(5))
    for _ in range(DEATHS):
        assert not suspect.setup_is_at_fault
        suspect.lost("died")
    assert suspect.setup_is_at_fault
    assert suspect.condemned == {}


@pytest.mark.parametrize("how", ["died", "hung for 300 s"])
def test_the_reason_says_how_the_workers_were_lost(how: str) -> None:
    suspect = Suspect(shard(1))
    suspect.survived()
    for _ in range(DEATHS):
        suspect.lost(how)
    assert how in suspect.condemned["u0"]
    assert suspect.group is None


def test_only_workers_that_had_begun_count_soon_against_a_shard() -> None:
    blame, task = Blame(), shard(3)
    for _ in range(DEATHS - 1):
        assert blame.lost(task, 1, "died").again == task
    assert blame.lost(task, 1, "died").again is None
    assert [suspect.task for suspect in blame.suspects] == [task]
    blame = Blame()
    for _ in range(UNSEEN_DEATHS - 1):
        verdict = blame.lost(task, 0, "died")
        assert (verdict.again, verdict.words) == (task, "")
    assert "10 workers were lost with it" in blame.lost(task, 0, "died").words


def test_a_shard_that_is_acquitted_is_tried_once_more_and_then_given_up() -> None:
    blame, task = Blame(), shard(3)
    for abandoned in (False, True):
        blame.lost(task, DEATHS, "died")
        (suspect,) = blame.suspects
        while suspect.group is not None:
            suspect.survived()
        verdict = blame.tried(suspect)
        assert verdict is not None
        assert (verdict.abandoned, verdict.again) == (abandoned, None if abandoned else task)
        assert not blame.suspects


def test_a_shard_is_made_again_without_what_was_condemned() -> None:
    blame, task = Blame(), shard(4)
    blame.lost(task, DEATHS, "hung for 5 s")
    (suspect,) = blame.suspects
    while suspect.group is not None:
        assert blame.tried(suspect) is None
        if "u2" in [each.key for each in suspect.group]:
            suspect.lost("died")
        else:
            suspect.survived()
    verdict = blame.tried(suspect)
    assert verdict is not None
    assert verdict.again is not None
    assert set(verdict.again.condemned) == {"u2"}
    assert "'u2'" in verdict.words
