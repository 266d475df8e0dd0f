"""What commits and run records say of how a run went: for people, and never in the way of a run."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.corpora import every_byte, rows

from pipeline.config import JobConfig
from pipeline.errors import StorageError
from pipeline.events import ShardAbandoned, ShardRetried
from pipeline.jobs.reporting import reporting
from pipeline.jobs.run import run
from pipeline.output.layout import RUNS
from pipeline.output.ledger import Ledger
from pipeline.output.run_records import MOST_RETRIES, RunRecord, run_records
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


def records(config: JobConfig) -> list[RunRecord]:
    return list(run_records(LocalStorage(Path(config.output.url))))


def test_a_commit_says_which_worker_made_it_when_and_how_long_each_stage_took(job: Build) -> None:
    begun = time.time()
    report = run(job())
    makings = [head.making for head in Ledger(LocalStorage(Path(job().output.url))).heads()]
    assert len(makings) > 3
    for making in makings:
        assert making is not None
        assert (making.run_id, making.worker) == (report.run_id, "this process")
        assert begun - 0.001 <= making.began < making.ended <= time.time() + 0.001
        spent = dataclasses.asdict(making.stages)
        assert spent["decode"] > 0
        assert 0 < sum(spent.values()) <= making.ended - making.began + 0.003


def test_a_run_leaves_a_record_of_what_it_made_and_why(job: Build, other: str) -> None:
    first, second = run(job()), run(job(vocoder__name=other))
    found = {record.run_id: record for record in records(job())}
    one, two = found.pop(first.run_id), found.pop(second.run_id)
    assert found == {}
    assert (one.outcome, two.outcome) == ("finished", "finished")
    assert one.planned.utterances == one.done.utterances == len(rows(Path(job().output.url)))
    assert [reason.words for reason in one.reasons] == ["new"]
    assert [reason.words.split()[0] for reason in two.reasons] == ["vocoder"]
    assert one.before is None
    assert two.before == first.totals
    assert (one.retries, one.retries_total, one.failed) == ((), 0, 0)
    assert one.elapsed > 0


def test_a_run_with_nothing_to_do_leaves_no_record(job: Build) -> None:
    run(job())
    before = every_byte(Path(job().output.url))
    run(job())
    assert every_byte(Path(job().output.url)) == before
    assert len(records(job())) == 1


def test_the_record_of_a_failed_run_counts_all_retries_and_holds_some(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when hundreds of workers are lost."""

    def lost(tasks: object, resolved: object, told: Callable[[object], None], give_up_after: int) -> list[object]:
        for shard in range(MOST_RETRIES + 5):
            told(ShardRetried(shard, "its worker died at https://me:secret@host; it is tried again"))
        told(ShardAbandoned(7, 3, "it lost every worker"))
        raise StorageError("the disk is full")

    monkeypatch.setattr("pipeline.jobs.steps.execute", lost)
    with pytest.raises(StorageError):
        run(job())
    (record,) = records(job())
    assert (record.outcome, record.retries_total, len(record.retries)) == ("failed", MOST_RETRIES + 6, MOST_RETRIES)
    assert record.retries[0].reason == "its worker died at https://host; it is tried again"
    assert record.done.shards == 0


def test_a_record_that_cannot_be_written_is_no_reason_to_fail(job: Build) -> None:
    out = Path(job().output.url)
    (out / RUNS).parent.mkdir(parents=True)
    (out / RUNS).write_text("a file in the way")
    assert run(job()).run_id
    assert (out / RUNS).read_text() == "a file in the way"


def test_a_record_of_another_program_is_left_out(job: Build) -> None:
    run(job())
    (record,) = records(job())
    folder = Path(job().output.url) / RUNS
    plain = json.loads(record.to_json())
    for number, change in enumerate(({"version": 2}, {"outcome": "great"}, {"planned": 3}, {"more": 1})):
        (folder / f"{number}.json").write_text(json.dumps({**plain, **change}))
    (folder / "list.json").write_text("[1]")
    assert records(job()) == [record]


def test_a_run_that_had_not_begun_leaves_no_record(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with pytest.raises(KeyboardInterrupt), reporting(storage, "run", lambda event: None):
        raise KeyboardInterrupt
    assert list(storage.list(RUNS)) == []
