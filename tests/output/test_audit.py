import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commits import as_version_1
from support.corpora import assert_whole, digests, rows, tiny_vocoder
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import ConfigError, InterruptedRunError, OwnedError
from pipeline.events import Event
from pipeline.jobs.run import plan, run
from pipeline.output.audit import ShardVerified, look, repair, verify
from pipeline.output.commit_format import Commit
from pipeline.output.garbage import collect_garbage, find_garbage
from pipeline.output.layout import COMMIT_HEADS, STATUS
from pipeline.output.records import Row
from pipeline.output.status import Holding, read_status
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def whole(packed: Path, vocoder_path: Path, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and the output of the usual job on it, as they are in the folder of every test here."""
    shutil.copytree(packed, place / "mels.zarr")
    values: dict[str, dict[str, object]] = {
        "input": {"store": str(place / "mels.zarr")},
        "vocoder": {"name": str(vocoder_path)},
        "output": {"url": str(place / "audio"), "shard_seconds": 10},
        "cluster": {"kind": "synchronous"},
    }
    run(JobConfig.build(values))
    return Path(shutil.copytree(place, tmp_path_factory.mktemp("whole") / "whole"))


@pytest.fixture
def tmp_path(place: Path) -> Path:
    """The same folder for every test, emptied: an output knows the store that it was made of by its path."""
    shutil.rmtree(place)
    place.mkdir()
    return place


@pytest.fixture
def store(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "mels.zarr", dirs_exist_ok=True))


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path / "audio"


def edit_row(out: Path, **changes: object) -> None:
    lines = (out / "manifest.jsonl").read_text().splitlines()
    lines[5] = json.dumps({**json.loads(lines[5]), **changes})
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n")


def first_tar(out: Path) -> Path:
    """Or the first file, where there are no tars."""
    row = rows(out)[0]
    path = out / row["shard"]
    return path / row["member"] if path.is_dir() else path


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def first_commit(out: Path) -> Path:
    return sorted((out / "_melmill" / "commits").iterdir())[0]


def edit_manifest(out: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = out / "manifest.jsonl"
    path.write_text("".join(edit(path.read_text().splitlines(keepends=True))))


def edit_index(out: Path, field: str, edit: Callable[[Any], Any]) -> None:
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").write_text(json.dumps({**index, field: edit(index[field])}))


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:5000])


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_text('{"version": 1}')


DAMAGE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "a bit of audio": (lambda out: flip(first_tar(out), rows(out)[0]["offset"] + 2000), 11, "its sha256 is"),
    "a bit of padding": (lambda out: flip(first_tar(out), -1), 11, "its sha256 is"),
    "a tar cut short": (lambda out: cut(first_tar(out)), 11, "holds 5000 bytes"),
    "a tar lost": (lambda out: first_tar(out).unlink(), 10, "it should hold"),
    "the manifest lost": (lambda out: (out / "manifest.jsonl").unlink(), 10, "run the job again"),
    "failures lost": (lambda out: (out / "failures.jsonl").unlink(), 10, "run the job again"),
    "the index lost": (lambda out: (out / "index.json").unlink(), 10, "run the job again"),
    "a shard lost from the index": (
        lambda out: edit_index(out, "shardlist", lambda shards: shards[1:]),
        11,
        "published with",
    ),
    "a number in the index": (lambda out: edit_index(out, "wids_version", lambda version: 2), 11, "published with"),
    "an index that is no JSON": (lambda out: (out / "index.json").write_text("{"), 11, "published with"),
    "a row lost": (lambda out: edit_manifest(out, lambda lines: lines[1:]), 11, "has no row"),
    "a row twice": (lambda out: edit_manifest(out, lambda lines: lines[:1] + lines), 11, "differs from the commit"),
    "rows in another order": (
        lambda out: edit_manifest(out, lambda lines: lines[1::-1] + lines[2:]),
        11,
        "its rows differ",
    ),
    "a row's digest": (lambda out: edit_row(out, pcm_sha256="0" * 64), 11, "differs from the commit"),
    "a row's offset": (lambda out: edit_row(out, offset=0), 11, "differs from the commit"),
    "a row's key": (lambda out: edit_row(out, key="other"), 11, "differs from the commit record"),
    "a row that is no JSON": (lambda out: edit_manifest(out, lambda lines: ["{\n"]), 11, "line 1 cannot be read"),
    "a row's subtype": (lambda out: edit_row(out, subtype="PCM_8"), 11, "differs from the commit"),
    "a row's shard": (lambda out: edit_row(out, shard="data/000099-00000000.tar"), 11, "was published with"),
    "a row's shard is a number": (lambda out: edit_row(out, shard=3), 11, "line 6 cannot be read"),
    "a row's offset is a word": (lambda out: edit_row(out, offset="x"), 11, "differs from the commit"),
    "a row that leaves the output": (
        lambda out: edit_row(out, shard=rows(out)[5]["shard"] + "/../../x"),
        11,
        "x' is not valid",
    ),
    "a tar emptied": (lambda out: (first_tar(out).chmod(0o644), first_tar(out).write_bytes(b"")), 11, "not recognised"),
    "job.json lost": (lambda out: (out / "job.json").unlink(), 10, "run the job again to have it written again"),
    "job.json emptied": (lambda out: (out / "job.json").write_text(""), 11, "Delete it and run again"),
    "a commit that is none": (lambda out: spoil(first_commit(out)), 11, "it has no seal"),
    "a commit lost": (lambda out: first_commit(out).unlink(), 10, "is not there. Run again"),
    "a stranger among the tars": (lambda out: (out / "data" / "x.tar").write_text(""), 12, "no commit record names it"),
    "a stranger in a folder among the tars": (
        lambda out: ((out / "data" / "x").mkdir(), (out / "data" / "x" / "1.tar").write_text("")),
        12,
        "no commit record names it",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(out: Path, name: str) -> None:
    assert verify(str(out)).exit_code == 0
    damage, code, words = DAMAGE[name]
    damage(out)
    report = verify(str(out))
    assert report.exit_code == code, report.findings
    assert any(words in finding.what for finding in report.findings)
    assert not any("<_io" in finding.what for finding in report.findings)


@pytest.mark.parametrize(
    ("name", "container"),
    [*((name, "tar") for name in DAMAGE), *((name, "files") for name in ("a bit of audio", "a tar lost"))],
)
def test_what_verify_says_to_do_makes_the_output_whole(job: Build, name: str, container: str) -> None:
    config = job(output__container=container)
    out = Path(config.output.url)
    run(config)
    before = digests(out)
    DAMAGE[name][0](out)
    for finding in verify(str(out)).findings:
        for told in re.findall(r"[Dd]elete ([^ ,]+)(?: and ([^ ,]+))?,", finding.what):
            for each in filter(None, told):
                (out / (finding.name if each == "it" else each)).unlink(missing_ok=True)
        if "Delete it and run again" in finding.what:
            (out / finding.name).unlink()
    run(config)
    assert verify(str(out)).findings == ()
    assert digests(out) == before


@pytest.mark.parametrize(
    ("name", "container"),
    [*((name, "tar") for name in DAMAGE), *((name, "files") for name in ("a bit of audio", "a tar lost"))],
)
def test_after_a_repair_the_next_run_makes_the_output_whole(job: Build, name: str, container: str) -> None:
    config = job(output__container=container)
    out = Path(config.output.url)
    run(config)
    before = digests(out)
    DAMAGE[name][0](out)
    found = verify(str(out)).findings
    told = repair(str(out), found)
    made = run(config)
    assert digests(out) == before
    left = verify(str(out)).findings
    assert left == tuple(finding for finding in found if finding.kind == "unexpected")
    assert bool(told) == (not left)
    if "commit" not in name and not any(finding.shard for finding in found):
        assert made.made_seconds == 0
    assert run(config).run_id == ""
    assert repair(str(out), left) == ()


@pytest.mark.parametrize("name", [name for name in DAMAGE if "stranger" not in name])
def test_a_repair_may_be_repeated_and_hides_nothing_from_status_and_gc(out: Path, name: str) -> None:
    DAMAGE[name][0](out)
    there = (out / "manifest.jsonl").exists()
    found = verify(str(out)).findings
    repair(str(out), found)
    assert (read_status(str(out)).manifest == Holding(24, 0, pytest.approx(48, abs=20))) == there
    again = verify(str(out)).findings
    assert {each.name for each in again} <= {each.name for each in found} | {"job.json"}
    repair(str(out), again)
    assert {(each.kind, each.name) for each in verify(str(out)).findings} == {(each.kind, each.name) for each in again}


def test_a_plan_says_why_it_publishes_again_after_a_repair(job: Build, out: Path) -> None:
    edit_row(out, offset=0)
    repair(str(out), verify(str(out)).findings)
    assert (plan(job()).publication_due or "").startswith("verify found manifest.jsonl")
    assert find_garbage(str(out)).garbage == ()


@pytest.mark.parametrize("content", [None, b"{"])
def test_status_knows_what_the_manifest_holds_when_published_json_is_lost_or_damaged(
    out: Path, content: bytes | None
) -> None:
    before = read_status(str(out)).manifest
    (out / "_melmill" / "published.json").unlink()
    if content is not None:
        (out / "_melmill" / "published.json").write_bytes(content)
    assert read_status(str(out)).manifest == before
    (out / "job.json").unlink()
    assert read_status(str(out)).manifest is None


def test_a_commit_record_that_was_made_good_meanwhile_is_kept(out: Path) -> None:
    commit = next((out / "_melmill" / "commits").iterdir())
    content = commit.read_bytes()
    commit.chmod(0o644)
    commit.write_bytes(b"{}")
    found = verify(str(out)).findings
    commit.write_bytes(content)
    repair(str(out), found)
    assert commit.read_bytes() == content


def test_nothing_is_repaired_under_a_run(out: Path) -> None:
    first_tar(out).unlink()
    with LocalStorage(out).lock("run 7 on there"), pytest.raises(OwnedError, match="run 7 on there"):
        repair(str(out), verify(str(out)).findings)


@pytest.mark.parametrize("lost", ["manifest.jsonl", "job.json"])
def test_damage_is_found_without_a_manifest_too(out: Path, lost: str) -> None:
    tar = first_tar(out)
    (out / lost).unlink()
    cut(tar)
    report = verify(str(out))
    assert report.exit_code == 11
    assert any(finding.name == str(tar.relative_to(out)) and "5000" in finding.what for finding in report.findings)


def test_a_run_writes_a_lost_job_json_anew_and_makes_nothing(job: Build, out: Path) -> None:
    before = json.loads((out / "job.json").read_text())
    (out / "job.json").unlink()
    assert run(job()).made_seconds == 0
    after = json.loads((out / "job.json").read_text())
    assert (after["job"], after["counts"], after["generation"]) == (before["job"], before["counts"], 2)
    assert verify(str(out)).findings == ()


def test_an_output_without_job_json_still_belongs_to_its_store(job: Build, out: Path, tmp_path: Path) -> None:
    (out / "job.json").unlink()
    with pytest.raises(ConfigError, match="belongs to another job"):
        run(job(input__store=str(tmp_path / "other.zarr")))


LISTS = ["failures.jsonl", "index.json", "manifest.jsonl"]
WRITES = ["job.json", "_melmill/publishing.json", *LISTS, "_melmill/published.json"]


@pytest.mark.parametrize("writes", range(7))
def test_an_output_is_whole_wherever_its_publication_stops(
    job: Build, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    others = [job(vocoder__name=str(tiny_vocoder(tmp_path / f"{seed}.onnx", seed))) for seed in (1, 2)]
    with monkeypatch.context() as patch:
        done = stop_after(writes, patch)
        with pytest.raises(InterruptedRunError):
            run(others[0])
    assert verify(str(out)).findings == ()
    assert done == WRITES[:writes]
    with monkeypatch.context() as patch:  # and another publication just before it replaces the first list
        stop_after(2, patch)
        with pytest.raises(InterruptedRunError):
            run(others[1])
    assert verify(str(out)).findings == ()
    run(others[1])
    assert verify(str(out)).findings == ()


def stop_after(writes: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Runs stop before they replace anything more; gives what they replaced."""
    replace, done = LocalStorage.replace, []

    def stopping(self: LocalStorage, name: str, source: Path | bytes) -> None:
        if name not in (STATUS, COMMIT_HEADS):  # which nothing relies on
            if len(done) == writes:
                raise InterruptedRunError("stopped")
            done.append(name)
        replace(self, name, source)

    patch.setattr(LocalStorage, "replace", stopping)
    return done


@pytest.mark.parametrize("writes", [3, 4, 5])
def test_an_output_is_whole_wherever_other_metadata_stops_being_published(
    job: Build, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"key": rows(out)[0]["key"], "text": "new"}))
    stop_after(writes, monkeypatch)
    with pytest.raises(InterruptedRunError):
        run(job(input__meta=str(tmp_path / "m.jsonl")))
    assert rows(out)[0]["meta"] == ({"text": "new"} if writes == 5 else {})
    assert verify(str(out)).findings == ()


@pytest.mark.parametrize("writes", [1, 2, 3, 4, 5])
def test_a_manifest_that_lost_a_shard_is_found_while_a_later_run_is_unfinished(
    job: Build, out: Path, other: str, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    stop_after(writes, monkeypatch)
    with pytest.raises(InterruptedRunError):
        run(job(vocoder__name=other))
    last = rows(out)[-1]["shard"]
    edit_manifest(out, lambda lines: [line for line in lines if last not in line])
    report = verify(str(out))
    assert [finding.name for finding in report.findings] == ["manifest.jsonl"]
    assert "it was published with" in report.findings[0].what
    assert report.exit_code == 11


def test_other_peoples_files_beside_the_manifest_are_named_and_left_alone(job: Build, out: Path) -> None:
    mine = ["README.md", "metadata.jsonl", "dataset_infos.json", ".gitattributes", "plots/a/1.tar", "manifest.json"]
    for name in mine:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    named = (".gitattributes", "README.md", "dataset_infos.json", "manifest.json", "metadata.jsonl", "plots/")
    report = verify(str(out))
    assert (report.findings, report.exit_code, report.others) == ((), 0, named)
    assert repair(str(out), report.findings) == ()
    assert find_garbage(str(out)).others == named
    assert collect_garbage(str(out)).others == named
    run(job(output__subtype="PCM_24"))
    assert collect_garbage(str(out)).garbage
    assert verify(str(out)).others == named
    assert all((out / name).read_text() == "mine" for name in mine)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_what_systems_leave_lying_about_is_no_finding(job: Build, tmp_path: Path, container: str) -> None:
    config = job(output__container=container, output__url=str(tmp_path / "seen"))
    run(config)
    seen = Path(config.output.url)
    names = {"data/.DS_Store", "data/@eaDir/x@SynoEAStream", "data/._x.tar", "_melmill/commits/.DS_Store", "Thumbs.db"}
    if container == "files":
        names.add(f"{rows(seen)[0]['shard']}/.DS_Store")
    for name in names:
        (seen / name).parent.mkdir(exist_ok=True)
        (seen / name).write_text("clutter")
    report = verify(str(seen))
    assert (report.findings, set(report.others)) == ((), names)
    assert collect_garbage(str(seen)).garbage == ()
    assert all((seen / name).exists() for name in names)
    assert run(config).run_id == ""


def test_superseded_shards_are_not_unexpected(job: Build, out: Path, other: str) -> None:
    run(job(vocoder__name=other))
    assert verify(str(out)).findings == ()


SUPERSEDED: dict[str, Callable[[Path, Path], object]] = {
    "a bit of audio": lambda tar, commit: flip(tar, 2000),
    "a tar cut short": lambda tar, commit: cut(tar),
    "a tar lost": lambda tar, commit: tar.unlink(),
    "a commit that is none": lambda tar, commit: spoil(commit),
    "a commit lost": lambda tar, commit: commit.unlink(),
}
"""Damage to a superseded shard."""


@pytest.fixture(params=SUPERSEDED)
def damaged(job: Build, out: Path, other: str, request: pytest.FixtureRequest) -> JobConfig:
    """The job of an output, a superseded shard of which is damaged."""
    tar, commit = first_tar(out), first_commit(out)
    config = job(vocoder__name=other)
    run(config)
    SUPERSEDED[request.param](tar, commit)
    return config


def melmill(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        app([str(word) for word in words])
    return int(end.value.code or 0), "".join(capsys.readouterr())


def follow(out: Path, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Do what a text says: delete files, then collect garbage."""
    for name in re.findall(r"Delete (_melmill/[^ ]+json)", told) + re.findall(r"unexpected: (\S+): .* Delete it", told):
        (out / name).unlink(missing_ok=True)  # --repair has deleted what it says
    if f"melmill gc {out} --yes" in told:
        melmill(capsys, "gc", out, "--yes")


def test_what_verify_says_of_a_damaged_superseded_shard_makes_the_output_whole(
    damaged: JobConfig, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(out)
    code, told = melmill(capsys, "verify", out)
    assert code in (10, 11, 12)
    assert "run again to have" not in told
    assert "--repair" not in told
    assert all(each.superseded or each.kind == "unexpected" for each in verify(str(out)).findings)
    follow(out, told, capsys)
    assert verify(str(out)).findings == ()
    assert run(damaged).run_id == ""
    assert_whole(out, 24)
    assert digests(out) == before


def test_after_a_repair_gc_deletes_a_damaged_superseded_shard_and_nothing_is_published_again(
    damaged: JobConfig, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = melmill(capsys, "verify", out, "--repair")
    assert "run the job again" not in told
    assert "will be made again" not in told
    assert "published again" not in told
    assert run(damaged).run_id == ""
    follow(out, told, capsys)
    assert verify(str(out)).findings == ()
    assert find_garbage(str(out)).garbage == ()
    assert_whole(out, 24)


def test_after_a_repair_a_damaged_superseded_shard_is_not_used_again(damaged: JobConfig, job: Build, out: Path) -> None:
    repair(str(out), verify(str(out)).findings)
    run(job())
    assert {each.kind for each in verify(str(out)).findings} <= {"unexpected"}
    collect_garbage(str(out))
    assert_whole(out, 24)


def test_a_folder_without_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no melmill output"):
        verify(str(tmp_path / "nowhere"))


def test_worker_processes_find_what_this_process_finds(out: Path) -> None:
    flip(first_tar(out), 700)
    edit_row(out, clipped=7)
    (out / rows(out)[-1]["shard"]).unlink()
    events: list[Event] = []
    alone, together = verify(str(out)), verify(str(out), events.append, workers=2)
    assert len(alone.findings) > 3
    assert together == alone
    assert sum(event.utterances for event in events if isinstance(event, ShardVerified)) == together.utterances


def test_lines_of_the_same_meaning_are_those_of_the_commits(out: Path) -> None:
    """As another program may have written them. The digest of the whole list differs, and that alone is found."""
    lines = [json.dumps(dict(reversed(row.items())), indent=None, separators=(",", ":")) for row in rows(out)]
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    assert [(finding.name, "published with" in finding.what) for finding in verify(str(out)).findings] == [
        ("manifest.jsonl", True)
    ]


def test_a_quick_look_reads_as_many_utterances_as_it_is_to(out: Path) -> None:
    events: list[Event] = []
    report = look(str(out), 5, events.append)
    assert (report.findings, report.exit_code, report.utterances) == ((), 0, 5)
    assert report.look is not None
    assert (report.look.utterances, report.look.of, report.look.shards, report.look.of_shards) == (
        5,
        24,
        len(events),
        len({row["shard"] for row in rows(out)}),
    )
    assert verify(str(out)).look is None
    assert look(str(out), 1000).utterances == 24


def test_a_quick_look_finds_what_is_wrong_with_the_utterances_that_it_reads(out: Path) -> None:
    victim, gone = rows(out)[0], rows(out)[-1]["shard"]
    flip(first_tar(out), victim["offset"] + victim["bytes"] // 2)
    (out / gone).unlink()
    found = {finding.name: finding.kind for finding in look(str(out), 24).findings}
    assert found == {f"{victim['shard']}: {victim['key']}": "corrupt", gone: "missing"}
    damaged = sorted((out / "_melmill" / "commits").iterdir())[1]
    damaged.write_bytes(b"{")
    assert (f"_melmill/commits/{damaged.name}", "corrupt") in {
        (finding.name, finding.kind) for finding in look(str(out), 24).findings
    }


@pytest.mark.parametrize("version", [1, 2])
def test_a_quick_look_parses_the_rows_that_it_reads_and_no_others(
    out: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    if version == 1:
        for path in (out / "_melmill" / "commits").iterdir():
            path.write_bytes(as_version_1(Commit(path.read_bytes()).record))
    parsed: list[str] = []
    from_dict = Row.from_dict

    def counted(plain: dict[str, Any]) -> Row:
        parsed.append(plain["key"])
        return from_dict(plain)

    monkeypatch.setattr(Row, "from_dict", counted)
    report = look(str(out), 5)
    assert (report.findings, report.utterances) == ((), 5)
    assert len(parsed) == 5 if version == 2 else len(parsed) >= 24


def sealed_again(path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Edit a commit record as another program would that knows its format."""
    body = edit(path.read_bytes().rpartition(b'"seal": ')[0])
    path.chmod(0o644)
    path.write_bytes(body + b'"seal": "' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'"}\n')


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b'{"key": "', b'{"key": "x', 1),
        lambda text: re.sub(rb'"digest": "..', b'"digest": "00', text, count=1),
        lambda text: re.sub(rb'"digest": "..', b'"digest": "zz', text, count=1),
        lambda text: re.sub(rb'"digest": "[0-9a-f]+"', b'"digest": 3', text, count=1),
        lambda text: re.sub(rb'(\{"key": .*?)"peak": [^,]+, ', rb"\1", text, count=1),
        lambda text: re.sub(rb'"rows": \[\n\{.*\},\n', b'"rows": [\n', text, count=1),
        lambda text: re.sub(rb'"rows": \[\n\{', b'"rows": [\n', text, count=1),
    ],
    ids=["a key", "a mel", "no digest", "a number", "no peak", "too few", "no JSON"],
)
def test_a_quick_look_finds_rows_that_are_not_those_of_the_head(out: Path, edit: Callable[[bytes], bytes]) -> None:
    path = first_commit(out)
    sealed_again(path, edit)
    found = [(each.kind, each.name) for each in look(str(out), 24).findings]
    assert found == [("corrupt", f"_melmill/commits/{path.name}")]
    assert found[0] in [(each.kind, each.name) for each in verify(str(out)).findings]


def test_a_quick_look_of_worker_processes_finds_what_this_process_finds(out: Path) -> None:
    flip(first_tar(out), rows(out)[0]["offset"] + 2000)
    (out / rows(out)[-1]["shard"]).unlink()
    alone, together = look(str(out), 24), look(str(out), 24, workers=2)
    assert len(alone.findings) == 2
    assert together == alone


def test_a_quick_look_says_what_it_did_not_read(out: Path) -> None:
    said = CliRunner().invoke(app, ["verify", str(out), "--sample", "3"])
    assert said.exit_code == 0
    shards = len({row["shard"] for row in rows(out)})
    assert re.search(rf"nothing wrong was found; 3 of 24 utterances, in [123] of {shards} shards, read", said.output)
    assert "not read: all other audio" in said.output
    assert "is whole" not in said.output
    said = CliRunner().invoke(app, ["verify", str(out), "--sample", "3", "--json"])
    assert json.loads(said.output)["look"]["of"] == 24
