import dataclasses
import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commits import as_version_1
from support.corpora import every_byte, rows, tiny_vocoder

from pipeline.config import JobConfig
from pipeline.errors import ConfigError, LostRecordError, MelmillError, StorageError
from pipeline.jobs.publish import publish
from pipeline.jobs.run import run
from pipeline.jobs.steps import describe_job
from pipeline.output.commit_format import Commit, encoded
from pipeline.output.layout import COMMITS, JOB
from pipeline.output.ledger import Ledger
from pipeline.output.records import sealed
from pipeline.planning.prepare import prepare
from pipeline.storage import LocalStorage, translated

Build = Callable[..., JobConfig]


def test_counts_that_do_not_balance_are_a_defect_and_publish_nothing(job: Build) -> None:
    config = job()
    run(config)
    prepared = prepare(config)
    before = every_byte(Path(config.output.url))
    wrong = dataclasses.replace(prepared.plan, utterances=25)
    with pytest.raises(MelmillError, match="24 made and 0 failed of 25") as caught:
        publish(prepared.ledger, wrong, [], prepared.job, describe_job(prepared), prepared.sidecars)
    assert caught.value.exit_code == 1
    assert every_byte(Path(config.output.url)) == before


def test_a_shard_of_the_plan_without_commit_stops_the_publication(job: Build) -> None:
    config = job()
    run(config)
    prepared = prepare(config)
    next((Path(config.output.url) / COMMITS).iterdir()).unlink()
    with pytest.raises(StorageError, match="commit record"):
        publish(prepared.ledger, prepared.plan, [], prepared.job, describe_job(prepared), prepared.sidecars)


def test_a_commit_record_comes_back_as_it_was_written(job: Build) -> None:
    config = job()
    run(config)
    for record in Ledger(LocalStorage(Path(config.output.url))).commits():
        for text in (encoded(record), encoded(record, "url")):
            assert Commit(text).record == record
        assert Commit(as_version_1(record)).record == dataclasses.replace(record, making=None)


def test_a_commit_that_goes_while_all_are_read_is_left_out(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when gc or a repair is at work, whose lock a plan does not ask for."""
    config = job()
    run(config)
    ledger = Ledger(LocalStorage(Path(config.output.url)))
    first, *others = ledger.commit_names()
    monkeypatch.setattr(Ledger, "commit_names", lambda self: [first, *others])
    ledger.delete_commit(first)
    assert [record.name for record in ledger.commits()] == others
    assert [shard.name for shard in prepare(config).plan.todo] == [first]
    with pytest.raises(LostRecordError):
        ledger.commit_record(first)


def test_a_name_that_two_shards_share_is_never_taken_for_the_other(job: Build) -> None:
    """Names have eight digits of the fingerprint, so it happens."""
    config = job()
    run(config)
    ledger = Ledger(LocalStorage(Path(config.output.url)))
    record = next(ledger.commits())
    other = dataclasses.replace(record, fingerprint=record.fingerprint[:8] + "0" * 24)
    assert other.name == record.name
    with pytest.raises(StorageError, match=f"{record.fingerprint}.*, not .*{other.fingerprint}"):
        ledger.find_commit(other.id)
    with pytest.raises(StorageError, match="Run again"):
        ledger.put_commit(other)
    assert ledger.find_commit(record.id) == ledger.put_commit(record) == record


def test_an_output_is_known_without_reading_its_commits(job: Build) -> None:
    out = Path(job().output.url)
    run(job())
    (out / JOB).unlink()
    for path in (out / COMMITS).iterdir():
        path.chmod(0o644)
        path.write_bytes(b"{")
    assert Ledger(LocalStorage(out)).existing_job() == {}


def test_a_disk_that_fails_is_not_taken_for_a_damaged_commit(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a lost job.json would make the next run older than its commits."""
    out = Path(job().output.url)
    run(job())
    (out / JOB).unlink()
    victim = Ledger(LocalStorage(out)).commit_names()[0]
    read = LocalStorage.read

    def failing(self: LocalStorage, name: str) -> io.BufferedReader:
        with translated(f"reading {name}", passing=FileNotFoundError):
            if victim in name:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return read(self, name)

    monkeypatch.setattr(LocalStorage, "read", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        Ledger(LocalStorage(out)).job()


NONE = [b"", b"{", b"[]", b"{}", b"null", b"[" * 10**5, b'{"version": 99}', b'{"version": 1, "shard": 2}']


@pytest.mark.parametrize("text", [*NONE, *(json.dumps(sealed(json.loads(text))).encode() for text in NONE[-2:])])
def test_what_is_no_commit_record_is_said_to_be_none(job: Build, text: bytes) -> None:
    config = job()
    run(config)
    victim = next((Path(config.output.url) / COMMITS).iterdir())
    victim.chmod(0o644)
    victim.write_bytes(text)
    with pytest.raises(StorageError, match=r"cannot be read.*Delete _melmill/commits/.*, then run again"):
        run(config)
    victim.unlink()
    run(config)
    assert len(rows(Path(config.output.url))) == 24


def test_a_commit_record_with_a_changed_value_or_another_name_is_refused(job: Build) -> None:
    config = job()
    run(config)
    first, second = sorted((Path(config.output.url) / COMMITS).iterdir())[:2]
    content = first.read_bytes()
    first.chmod(0o644)
    first.write_bytes(content.replace(b'"clipped": 0', b'"clipped": 1', 1))
    with pytest.raises(StorageError, match="its seal does not match"):
        run(config)
    first.write_bytes(second.read_bytes())
    with pytest.raises(StorageError, match=f"it is the record of shard {second.stem}"):
        run(config)


def test_after_a_run_that_did_not_publish_the_next_one_does_though_nothing_is_to_be_made(job: Build) -> None:
    config = job()
    run(config)
    prepared = prepare(config)
    prepared.ledger.write_job(describe_job(prepared))  # and then it is killed
    assert run(config).run_id
    described = json.loads((Path(config.output.url) / "job.json").read_text())
    assert described["counts"]["utterances"] == 24
    assert not run(config).run_id


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_job_json_of_something_else_is_refused(job: Build, tmp_path: Path, text: str) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "job.json").write_text(text)
    with pytest.raises(ConfigError, match=r"job\.json is not as melmill writes it"):
        run(job())


def test_the_counts_in_job_json_are_those_of_the_files(job: Build) -> None:
    config = job()
    report = run(config)
    described = json.loads((Path(config.output.url) / "job.json").read_text())
    assert described["counts"] == dataclasses.asdict(report.totals)
    assert described["run_id"] == report.run_id
    distances = sorted(row["mel_distance"] for row in rows(Path(config.output.url)))
    assert described["counts"]["mel_distance_worst"] == distances[-1]
    assert described["counts"]["mel_distance_median"] == pytest.approx((distances[11] + distances[12]) / 2)


def test_a_publication_names_its_commits(job: Build, tmp_path: Path) -> None:
    ledger = Ledger(LocalStorage(Path(job().output.url)))
    assert ledger.publication() is None
    run(job())
    first = tuple(ledger.commit_names())
    run(job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1))))
    report = run(job())
    publication = ledger.publication()
    assert publication is not None
    assert (publication.commits, publication.generation, publication.totals) == (first, 3, report.totals)


def test_a_lost_job_json_does_not_make_the_next_run_older_than_the_publication(job: Build, tmp_path: Path) -> None:
    """Which may consist of the commits of an earlier run alone."""
    out = Path(job().output.url)
    run(job())
    first = {path.name for path in (out / COMMITS).iterdir()}
    run(job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1))))
    run(job())
    for path in (out / COMMITS).iterdir():
        if path.name not in first:
            path.unlink()
    (out / JOB).unlink()
    assert (Ledger(LocalStorage(out)).job() or {})["generation"] == 3
