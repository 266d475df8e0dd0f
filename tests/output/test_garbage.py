import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.corpora import SPEC, assert_whole, digests, every_byte, objects, rows
from support.killing import interrupted_after
from support.packs import pack_npy

from pipeline.config import JobConfig, StoreInRows
from pipeline.errors import ConfigError, MelmillError, OwnedError, StorageError
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import plan, run
from pipeline.jobs.steps import describe_job
from pipeline.output.audit import verify
from pipeline.output.commit_format import Commit, encoded
from pipeline.output.garbage import collect_garbage, find_garbage
from pipeline.output.layout import COMMITS, MANIFEST, PUBLISHED, STALE
from pipeline.output.ledger import Ledger
from pipeline.output.records import ShardRecord, StoredObject, sealed, unsealed
from pipeline.planning.prepare import prepare
from pipeline.storage import SCRATCH, LocalStorage
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]
CONTAINERS = ["tar", "files"]


def commits(out: Path) -> set[str]:
    return set(Ledger(LocalStorage(out)).commit_names())


def names(out: Path) -> set[str]:
    return {each.name for each in find_garbage(str(out)).garbage}


def committed(config: JobConfig) -> int:
    """How many shards a run makes."""
    events: list[Event] = []
    run(config, events.append)
    return sum(isinstance(event, ShardCommitted) for event in events)


@pytest.mark.parametrize("container", CONTAINERS)
def test_superseded_shards_are_listed_and_then_deleted(job: Build, other: str, container: str) -> None:
    out = Path(job().output.url)
    run(job(output__container=container))
    old = set(objects(out)) | {f"{COMMITS}/{name}.json" for name in commits(out)}
    sizes = {name: (out / name).stat().st_size for name in old}
    run(job(output__container=container, vocoder__name=other))
    before = every_byte(out)
    found = find_garbage(str(out))
    assert {each.name: each.bytes for each in found.garbage} == sizes
    assert found.bytes == sum(sizes.values())
    assert all("superseded" in each.why for each in found.garbage)
    assert every_byte(out) == before
    assert collect_garbage(str(out)) == found
    assert_whole(out, 24)
    assert not old & set(every_byte(out))
    assert not [path for path in (out / "data").rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert collect_garbage(str(out)).garbage == ()


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_reader_of_the_old_manifest_reads_everything_until_gc(job: Build, other: str, container: str) -> None:
    out = Path(job().output.url)

    def read() -> list[bytes]:
        paths = [out / row["shard"] / (row["member"] if container == "files" else "") for row in held]
        return [path.read_bytes()[row["offset"] :][: row["bytes"]] for path, row in zip(paths, held, strict=True)]

    run(job(output__container=container))
    held = rows(out)
    audio = read()
    run(job(output__container=container, vocoder__name=other))
    find_garbage(str(out))
    assert read() == audio
    collect_garbage(str(out))
    with pytest.raises(FileNotFoundError):
        read()


def test_only_the_shards_whose_mels_changed_are_superseded(job: Build, mels: Path, store: Path, tmp_path: Path) -> None:
    out = Path(job().output.url)
    run(job())
    before = commits(out)
    changed = shutil.copytree(mels, tmp_path / "changed")
    victim = sorted(changed.rglob("*.npy"))[0]
    np.save(victim, np.load(victim) - 0.5)
    shutil.rmtree(store)
    pack_npy(str(changed), str(store), SPEC, workers=1)
    assert committed(job()) == 1
    (left,) = before - {row["shard"].removeprefix("data/").removesuffix(".tar") for row in rows(out)}
    assert names(out) == {f"{COMMITS}/{left}.json", f"data/{left}.tar"}
    collect_garbage(str(out))
    assert_whole(out, 24)


def test_after_gc_the_old_vocoder_makes_its_shards_anew(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    before = digests(out)
    run(job(vocoder__name=other))
    assert not plan(job()).todo
    collect_garbage(str(out))
    assert committed(job()) == len(plan(job()).done) > 3
    assert_whole(out, 24)
    assert digests(out) == before


@pytest.mark.parametrize("container", CONTAINERS)
def test_after_a_killed_run_its_commits_are_kept_and_resumed(job: Build, other: str, container: str) -> None:
    config = job(output__container=container, vocoder__name=other)
    out = Path(config.output.url)
    run(job(output__container=container))
    first = set(objects(out))
    interrupted_after(config, 2)
    half = out / SCRATCH / "dead" / "shard.tar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    named = {each.name for record in Ledger(LocalStorage(out)).commits() for each in record.objects}
    orphans = set(objects(out)) - named
    assert orphans
    assert names(out) == orphans | {f"{SCRATCH}/dead"}
    assert verify(str(out)).exit_code == 12
    collect_garbage(str(out))
    assert set(objects(out)) == named > first
    assert not half.exists()
    assert verify(str(out)).exit_code == 0
    assert len(plan(config).done) == 2
    assert committed(config) == len(commits(out)) // 2 - 2 > 0
    assert_whole(out, 24)


def test_before_the_first_publication_all_commits_are_kept(job: Build) -> None:
    out = Path(job().output.url)
    interrupted_after(job(), 2)
    assert len(collect_garbage(str(out)).garbage) == 1
    assert len(commits(out)) == len(objects(out)) == len(plan(job()).done) == 2
    run(job())
    assert_whole(out, 24)


def test_a_commit_of_the_publications_own_run_is_no_garbage(job: Build) -> None:
    """As after a shard that was given up, and committed by its worker when the rest was published."""
    out = Path(job().output.url)
    run(job())
    published = unsealed((out / PUBLISHED).read_bytes())
    late = published["commits"].pop()
    (out / PUBLISHED).write_text(json.dumps(sealed(published)))
    lines = [line for line in (out / MANIFEST).read_text().splitlines(keepends=True) if late not in line]
    (out / MANIFEST).write_text("".join(lines))
    assert names(out) == set()


def test_what_the_manifest_names_is_kept_whatever_else_is_said(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    old = (out / MANIFEST).read_text()
    run(job(vocoder__name=other))
    wanted = len(commits(out)) // 2
    with open(out / MANIFEST, "a") as manifest:
        manifest.write(old.splitlines(keepends=True)[0])
    named = json.loads(old.splitlines()[0])["shard"]
    kept = {named, named.replace("data/", f"{COMMITS}/").replace(".tar", ".json")}
    assert len(names(out)) == 2 * (wanted - 1)
    assert not names(out) & kept
    (out / sorted(kept)[0]).unlink()  # its commit record
    assert named not in names(out)


def test_what_was_published_again_is_kept_also_when_the_manifest_is_lost(job: Build, other: str) -> None:
    """The old commits are of an earlier run than what is superseded."""
    out = Path(job().output.url)
    run(job())
    first, before = commits(out), digests(out)
    run(job(vocoder__name=other))
    assert committed(job()) == 0
    (out / MANIFEST).unlink()
    collect_garbage(str(out))
    assert commits(out) == first
    assert committed(job()) == 0
    assert digests(out) == before
    assert_whole(out, 24)


def test_a_stale_mark_goes_with_its_commit_and_not_before(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    old = sorted(commits(out))[0]
    run(job(vocoder__name=other))
    new = sorted(commits(out))[0] if sorted(commits(out))[0] != old else sorted(commits(out))[1]
    for name in (old, new, "000077-00000000"):
        LocalStorage(out).replace(f"{STALE}/{name}.json", b"{}")
    order = [each.name for each in find_garbage(str(out)).garbage]
    assert f"{STALE}/{new}.json" not in order
    assert order.index(f"{COMMITS}/{old}.json") < order.index(f"{STALE}/{old}.json") < order.index(f"data/{old}.tar")
    collect_garbage(str(out))
    assert [path.name for path in (out / STALE).iterdir()] == [f"{new}.json"]


def test_during_a_run_nothing_is_deleted_and_its_own_work_is_not_listed(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    run(job(vocoder__name=other))
    superseded = names(out)
    assert superseded
    seen = []

    def look(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            LocalStorage(out).put_if_absent("data/000099-0123abcd.tar", b"not yet committed")
            seen.append(find_garbage(str(out)))
            with pytest.raises(OwnedError):
                collect_garbage(str(out))

    run(job(output__codec="wav", vocoder__name=other), look)
    assert len(seen) > 3
    assert {each.name for each in seen[-1].garbage} == superseded
    assert all(report.holder and "run " in report.holder for report in seen)
    assert "data/000099-0123abcd.tar" in names(out)


def test_a_commit_that_its_attempt_takes_back_meanwhile_stops_nothing(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there when gc lists the commits, and gone when gc reads it."""
    run(job())
    out = Path(job().output.url)
    ledger = Ledger(LocalStorage(out))
    first = ledger.commit_names()[0]
    shutil.copy(out / COMMITS / f"{first}.json", out / COMMITS / "000099-00000000.json")
    listed = Ledger.commit_stamps

    def vanish(ledger: Ledger) -> dict[str, str]:
        found = listed(ledger)
        (out / COMMITS / "000099-00000000.json").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Ledger, "commit_stamps", vanish)
    assert find_garbage(str(out)).garbage == ()


def test_what_is_not_of_melmill_is_left_alone(job: Build, other: str, tmp_path: Path) -> None:
    """Whatever the commit records say."""
    out = Path(job().output.url)
    run(job())
    path = out / COMMITS / f"{sorted(commits(out))[0]}.json"
    run(job(vocoder__name=other))
    record = Commit(path.read_bytes()).record
    strangers = ["data/notes.txt", "data/000001.tar", "../outside", "job.json", "manifest.jsonl"]
    theirs = tuple(StoredObject(name, 1, "") for name in strangers)
    path.chmod(0o644)
    path.write_bytes(encoded(replace(record, objects=record.objects + theirs)))
    for name in (*strangers[:3], "data/mine.tar", "notes/x.tar"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
    collect_garbage(str(out))
    assert not path.exists()
    assert all((out / name).exists() for name in (*strangers, "data/mine.tar", "notes/x.tar"))


def test_an_output_that_does_not_say_what_was_published_must_be_published_again(job: Build, other: str) -> None:
    out = Path(job().output.url)
    run(job())
    run(job(vocoder__name=other))
    published = unsealed((out / PUBLISHED).read_bytes())
    for damage in (json.dumps(published), json.dumps(sealed({})), "{", "[]"):
        (out / PUBLISHED).write_text(damage)
        with pytest.raises(ConfigError, match="Run the job again"):
            find_garbage(str(out))
        with pytest.raises(ConfigError, match="Run the job again"):
            collect_garbage(str(out))
        assert run(job(vocoder__name=other)).made_seconds == 0
        assert names(out)
    (out / PUBLISHED).unlink()
    with pytest.raises(ConfigError, match="Run the job again"):
        find_garbage(str(out))


def test_damage_stops_it_and_says_what_to_do(job: Build) -> None:
    out = Path(job().output.url)
    run(job())
    manifest = (out / MANIFEST).read_text()
    for damage in ("{\n", "[]\n", "{}\n"):
        (out / MANIFEST).write_text(damage + manifest)
        with pytest.raises(StorageError, match=r"line 1 of manifest\.jsonl.*Delete manifest\.jsonl, then run again"):
            find_garbage(str(out))
    (out / MANIFEST).unlink()
    run(job())
    path = out / COMMITS / f"{sorted(commits(out))[0]}.json"
    path.chmod(0o644)
    path.write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        find_garbage(str(out))


def test_where_no_output_is_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    for find in (find_garbage, collect_garbage):
        with pytest.raises(ConfigError, match="holds no melmill output"):
            find(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_attempt_that_outlives_its_run_takes_its_commit_back_if_gc_took_its_objects(
    job: Build, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = job(output__container=container)
    out = Path(config.output.url)
    prepared = prepare(config)
    prepared.ledger.write_job(describe_job(prepared))
    put = Ledger.put_commit

    def late(ledger: Ledger, record: ShardRecord, store: StoreInRows) -> ShardRecord:
        assert {each.name for each in collect_garbage(str(out)).garbage} >= {each.name for each in record.objects}
        return put(ledger, record, store)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "put_commit", late)
        with pytest.raises(MelmillError, match=r"was deleted before .*Run again"):
            convert_shard(next(prepared.plan.tasks(prepared.catalogue)), prepared.job)
    assert not commits(out)
    run(config)
    assert_whole(out, 24)


def test_the_record_of_a_left_object_is_deleted_durably_before_it(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier gc may have been stopped when the record was gone and that was not durable."""
    interrupted_after(job(), 2)
    (orphan,) = names(Path(job().output.url))
    deleted: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "delete", lambda storage, name: deleted.append(name))
        collect_garbage(job().output.url)
    assert deleted == [orphan.replace("data/", f"{COMMITS}/").replace(".tar", ".json"), orphan]


def test_gc_takes_a_commit_back_that_comes_while_its_objects_are_deleted(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(job().output.url)
    interrupted_after(job(), 2)
    (orphan,) = names(out)
    record = next(Ledger(LocalStorage(out)).commits())
    number, _, fingerprint = orphan.removeprefix("data/").removesuffix(".tar").partition("-")
    late = replace(record, shard=int(number), fingerprint=fingerprint, objects=(StoredObject(orphan, 1, ""),))
    path = orphan.replace("data/", f"{COMMITS}/").replace(".tar", ".json")
    delete = LocalStorage.delete

    def then_commit(storage: LocalStorage, name: str) -> None:
        delete(storage, name)
        if name == orphan:
            storage.put_if_absent(path, encoded(late))

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "delete", then_commit)
        collect_garbage(str(out))
    assert not (out / path).exists()
    run(job())
    assert_whole(out, 24)
