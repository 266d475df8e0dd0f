"""Outputs that melmill wrote at commit 94f63dd, whose commit records have format 2, are read and gone on with.

They have a file of the heads of commits, and neither records nor heads say how a shard was made. `test_old_outputs` has
those of format 1, and says more; `tests/tools/make_old_outputs.py` made both.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.old_outputs import (
    DATA,
    URL,
    Output,
    assert_kept,
    digest_read,
    files_of,
    melmill,
    names,
    placed,
    run,
    shards,
)

import pipeline
from pipeline.output.commits import Commits

EXPECTED: dict[str, dict[str, Any]] = json.loads((DATA / "format-2-expected.json").read_text(encoding="utf-8"))
FINISHED = ["finished-2", "finished-2-files"]
WHOLE = [*FINISHED, "failures-2", "superseded-2"]
HALF = "half-2"
HEADS = "_melmill/commit-heads"

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="the outputs were made in /proc/self/cwd")

Place = Callable[[str], Output]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("format-2")
    for name in ("outputs", "format-2"):
        with tarfile.open(DATA / f"{name}.tar.xz") as tar:
            wanted = [each for each in tar if each.name.split("/")[0] in ("inputs", *EXPECTED)]
            tar.extractall(folder, wanted, filter="data")
    return folder


@pytest.fixture
def place(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Puts an output where this process then works."""

    def put(name: str) -> Output:
        monkeypatch.chdir(tmp_path)
        return placed(name, unpacked, tmp_path, EXPECTED[name])

    return put


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits whose records are read from now on."""
    names: list[str] = []
    really = Commits._read_commit

    def counted(ledger: Commits, name: str) -> Any:
        names.append(name)
        return really(ledger, name)

    monkeypatch.setattr(Commits, "_read_commit", counted)
    return names


def assert_whole(old: Output, failed: int = 0) -> None:
    report = pipeline.verify(URL)
    assert (report.findings, report.utterances, report.failed) == ((), 12 - failed, failed)
    for row in old.rows():
        assert digest_read(old.out, row) == row["pcm_sha256"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_records_have_format_2_and_do_not_say_how_they_were_made(place: Place, name: str) -> None:
    records = [json.loads(path.read_bytes()) for path in (place(name).out / "_melmill" / "commits").iterdir()]
    assert {record["version"] for record in records} == {2}
    assert not any("making" in record for record in records)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_output_is_seen_as_it_was_and_nothing_is_written(place: Place, name: str) -> None:
    old = place(name)
    before = old.stamps()
    report = json.loads(melmill("verify", URL, "--json", code=10 if name == HALF else 0))
    assert [[each["kind"], each["name"]] for each in report["findings"]] == old.expected["findings"]
    plan = pipeline.plan(old.config())
    assert shards(plan.done) == old.expected_commits()
    assert shards(plan.todo) == names(old.expected["plan"]["todo"])
    told = json.loads(melmill("status", URL, "--json"))
    assert told["manifest"] == old.expected["status"]["manifest"]
    found = [[each.name, each.bytes] for each in pipeline.find_garbage(URL).garbage]
    assert found == old.expected["garbage"]
    assert old.stamps() == before


def stamped_as_now(old: Output) -> None:
    """The file of heads of then, with the stamps that its records have now, since they were copied."""
    path, lines = old.out / HEADS, []
    for line in path.read_bytes().splitlines():
        name, _, *rest = json.loads(line.partition(b" ")[2])
        found = (old.out / "_melmill" / "commits" / f"{name}.json").stat()
        stamp = f"{found.st_size}:{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}"
        assert len(rest) == 12
        text = json.dumps([name, stamp, *rest]).encode()
        lines.append(hashlib.blake2b(text, digest_size=16, person=b"1").hexdigest().encode() + b" " + text + b"\n")
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("name", [*FINISHED, "superseded-2"])
def test_its_file_of_heads_is_believed_and_no_record_is_read(place: Place, read: list[str], name: str) -> None:
    old = place(name)
    stamped_as_now(old)
    before = old.stamps()
    assert pipeline.run(old.config()).run_id == ""
    assert read == []
    assert old.stamps() == before


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_to_be_done_and_its_file_of_heads_is_renewed(place: Place, read: list[str], name: str) -> None:
    old = place(name)
    before = old.stamps()
    assert pipeline.run(old.config()).run_id == ""
    assert_kept(before, old.stamps(), set(before) - {HEADS, "_melmill/run.lock"})
    assert set(read) == {path.stem for path in (old.out / "_melmill" / "commits").iterdir()}
    read.clear()
    assert pipeline.run(old.config()).run_id == ""
    assert read == []


def test_a_run_that_was_killed_is_resumed(place: Place) -> None:
    old = place(HALF)
    before, committed, plan = old.stamps(), old.committed(), pipeline.plan(old.config())
    assert len(committed) == 2
    assert run(old.config()) == shards(plan.todo) != []
    assert_kept(before, old.stamps(), files_of(before, committed))
    assert_whole(old)
    rows = {row["key"]: row["pcm_sha256"] for row in old.rows()}
    assert {row["key"]: rows[row["key"]] for each in committed.values() for row in each} == {
        row["key"]: row["pcm_sha256"] for each in committed.values() for row in each
    }
    assert pipeline.run(old.config()).run_id == ""


def test_what_failed_is_tried_again_and_fails_again(place: Place) -> None:
    old = place("failures-2")
    failures = old.rows("failures.jsonl")
    assert "3 utterances failed" in melmill("retry", URL, code=3)
    assert [row["key"] for row in old.rows("failures.jsonl")] == [row["key"] for row in failures]
    assert_whole(old, failed=3)


@pytest.mark.parametrize("name", FINISHED)
def test_a_publication_copies_the_lines_of_then(place: Place, name: str) -> None:
    old = place(name)
    before = (old.out / "manifest.jsonl").read_bytes()
    (old.out / "manifest.jsonl").unlink()
    assert run(old.config()) == []
    assert (old.out / "manifest.jsonl").read_bytes() == before
    assert_whole(old)


@pytest.mark.parametrize("name", FINISHED)
def test_of_a_changed_mel_that_alone_is_decoded(place: Place, unpacked: Path, name: str) -> None:
    old = place(name)
    before, rows = old.stamps(), {row["key"]: row["pcm_sha256"] for row in old.rows()}
    shutil.rmtree(old.place / "mels.zarr")
    shutil.copytree(unpacked / "inputs" / "changed.zarr", old.place / "mels.zarr")
    (planned,) = pipeline.plan(old.config()).todo
    assert planned.reason == f"1 of {len(planned.members)} mels changed"
    assert run(old.config()) == [planned.name]
    now = {row["key"]: row["pcm_sha256"] for row in old.rows()}
    assert [key for key in rows if rows[key] != now[key]] == ["0002"]
    assert_kept(before, old.stamps(), files_of(before, old.expected_commits()))
    assert_whole(old)


@pytest.mark.parametrize("name", FINISHED)
def test_changed_texts_copy_the_audio_and_decode_nothing(place: Place, name: str) -> None:
    old = place(name)
    rows, texts = old.rows(), old.place / "texts.jsonl"
    texts.write_text(json.dumps({"key": rows[0]["key"], "text": "corrected"}) + "\n")
    report = pipeline.run(old.config(input__meta=str(texts)))
    assert (report.repacked, report.made_seconds) == (1, 0.0)
    assert [row["meta"]["text"] for row in old.rows()] == ["corrected", *(row["meta"]["text"] for row in rows[1:])]
    assert_whole(old)


def test_going_back_to_what_is_superseded_makes_nothing(place: Place) -> None:
    old = place("superseded-2")
    assert run(old.config(vocoder__name="/proc/self/cwd/other.onnx")) == []
    first = (old.place / "first-manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["pcm_sha256"] for row in old.rows()] == [json.loads(line)["pcm_sha256"] for line in first]
    assert_whole(old)
    assert json.loads(melmill("gc", URL, "--yes", "--json"))["deleted"]
    assert_whole(old)
