"""The file of heads makes plans quick, and is never believed where a commit record says something else."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commits import as_version_1
from support.corpora import rows
from support.killing import interrupted_after

from pipeline.config import JobConfig
from pipeline.jobs.run import plan, run
from pipeline.output.commit_format import Commit, encoded
from pipeline.output.commits import Commits
from pipeline.output.garbage import find_garbage
from pipeline.output.layout import COMMIT_HEADS, COMMITS, commit_path
from pipeline.output.ledger import Ledger
from pipeline.output.records import ShardRecord
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture
def out(job: Build) -> Path:
    run(job())
    return Path(job().output.url)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits whose records are read from now on."""
    names: list[str] = []
    really = Commits._read_commit

    def counted(ledger: Commits, name: str) -> Commit | None:
        names.append(name)
        return really(ledger, name)

    monkeypatch.setattr(Commits, "_read_commit", counted)
    return names


def replaced(path: Path, change: Callable[[ShardRecord], ShardRecord]) -> None:
    """Put another record in the place of one."""
    record = change(Commit(path.read_bytes()).record)
    path.unlink()
    path.write_bytes(encoded(record))


def of_another_mel(record: ShardRecord) -> ShardRecord:
    row = record.rows[0]
    other = dataclasses.replace(row, source=dataclasses.replace(row.source, digest="0" * 32))
    fingerprint = record.fingerprint[:8] + "0" * 24  # the shard keeps its name
    return dataclasses.replace(record, fingerprint=fingerprint, rows=(other, *record.rows[1:]))


def test_after_a_publication_no_commit_record_is_read(job: Build, out: Path, read: list[str]) -> None:
    assert not plan(job()).todo
    assert run(job()).run_id == ""
    assert find_garbage(str(out)).garbage == ()
    assert read == []


def lost(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def flipped(path: Path) -> None:
    """Other keys and objects, beside the names and stamps as they are."""
    path.write_bytes(path.read_bytes().replace(b"/", b"_"))


def unsorted(path: Path) -> None:
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))


def senseless(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)


DAMAGES = [lost, emptied, cut, flipped, unsorted, senseless]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_of_heads_changes_no_plan_and_is_written_again(
    job: Build, out: Path, damage: Callable[[Path], None], read: list[str]
) -> None:
    path = out / COMMIT_HEADS
    whole = path.read_bytes()
    before = plan(job()).to_dict()
    damage(path)
    assert plan(job()).to_dict() == before
    assert read
    assert find_garbage(str(out)).garbage == ()
    assert run(job()).run_id == ""
    Ledger(LocalStorage(out)).publish_again("for a test")
    run(job())
    assert path.read_bytes() == whole


def test_the_file_of_another_output_is_of_no_use(job: Build, out: Path, tmp_path: Path) -> None:
    """Its records have the same names, and one of them says something else."""
    other = tmp_path / "other"
    run(job(output__url=str(other)))
    replaced(sorted((out / COMMITS).iterdir())[1], of_another_mel)
    (out / COMMIT_HEADS).write_bytes((other / COMMIT_HEADS).read_bytes())
    assert [(shard.number, "1 of" in shard.reason) for shard in plan(job()).todo] == [(1, True)]


def test_a_record_that_was_replaced_is_read_again(job: Build, out: Path, read: list[str]) -> None:
    path = sorted((out / COMMITS).iterdir())[1]
    size, count = path.stat().st_size, len(Commit(path.read_bytes()).head.keys)
    replaced(path, of_another_mel)
    assert path.stat().st_size == size
    assert [shard.reason for shard in plan(job()).todo] == [f"1 of {count} mels changed"]
    assert read == [path.stem]


def test_a_record_that_is_gone_is_gone(job: Build, out: Path) -> None:
    victim = sorted((out / COMMITS).iterdir())[1]
    victim.unlink()
    assert [shard.name for shard in plan(job()).todo] == [victim.stem]


def test_commits_since_the_last_publication_are_read_and_no_others(job: Build, out: Path, read: list[str]) -> None:
    before = {path.stem for path in (out / COMMITS).iterdir()}
    changed = job(output__codec="wav")
    interrupted_after(changed, 2)
    since = {path.stem for path in (out / COMMITS).iterdir()} - before
    read.clear()
    assert len(plan(changed).done) == 2
    assert set(read) == since
    assert len(since) == 2


def test_a_record_that_is_replaced_while_the_heads_are_written_is_read_by_the_next_plan(
    job: Build, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp beside its head is from before it was read."""
    victim = sorted((out / COMMITS).iterdir())[1]
    really = Commits.commit

    def then_replaced(ledger: Commits, name: str) -> Commit:
        commit = really(ledger, name)
        if name == victim.stem:
            replaced(victim, of_another_mel)
        return commit

    Ledger(LocalStorage(out)).publish_again("for a test")
    with monkeypatch.context() as patch:
        patch.setattr(Commits, "commit", then_replaced)
        run(job())
    assert [(shard.number, "1 of" in shard.reason) for shard in plan(job()).todo] == [(1, True)]


def test_a_commit_that_lands_while_the_heads_are_written_is_seen_by_the_next_plan(
    job: Build, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of an attempt which outlives its run."""
    late = Commit(next((out / COMMITS).iterdir()).read_bytes()).record
    late = dataclasses.replace(late, shard=77, fingerprint="7" * 32)
    publish = Ledger.publish

    def after(ledger: Ledger, *given: object) -> None:
        ledger.put_commit(late)
        publish(ledger, *given)  # type: ignore[arg-type]

    Ledger(LocalStorage(out)).publish_again("for a test")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "publish", after)
        run(job())
    assert late.name in {head.name for head in Ledger(LocalStorage(out)).heads()}


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize("setting", ["name", "url"])
def test_a_manifest_of_copied_lines_is_that_of_rows_written_one_by_one(
    job: Build, container: str, setting: str
) -> None:
    config = job(output__container=container, output__store_in_rows=setting)
    out = Path(config.output.url)
    run(config)
    copied = {name: (out / name).read_bytes() for name in ("manifest.jsonl", "failures.jsonl", "index.json")}
    for path in (out / COMMITS).iterdir():  # their rows are parsed, one by one
        text = as_version_1(Commit(path.read_bytes()).record)
        path.unlink()
        path.write_bytes(text)
    Ledger(LocalStorage(out)).publish_again("for a test")
    run(config)
    assert {name: (out / name).read_bytes() for name in copied} == copied
    assert json.loads((out / "job.json").read_text())["counts"]["utterances"] == len(rows(out)) == 24
    assert run(config).run_id == ""


def test_a_run_with_nothing_to_do_has_the_next_one_read_no_commit_record(
    job: Build, out: Path, read: list[str]
) -> None:
    (out / COMMIT_HEADS).unlink()
    with LocalStorage(out).lock("another run"):
        assert run(job()).run_id == ""
    assert not (out / COMMIT_HEADS).exists()
    assert run(job()).run_id == ""
    read.clear()
    renewed = (out / COMMIT_HEADS).stat().st_mtime_ns
    assert run(job()).run_id == ""
    assert read == []
    assert (out / COMMIT_HEADS).stat().st_mtime_ns == renewed


def test_a_head_is_all_that_a_plan_needs_of_a_record(job: Build, out: Path) -> None:
    ledger = Ledger(LocalStorage(out))
    by_record = [ledger.commit(name).head for name in ledger.commit_names()]
    assert list(ledger.heads()) == by_record
    assert [(out / commit_path(head.name)).is_file() for head in by_record] == [True] * len(by_record)
