import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commits import no_memory, record_of

from pipeline.config import Job, JobConfig
from pipeline.melspec import PRESETS
from pipeline.output.commit_heads import head_of
from pipeline.output.records import ShardRecord
from pipeline.planning.commit_index import index_commits
from pipeline.planning.plan import Plan, plan_shards
from pipeline.stores.base import Catalogue

SPEC = PRESETS["hifigan-22k"]
FRAMES_A_SECOND = SPEC.sample_rate / SPEC.hop_length


def catalogue(
    utterances: dict[str, int], changed: Iterable[str] = (), faults: dict[int, str] | None = None
) -> Catalogue:
    """Utterances by key and frames; `changed` have other mels than they would otherwise."""
    changed = set(changed)
    digests = [hashlib.blake2b(f"{key} {key in changed}".encode(), digest_size=16).digest() for key in utterances]
    frames = np.array(list(utterances.values()), np.int64)
    return Catalogue(
        keys=np.array(list(utterances), dtype=np.dtypes.StringDType()),
        frames=frames,
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16),
        where=np.cumsum(frames) - frames,
        faults=faults or {},
    )


def a_job(vocoder: str = "aaaa", generation: int = 1, **output: object) -> Job:
    config = JobConfig.build({"input": {"store": "s"}, "output": {"url": "o", "shard_seconds": 10, **output}})
    return Job(config, SPEC, vocoder, "run", generation)


def plan(catalogue: Catalogue, job: Job, commits: Iterable[ShardRecord] = (), stale: Mapping[str, str] = {}) -> Plan:
    committed = index_commits(catalogue, map(head_of, sorted(commits, key=lambda record: record.name)))
    return plan_shards(
        catalogue, job, committed, stale, lambda first, last: 1000 * (last.index - first.index + 1), no_memory
    )


def commit(plan: Plan, catalogue: Catalogue, job: Job, numbers: Iterable[int] | None = None) -> list[ShardRecord]:
    """The commit records of the plan's shards."""
    wanted = set(numbers) if numbers is not None else None
    return [record_of(task, job) for task in plan.tasks(catalogue) if wanted is None or task.number in wanted]


def homes(plan: Plan, catalogue: Catalogue) -> dict[str, int]:
    return {str(catalogue.keys[i]): shard.number for shard in (*plan.todo, *plan.done) for i in shard.members}


TEN = {f"u{i}": 400 for i in range(10)}  # 4.6 s each: three to a shard of 10 s
corpora = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 3000), min_size=1, max_size=60)


def test_shards_follow_the_stores_order_and_close_when_they_are_full() -> None:
    plan_ = plan(catalogue(TEN), a_job())
    assert [shard.members.tolist() for shard in plan_.todo] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert {shard.reason for shard in plan_.todo} == {"new"}
    assert plan_.seconds == pytest.approx(4000 / FRAMES_A_SECOND)


@given(corpora, st.floats(1, 60))
def test_every_utterance_is_in_exactly_one_shard(utterances: dict[str, int], shard_seconds: float) -> None:
    plan_ = plan(catalogue(utterances), a_job(shard_seconds=shard_seconds))
    assert sorted(i for shard in plan_.todo for i in shard.members) == list(range(len(utterances)))
    assert [shard.number for shard in plan_.todo] == list(range(len(plan_.todo)))
    assert all(shard.seconds >= shard_seconds for shard in plan_.todo[:-1])


@given(corpora, st.data())
def test_an_interrupted_run_planned_again_is_the_same_plan(utterances: dict[str, int], data: st.DataObject) -> None:
    corpus, job = catalogue(utterances), a_job()
    first = plan(corpus, job)
    kept = data.draw(st.sets(st.sampled_from([shard.number for shard in first.todo])))
    again = plan(corpus, job, commit(first, corpus, job, kept))
    assert {shard.number for shard in again.done} == kept
    assert {shard.name for shard in first.todo} == {shard.name for shard in (*again.todo, *again.done)}
    assert homes(first, corpus) == homes(again, corpus)


def test_a_finished_job_has_nothing_to_do() -> None:
    corpus, job = catalogue(TEN), a_job()
    again = plan(corpus, job, commit(plan(corpus, job), corpus, job))
    assert (again.todo, len(again.done), again.seconds, again.read_amplification) == ((), 4, 0, 0)


def test_a_changed_mel_makes_only_its_shard_stale_and_says_why() -> None:
    job, before, after = a_job(), catalogue(TEN), catalogue(TEN, changed=["u4"])
    again = plan(after, job, commit(plan(before, job), before, job))
    assert [(shard.number, shard.reason) for shard in again.todo] == [(1, "1 of 3 mels changed")]


def test_a_removed_utterance_makes_only_its_shard_stale() -> None:
    job, before = a_job(), catalogue(TEN)
    after = catalogue({key: n for key, n in TEN.items() if key != "u0"})
    again = plan(after, job, commit(plan(before, job), before, job))
    assert [(shard.number, shard.reason) for shard in again.todo] == [(0, "1 of 3 utterances is no longer in it")]


def test_new_utterances_get_new_shards_wherever_they_stand() -> None:
    job, before = a_job(), catalogue(TEN)
    after = catalogue({"new0": 100, **dict(list(TEN.items())[:5]), "new1": 100, **dict(list(TEN.items())[5:])})
    again = plan(after, job, commit(plan(before, job), before, job))
    assert [(shard.number, shard.reason) for shard in again.todo] == [(4, "new"), (5, "new")]
    assert len(again.done) == 4


@given(corpora, st.data())
def test_utterances_keep_their_shard_whatever_comes_and_goes(utterances: dict[str, int], data: st.DataObject) -> None:
    job, before = a_job(), catalogue(utterances)
    first = plan(before, job)
    kept = data.draw(st.sets(st.sampled_from(sorted(utterances))))
    order = data.draw(st.permutations(sorted(kept | {f"new{i}" for i in range(3)})))
    after = catalogue({key: utterances.get(key, 50) for key in order})
    old, new = homes(first, before), homes(plan(after, job, commit(first, before, job)), after)
    assert set(new) == set(order)
    assert all(new[key] == old[key] for key in kept)
    assert not {new[key] for key in new if key not in old} & set(old.values())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (a_job(vocoder="bbbb"), "vocoder aaaa -> bbbb"),
        (a_job(subtype="PCM_24"), "output tar flac PCM_16 -> tar flac PCM_24"),
        (dataclasses.replace(a_job(), mel=dataclasses.replace(SPEC, log="log10")), "the mel contract changed"),
    ],
)
def test_a_change_to_the_job_makes_every_shard_stale_and_says_why(changed: Job, reason: str) -> None:
    corpus, job = catalogue(TEN), a_job()
    again = plan(corpus, changed, commit(plan(corpus, job), corpus, job))
    assert [shard.reason for shard in again.todo] == [reason] * 4


def test_what_is_marked_stale_is_made_again_beside_it_as_often_as_it_is_marked() -> None:
    corpus, job = catalogue(TEN), a_job()
    commits, stale, names = commit(plan(corpus, job), corpus, job), {}, set()
    for reason in ("2 were quarantined", "its object is lost"):
        victim = plan(corpus, job, commits, stale).done[2].name
        names.add(victim)
        stale[victim] = reason
        again = plan(corpus, job, commits, stale)
        assert [(shard.number, shard.reason) for shard in again.todo] == [(2, reason)]
        assert again.todo[0].name not in names
        commits += commit(again, corpus, job)
        assert plan(corpus, job, commits, stale).todo == ()


def test_a_revision_counts_alone_too() -> None:
    """As after a gc that has deleted what it superseded, and the mark."""
    corpus, job = catalogue(TEN), a_job()
    first = commit(plan(corpus, job), corpus, job)
    victim = plan(corpus, job, first).done[2].name
    second = commit(plan(corpus, job, first, {victim: "marked"}), corpus, job)
    left = [each for each in first if each.name != victim] + second
    assert plan(corpus, job, left).todo == ()
    (again,) = plan(corpus, job, left, {second[0].name: "marked too"}).todo
    assert again.name not in {victim, second[0].name}


def test_a_shard_whose_name_another_one_has_gets_another_name() -> None:
    """Names have eight digits of the fingerprint."""
    corpus, job = catalogue(TEN), a_job()
    wanted = plan(corpus, job).todo[0]
    other = dataclasses.replace(
        commit(plan(corpus, job), corpus, job)[0], fingerprint=wanted.fingerprint[:8] + "0" * 24
    )
    assert other.name == wanted.name
    again = plan(corpus, job, [other])
    assert (again.todo[0].fingerprint, again.todo[0].revision) == (wanted.fingerprint, 1)
    assert again.todo[0].name != other.name
    assert plan(corpus, job, [other, *commit(again, corpus, job)]).todo == ()


def test_a_mark_does_not_outlive_a_change() -> None:
    corpus, job, after = catalogue(TEN), a_job(), catalogue(TEN, changed=["u4"])
    commits = commit(plan(corpus, job), corpus, job)
    stale = {plan(corpus, job, commits).done[1].name: "marked"}
    assert [(shard.number, shard.reason) for shard in plan(after, job, commits, stale).todo] == [
        (1, "1 of 3 mels changed")
    ]


def test_going_back_to_an_earlier_vocoder_finds_its_shards_again() -> None:
    corpus, old, new = catalogue(TEN), a_job("aaaa", 1), a_job("bbbb", 2)
    commits = commit(plan(corpus, old), corpus, old)
    commits += commit(plan(corpus, new, commits), corpus, new)
    assert plan(corpus, a_job("aaaa", 3), commits).todo == ()


@pytest.mark.parametrize("field", ["run_id", "generation"])
def test_the_run_does_not_change_the_fingerprint(field: str) -> None:
    corpus, job = catalogue(TEN), a_job()
    other = dataclasses.replace(job, **{field: 7})
    assert [s.name for s in plan(corpus, job).todo] == [s.name for s in plan(corpus, other).todo]


def test_the_workers_and_the_window_do_not_change_the_fingerprint() -> None:
    corpus = catalogue(TEN)
    values = {"input": {"store": "s"}, "output": {"url": "o", "shard_seconds": 10}}
    names = {
        tuple(shard.name for shard in plan(corpus, Job(JobConfig.build({**values, **more}), SPEC, "aaaa", "r", 1)).todo)
        for more in ({}, {"cluster": {"workers": 7}}, {"vocoder": {"window": 64}}, {"quality": {"mel_distance": False}})
    }
    assert len(names) == 1


def test_faulty_and_endless_utterances_are_refused_with_reasons_and_the_others_planned() -> None:
    corpus = catalogue({**TEN, "endless": 3_000_000}, faults={2: "offsets go back at row 800"})
    plan_ = plan(corpus, a_job())
    assert [(failure.key, failure.reason[:25]) for failure in plan_.refused] == [
        ("u2", "offsets go back at row 80"),
        ("endless", "it lasts 34829.9 s, more "),
    ]
    assert sum(len(shard.members) for shard in plan_.todo) == 9
    assert plan_.utterances == 11


def test_read_amplification_is_the_chunks_bytes_over_the_mels() -> None:
    plan_ = plan(catalogue(TEN), a_job())
    assert (plan_.read_bytes, plan_.wanted_bytes) == (10_000, 4000 * 80 * 4)
    assert plan_.read_amplification == pytest.approx(10_000 / 1_280_000)
