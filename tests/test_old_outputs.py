"""Outputs that melmill wrote at commit d591a97 are read, gone on with, mended and cleaned up by every later melmill.

`tests/tools/make_old_outputs.py` made them, and says how; `data/outputs/expected.json` is what that melmill said of
them. Nothing here imports a module of melmill that may move: only what `pipeline` itself offers, and the command line.

A test works in the folder that it unpacked an output to: the output knows its store, vocoder and place as
`/proc/self/cwd/...`. Audio that is made anew is held against a run of now, never against digests of then, since another
processor may make other last bits.
"""

import contextlib
import hashlib
import json
import re
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from support.old_outputs import (
    DATA,
    URL,
    Output,
    Row,
    assert_kept,
    digest_read,
    files_of,
    furnish,
    lines,
    melmill,
    names,
    placed,
    run,
    shards,
)

import pipeline
from pipeline.output.not_measured import without_nulls

EXPECTED: dict[str, dict[str, Any]] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
OLD_HOST = "old-host"

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="the outputs were made in /proc/self/cwd")

FINISHED = ["finished-tar", "finished-files", "finished-wav"]
KILLED = ["half-tar", "half-files", "half-over-another", "parts-begun"]
SUPERSEDED = ["superseded-vocoder", "superseded-files", "superseded-mel"]
VERIFIED = {
    **dict.fromkeys([*FINISHED, *SUPERSEDED, "failures"], 0),
    **dict.fromkeys([*KILLED, "parts-made"], 10),  # there is no manifest yet
    "half-over-another": 12,  # the dead attempt has left an object that no commit names
    **dict.fromkeys(["damaged", "marked"], 11),
}
"""Exit code of `melmill verify`."""
STATES = {name: "killed" if name in KILLED else "finished" for name in VERIFIED} | {"parts-made": "killed"}
"""Seen from the machine that the runs died on."""
TO_MAKE = {"half-tar": 3, "half-files": 3, "half-over-another": 3, "parts-begun": 4, "marked": 1}
"""Shards that are to be made; of the others, none."""

ROW = [
    "key", "shard", "member", "offset", "bytes", "sample_rate", "num_samples", "duration", "subtype", "pcm_sha256",
    "peak", "rms_dbfs", "clipped", "mel_distance", "mel_distance_relative", "source", "meta", "over_full_scale",
    "gain_db", "loudness",
]  # fmt: skip
"""Fields of a manifest row, in their order."""
WHERE = ("shard", "member", "offset", "bytes")
"""Fields that say where audio lies, which may be another place when it was made again."""

TWICE = [*SUPERSEDED, "half-over-another"]
"""Published once before, with other shards."""
TOO_LONG = "long"
"""The key that the job with failures refuses before any work."""
LISTS = ("manifest.jsonl", "failures.jsonl")
INDEX, HEADS, RUNS = "index.json", "_melmill/commit-heads", "_melmill/runs/"
"""What outputs have had since then."""
REWRITTEN = {
    INDEX,
    HEADS,
    *LISTS,
    "job.json",
    *(f"_melmill/{name}.json" for name in ("published", "publishing", "status")),
}

# ---- an output in a folder of its own


Place = Callable[[str], Output]
Fresh = Callable[[str], Output]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old-outputs")
    with tarfile.open(DATA / "outputs.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def place(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Puts an output where this process then works."""

    def put(name: str) -> Output:
        monkeypatch.chdir(tmp_path)
        return placed(name, unpacked, tmp_path, EXPECTED[name])

    return put


@pytest.fixture(scope="module")
def fresh(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """What a run of now makes of the job of an output, in a folder of its own."""
    made: dict[str, Output] = {}

    def make(name: str) -> Output:
        what = json.dumps([EXPECTED[name]["job"], EXPECTED[name]["store"]])
        if what not in made:
            folder = tmp_path_factory.mktemp("fresh")
            furnish(folder, unpacked / "inputs", EXPECTED[name]["store"])
            made[what] = Output(name, folder, EXPECTED[name])
            with contextlib.chdir(folder):
                pipeline.run(made[what].config())
        return made[what]

    return make


# ---- what is asked of outputs


NEW_IN_A_ROW = ("text", "speaker", "language")
"""What rows of the manifest have had since then, out of `meta`."""


def row_then(row: Row) -> Row:
    """A row or failure without what it has had since then, with its store's name in place of the whole path.

    What was not measured is null in old manifests, and a number in new ones.
    """
    named = row["source"]["store"].rpartition("/")[2]
    kept = {name: value for name, value in without_nulls(row).items() if name not in NEW_IN_A_ROW}
    return kept | {"source": {**row["source"], "store": named}}


def by_key(rows: Iterable[Row], *without: str) -> dict[str, Row]:
    return {
        row["key"]: {name: value for name, value in row.items() if name not in without} for row in map(row_then, rows)
    }


def assert_whole(old: Output, failed: int = 0) -> None:
    """It verifies, all of its audio is read, and there is nothing to do for its job."""
    report = pipeline.verify(URL)
    assert report.findings == ()
    rows = old.rows()
    assert (report.utterances, report.failed) == (len(rows), failed) == (12 - failed, len(old.rows("failures.jsonl")))
    for row in rows:
        assert list(row_then(row)) == ROW
        assert digest_read(old.out, row) == row["pcm_sha256"]


def assert_whole_for(config: pipeline.JobConfig) -> None:
    """Everything verifies, and there is nothing to do for this job."""
    assert pipeline.verify(URL).findings == ()
    assert pipeline.run(config).run_id == ""


def remove_unexpected(old: Output, left: Iterable[str]) -> None:
    """All that verify finds are objects that a dead attempt left, and nobody needs."""
    for finding in pipeline.verify(URL).findings:
        assert finding.kind == "unexpected"
        assert finding.name in left
        (old.out / finding.name).unlink()


def assert_rows(old: Output, kept: Iterable[Row], fresh: list[Row]) -> None:
    """Rows that were there are as they were; the others are those of a run of now, wherever their audio lies."""
    then, now = by_key(kept), by_key(old.rows())
    assert {key: now[key] for key in then} == then
    made = by_key((row for row in old.rows() if row["key"] not in then), *WHERE)
    assert made == by_key((row for row in fresh if row["key"] in made), *WHERE)
    assert made
    assert len(now) == len(old.rows()) == len(fresh)


def below(stamps: dict[str, Any], names: Iterable[str]) -> set[str]:
    """These files, and those in these folders."""
    return {name for name in stamps for each in names if name == each or name.startswith(f"{each}/")}


NEW_IN_A_PLAN = (
    "texts_changed", "shards_repacked", "shards_vocoded", "repacked", "needed_again", "shared_bytes", "vocoded",
    "utterances_copied", "driver_bytes", "first_bytes",
)  # fmt: skip
NEW_IN_A_VOCODER = ("precision", "refine", "mels")
NEW_IN_A_JOB = ("sidecar", "store_in_rows", "manifest")
NEW_IN_A_COMMIT = (
    "texts", "copied_from", "copied_seconds", "making", "store", "store_in_rows", "made", "keys", "digests", "sums"
)  # fmt: skip
"""What plans, jobs and commit records have had since then."""


def unnamed(text: str) -> str:
    """A text with the numbers of shards alone: since then, what their JSON files say goes into the rest of a name."""
    return re.sub(r"\b([0-9]{6})-[0-9a-f]{8}\b", r"\1", text)


def as_then(plan: dict[str, Any]) -> dict[str, Any]:
    """What a plan could say then. The memory that a worker needs may be another one."""

    def known(value: dict[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in value.items() if name not in NEW_IN_A_PLAN}

    todo = [{**known(shard), "shard": unnamed(shard["shard"])} for shard in plan["todo"]]
    return {**known(plan), "todo": todo, "worker_bytes": 0}


# ---- they are seen as they were


def test_the_table_is_about_the_outputs_that_are_there(unpacked: Path) -> None:
    assert {*EXPECTED, "inputs"} == {*VERIFIED, "inputs"} == {path.name for path in unpacked.iterdir()}


@pytest.mark.parametrize("name", VERIFIED)
def test_an_output_is_seen_as_it_was_and_nothing_is_written(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = place(name)
    before = old.stamps()
    report = json.loads(melmill("verify", URL, "--json", code=VERIFIED[name]))
    assert [[each["kind"], each["name"]] for each in report["findings"]] == old.expected["findings"]

    plan = pipeline.plan(old.config())
    assert as_then(plan.to_dict()) == as_then(old.expected["plan"])
    assert len(plan.todo) == TO_MAKE.get(name, 0)
    assert sum(len(shard.members) for shard in (*plan.todo, *plan.done)) + len(plan.refused) == 12

    if old.expected["garbage"] is None:
        with pytest.raises(pipeline.MelmillError, match="Run the job again"):
            pipeline.find_garbage(URL)
    else:
        found = [[each.name, each.bytes] for each in pipeline.find_garbage(URL).garbage]
        assert found == old.expected["garbage"]

    monkeypatch.setattr(socket, "gethostname", lambda: OLD_HOST)
    told = json.loads(melmill("status", URL, "--json"))
    assert {part: told[part] for part in ("run", "parts", "holder")} == {
        part: old.expected["status"][part] for part in ("run", "parts", "holder")
    }
    if name == "marked":  # its published.json was deleted by a repair; that melmill took this for: no manifest
        assert told["manifest"]["utterances"] == len(old.rows())
    else:
        assert told["manifest"] == old.expected["status"]["manifest"]
    assert (told["output"], told["state"]) == (URL, STATES[name])
    assert old.stamps() == before


def test_a_run_that_died_on_another_machine_is_silent(place: Place) -> None:
    old = place("half-tar")
    assert pipeline.read_status(URL).state == "silent"
    assert "no sign of life" in melmill("status", str(old.out))


@pytest.mark.parametrize("name", [name for name in VERIFIED if name not in ("damaged", "marked")])
def test_the_audio_that_is_read_is_the_audio_that_was_written(place: Place, name: str) -> None:
    old = place(name)
    rows = [row for rows in old.committed().values() for row in rows]
    assert {f"{row['shard']} {row['key']}": digest_read(old.out, row) for row in rows} == old.expected["pcm"]


# ---- what is finished


@pytest.mark.parametrize("name", [*FINISHED, *SUPERSEDED, "failures", "damaged"])
def test_the_next_run_publishes_the_index_and_makes_nothing(place: Place, name: str) -> None:
    old = place(name)
    before, lists = old.stamps(), [list(map(row_then, old.rows(each))) for each in LISTS]
    due = pipeline.plan(old.config()).publication_due
    assert due == "it was published by an earlier melmill, which wrote no index.json"
    assert old.stamps() == before
    report = pipeline.run(old.config())
    assert report.run_id
    assert report.made_seconds == 0.0
    after = old.stamps()
    assert {path for path in after if not path.startswith(RUNS)} - {INDEX, HEADS} == set(before)
    assert_kept(before, after, set(before) - REWRITTEN - {"_melmill/run.lock"})
    assert [list(map(row_then, old.rows(each))) for each in LISTS] == lists
    index = json.loads((old.out / INDEX).read_bytes())
    shards = [each["url"] for each in index["shardlist"]] or [each["file"] for each in index["files"]]
    assert shards == list(dict.fromkeys(object_of(row) for row in old.rows()))


def object_of(row: Row) -> str:
    return row["shard"] if row["shard"].endswith(".tar") else f"{row['shard']}/{row['member']}"


@pytest.mark.parametrize("name", [*FINISHED, "failures", "damaged"])
def test_nothing_is_to_be_done_for_what_is_finished(place: Place, name: str) -> None:
    """Damage is not looked for by a run."""
    old = place(name)
    pipeline.run(old.config())
    before = old.stamps()
    report = pipeline.run(old.config())
    assert (report.run_id, report.made_seconds) == ("", 0.0)
    if name in ("finished-tar", "failures"):
        job = old.place / "job.yaml"
        job.write_text(old.config().model_dump_json())
        code = 3 if name == "failures" else 0
        assert "nothing to do" in melmill("run", str(job), code=code)
        assert melmill("run", str(job), "--if-changed") == ""
        assert "nothing to do" in melmill("publish", URL, code=code)
    if name == "finished-tar":
        assert "nothing to do" in melmill("retry", URL)
    assert old.stamps() == before


def test_an_output_whose_store_was_moved_is_adopted_and_nothing_is_made(place: Place) -> None:
    old = place("finished-files")
    before, rows = old.stamps(), old.rows()
    url = str(old.out)
    moved = old.config(
        input__store=str(old.place / "mels.zarr"), vocoder__name=str(old.place / "tiny.onnx"), output__url=url
    )
    for refuse in (pipeline.plan, pipeline.run):
        with pytest.raises(pipeline.MelmillError, match=r"was made from /proc/self/cwd/mels\.zarr .*--adopt") as caught:
            refuse(moved)
        assert caught.value.exit_code == 2
    job = old.place / "job.yaml"
    job.write_text(moved.model_dump_json())
    planned = json.loads(melmill("plan", str(job), "--adopt", "--json"))
    assert (planned["todo"], names(planned["done"])) == ([], names(old.expected["plan"]["done"]))
    assert planned["publish"] == "changed: the output's place, the store's place"
    assert old.stamps() == before

    report = pipeline.run(moved, adopt=True)
    assert report.run_id
    assert report.made_seconds == 0.0
    after = old.stamps()
    assert_kept(before, after, files_of(before, old.committed()))
    assert by_key(old.rows()) == by_key(rows)
    assert pipeline.verify(url).findings == ()
    described = json.loads((old.out / "job.json").read_bytes())
    assert described["job"]["input"]["store"] == str(old.place / "mels.zarr")
    assert described["generation"] == 2
    assert pipeline.run(moved).run_id == ""


def test_the_whole_output_may_be_moved(place: Place) -> None:
    """Its store stays: only the publication is made again."""
    old = place("finished-tar")
    old.out.rename(old.place / "elsewhere")
    moved = old.config(output__url="/proc/self/cwd/elsewhere")
    assert run(moved) == []
    assert pipeline.verify("elsewhere").findings == ()
    assert pipeline.run(moved).run_id == ""


def test_an_object_that_was_lost_is_missed_and_made_again(place: Place, fresh: Fresh) -> None:
    old = place("finished-tar")
    rows, before = old.rows(), old.stamps()
    lost = rows[0]["shard"]
    (old.out / lost).unlink()
    assert pipeline.verify(URL).exit_code == 10
    (planned,) = pipeline.plan(old.config()).todo
    assert planned.reason == f"its object {lost} is lost"
    assert run(old.config()) == [planned.name]
    assert_whole(old)
    others = [row for row in rows if row["shard"] != lost]
    assert_rows(old, others, fresh("finished-tar").rows())
    assert_kept(before, old.stamps(), [row["shard"] for row in others])


# ---- what was killed


@pytest.mark.parametrize("name", KILLED)
def test_a_run_that_was_killed_is_resumed(place: Place, fresh: Fresh, name: str) -> None:
    old = place(name)
    before, committed = old.stamps(), old.committed()
    plan = pipeline.plan(old.config())
    done = shards(plan.done)
    assert done == names(old.expected["plan"]["done"])
    assert set(done) <= set(committed)
    assert run(old.config()) == shards(plan.todo)
    assert list(map(unnamed, shards(plan.todo))) == list(map(unnamed, names(old.expected["plan"]["todo"])))
    assert_kept(before, old.stamps(), files_of(before, committed))
    left = [name for kind, name in old.expected["findings"] if kind == "unexpected"]
    remove_unexpected(old, left)  # the dead attempt's objects: what is made now has other names
    assert_whole(old)
    assert_rows(old, [row for each in done for row in committed[each]], fresh(name).rows())
    assert pipeline.run(old.config()).run_id == ""
    assert pipeline.read_status(URL).state == "finished"


@pytest.mark.parametrize("name", KILLED)
def test_gc_of_an_unfinished_output_deletes_what_the_dead_left_and_keeps_what_is_committed(
    place: Place, name: str
) -> None:
    old = place(name)
    before, committed = old.stamps(), old.committed()
    garbage = [each.name for each in pipeline.collect_garbage(URL).garbage]
    assert garbage == [each for each, _ in old.expected["garbage"]]
    after = old.stamps()
    assert_kept(before, after, files_of(before, committed))
    assert set(after) - {"_melmill/run.lock"} == set(before) - {"_melmill/run.lock"} - below(before, garbage)
    unpublished = [] if (old.out / "manifest.jsonl").exists() else list(LISTS)
    assert [each.name for each in pipeline.verify(URL).findings] == unpublished
    plan = pipeline.plan(old.config())
    assert list(map(unnamed, shards(plan.todo))) == list(map(unnamed, names(old.expected["plan"]["todo"])))
    assert shards(plan.done) == old.expected_commits()


# ---- what failed


def test_what_failed_is_tried_again_and_fails_again(place: Place, fresh: Fresh) -> None:
    old = place("failures")
    before, rows, failures, plan = old.stamps(), old.rows(), old.rows("failures.jsonl"), old.expected["plan"]
    again = [shard["shard"] for shard in plan["done"] if shard["failed"]]
    assert again
    assert "3 utterances failed" in melmill("retry", URL, code=3)
    assert by_key(old.rows("failures.jsonl"), "shard") == by_key(failures, "shard")
    assert [row["shard"] is None for row in failures] == [row["shard"] is None for row in old.rows("failures.jsonl")]
    kept = [row for row in rows if row["shard"].removeprefix("data/").removesuffix(".tar") not in again]
    assert_rows(old, kept, fresh("failures").rows())
    assert_kept(before, old.stamps(), files_of(before, old.expected_commits()))
    now = {shard.name for shard in pipeline.plan(old.config()).done}
    assert len(now & set(old.expected_commits())) == len(plan["done"]) - len(again)
    assert_whole(old, failed=len(failures))


def test_what_failed_is_made_when_its_store_was_mended(place: Place, fresh: Fresh, unpacked: Path) -> None:
    old = place("failures")
    before, rows, failures = old.stamps(), old.rows(), old.rows("failures.jsonl")
    affected = {row["shard"] for row in failures} - {None}
    shutil.rmtree(old.place / "mels.zarr")
    shutil.copytree(unpacked / "inputs" / "whole.zarr", old.place / "mels.zarr")
    assert run(old.config()) == []  # nobody has said that it was
    made = run(old.config(), retry=True)
    assert len(made) == len(affected) > 0
    assert not affected & set(made)
    assert [row["key"] for row in old.rows("failures.jsonl")] == [TOO_LONG]
    assert_whole(old, failed=1)
    kept = [row for row in rows if row["shard"].removeprefix("data/").removesuffix(".tar") not in affected]
    assert_rows(old, kept, [row for row in fresh("finished-tar").rows() if row["key"] != TOO_LONG])
    assert_kept(before, old.stamps(), files_of(before, old.expected_commits()))


def test_too_many_failures_are_told_of_an_old_output(place: Place) -> None:
    old = place("failures")
    for _ in ("index.json is published", "nothing is to be done"):
        before = old.stamps()
        with pytest.raises(pipeline.MelmillError, match="3 of 12 utterances failed") as caught:
            pipeline.run(old.config(quality__max_failure_rate=0.1))
        assert caught.value.exit_code == 7
    assert old.stamps() == before


# ---- what was changed, and what is superseded


def superseded(old: Output) -> set[str]:
    """Commit records and objects of the first publication that the second has not."""
    now = {row["shard"] for row in old.rows()}
    then = {row["shard"] for row in lines(old.place / "first-manifest.jsonl")} if old.name in TWICE else set()
    gone = [shard.removeprefix("data/").removesuffix(".tar") for shard in then - now]
    return files_of(old.stamps(), gone)


def test_what_has_changed_is_known_of_every_shard(place: Place, unpacked: Path) -> None:
    old = place("finished-tar")
    tiny, other = (
        hashlib.sha256((old.place / name).read_bytes()).hexdigest()[:8] for name in ("tiny.onnx", "other.onnx")
    )

    def reasons(**changes: Any) -> set[str]:
        return {shard.reason for shard in pipeline.plan(old.config(**changes)).todo}

    assert reasons(vocoder__name="/proc/self/cwd/other.onnx") == {f"vocoder {tiny} -> {other}"}
    assert reasons(output__codec="wav") == {"output tar flac PCM_16 -> tar wav PCM_16"}
    assert reasons(output__container="files") == {"output tar flac PCM_16 -> files flac PCM_16"}
    assert reasons(output__shard_seconds=5.0, output__sample_rate=22050) == set()
    shutil.rmtree(old.place / "mels.zarr")
    shutil.copytree(unpacked / "inputs" / "changed.zarr", old.place / "mels.zarr")
    (shard,) = pipeline.plan(old.config()).todo
    assert shard.reason == f"1 of {len(shard.members)} mels changed"


@pytest.mark.parametrize("name", [*FINISHED, "half-tar"])
def test_shards_of_onnxruntime_are_stale_for_the_native_kernels_and_the_plan_says_how_to_keep_them(
    place: Place, name: str
) -> None:
    old = place(name)
    before = old.stamps()
    digest = hashlib.sha256((old.place / "tiny.onnx").read_bytes()).hexdigest()
    plan = pipeline.plan(old.config(vocoder__runtime="auto"))
    assert plan.backend.runtime == "native"
    reasons = {shard.reason for shard in plan.todo} - {"new"}
    assert reasons == {
        f"vocoder {digest[:8]} -> {plan.vocoder_digest[:8]} (the same net, run in another way; "
        "--set vocoder.runtime=onnxruntime keeps these shards)"
    }
    assert plan.done == ()
    job = old.place / "job.yaml"
    job.write_text(old.config(vocoder__runtime="auto").model_dump_json())
    assert "--set vocoder.runtime=onnxruntime keeps these shards" in melmill("plan", str(job))
    kept = json.loads(melmill("plan", str(job), "--set", "vocoder.runtime=onnxruntime", "--json"))
    assert (kept["runtime"], len(kept["todo"])) == ("onnxruntime", TO_MAKE.get(name, 0))
    assert old.stamps() == before


def test_shards_of_onnxruntime_are_made_again_by_a_run_that_takes_the_native_kernels(place: Place) -> None:
    old = place("finished-tar")
    rows = by_key(old.rows())
    native = old.config(vocoder__runtime="auto")
    assert len(run(native)) == len(old.expected["plan"]["done"])
    assert_whole_for(native)
    described = json.loads((old.out / "job.json").read_bytes())
    assert (described["vocoder"]["runtime"], described["job"]["vocoder"]["runtime"]) == ("native", "auto")
    again = by_key(old.rows())
    assert {key: row["num_samples"] for key, row in again.items()} == {
        key: row["num_samples"] for key, row in rows.items()
    }
    assert max(abs(again[key]["peak"] - rows[key]["peak"]) for key in rows) < 1e-4
    # And back: the shards of then are still there.
    assert run(old.config()) == []
    assert by_key(old.rows()) == rows


def test_a_retry_of_an_old_output_stays_with_onnxruntime(place: Place) -> None:
    old = place("failures")
    assert json.loads((old.out / "job.json").read_bytes())["job"]["vocoder"]["runtime"] == "auto"
    kept = {f"data/{shard['shard']}.tar" for shard in old.expected["plan"]["done"] if not shard["failed"]}
    assert kept
    melmill("retry", URL, code=3)
    assert kept <= {row["shard"] for row in old.rows()}
    assert json.loads((old.out / "job.json").read_bytes())["vocoder"]["runtime"] == "onnxruntime"


@pytest.mark.parametrize("name", FINISHED)
def test_changed_texts_and_another_sidecar_copy_the_audio_and_decode_nothing(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = place(name)
    before, rows = old.stamps(), old.rows()
    texts = old.place / "texts.jsonl"
    texts.write_text(json.dumps({"key": rows[0]["key"], "text": "corrected"}) + "\n")
    (planned,) = pipeline.plan(old.config(input__meta=str(texts))).todo
    assert planned.reason.startswith("1 of ")
    report = pipeline.run(old.config(input__meta=str(texts)))
    assert (report.repacked, report.made_seconds) == (1, 0.0)
    assert_whole(old)
    assert_kept(before, old.stamps(), files_of(before, old.expected_commits()))
    assert [row["meta"]["text"] for row in old.rows()] == ["corrected", *(row["meta"]["text"] for row in rows[1:])]
    full = old.config(input__meta=str(texts), output__sidecar="full")
    report = pipeline.run(full)
    assert (report.repacked, report.made_seconds) == (len(old.expected["plan"]["done"]), 0.0)
    assert_whole(old)
    assert pipeline.run(full).run_id == ""


@pytest.mark.parametrize("name", FINISHED)
def test_texts_that_are_taken_away_go_from_the_files_too(place: Place, name: str) -> None:
    old = place(name)
    shutil.rmtree(old.place / "mels.zarr" / "meta")
    report = pipeline.run(old.config())
    assert (report.repacked, report.made_seconds) == (len(old.expected["plan"]["done"]), 0.0)
    assert_whole(old)
    current = {row["shard"] for row in old.rows()}
    for shard in current:
        said = (
            (old.out / shard).read_bytes()
            if shard.endswith(".tar")
            else b"".join(path.read_bytes() for path in (old.out / shard).glob("*.json"))
        )
        assert b"text of" not in said
    assert pipeline.run(old.config()).run_id == ""


@pytest.mark.parametrize("name", SUPERSEDED)
def test_gc_deletes_what_is_superseded_and_nothing_else(place: Place, name: str) -> None:
    old = place(name)
    before, rows = old.stamps(), old.rows()
    wanted = superseded(old)
    assert wanted
    found = pipeline.find_garbage(URL).garbage
    assert {each.name for each in found} == wanted
    assert json.loads(melmill("gc", URL, "--yes", "--json"))["deleted"]
    after = old.stamps()
    assert set(after) == set(before) - wanted
    assert_kept(before, after, set(after) - {"_melmill/run.lock"})
    assert pipeline.collect_garbage(URL).garbage == ()
    assert pipeline.run(old.config()).made_seconds == 0.0
    assert pipeline.run(old.config()).run_id == ""
    assert list(map(row_then, old.rows())) == list(map(row_then, rows))
    assert_whole(old)


@pytest.mark.parametrize("name", SUPERSEDED)
def test_going_back_before_gc_makes_nothing(place: Place, unpacked: Path, name: str) -> None:
    old = place(name)
    before = old.stamps()
    first = old.config(vocoder__name="/proc/self/cwd/other.onnx")
    if name == "superseded-mel":
        first = old.config()
        shutil.rmtree(old.place / "mels.zarr")
        shutil.copytree(unpacked / "inputs" / "whole.zarr", old.place / "mels.zarr")
    assert run(first) == []
    assert by_key(old.rows()) == by_key(lines(old.place / "first-manifest.jsonl"))
    assert_kept(before, old.stamps(), files_of(before, old.committed()))
    assert_whole(old)


# ---- what is damaged


@pytest.mark.parametrize("name", ["damaged", "marked"])
def test_what_is_damaged_is_made_again_and_nothing_else(place: Place, fresh: Fresh, name: str) -> None:
    old = place(name)
    before, rows = old.stamps(), old.rows()
    victim = next(name for kind, name in old.expected["findings"] if kind == "corrupt")
    bad = victim.removeprefix("data/").removesuffix(".tar")
    if name == "damaged":
        assert f"shard {bad} will be made again" in melmill("verify", URL, "--repair", code=11)
    (planned,) = pipeline.plan(old.config()).todo
    assert planned.reason == f"verify found {victim} corrupt"
    assert run(old.config()) == [planned.name] != [bad]
    assert_whole(old)
    kept = [row for row in rows if row["shard"] != victim]
    assert_rows(old, kept, fresh("finished-tar").rows())
    assert_kept(before, old.stamps(), [row["shard"] for row in kept])
    collected = {each.name for each in pipeline.collect_garbage(URL).garbage}
    assert collected == {victim, f"_melmill/commits/{bad}.json", f"_melmill/stale/{bad}.json"}
    assert_whole(old)


@pytest.mark.parametrize("lost", ["job.json", "_melmill/published.json", *LISTS])
def test_what_is_written_about_the_audio_is_written_again_from_the_commits(place: Place, lost: str) -> None:
    old = place("finished-tar")
    before, rows, described = old.stamps(), old.rows(), json.loads((old.out / "job.json").read_bytes())
    (old.out / lost).unlink()
    assert pipeline.verify(URL).exit_code == 10
    assert run(old.config()) == []
    after = old.stamps()
    assert by_key(old.rows()) == by_key(rows)
    assert old.rows("failures.jsonl") == []
    assert_kept(before, after, files_of(before, old.committed()))
    now = json.loads((old.out / "job.json").read_bytes())
    assert [now["job"]["output"].pop(name) for name in NEW_IN_A_JOB] == ["plain", "name", ["jsonl"]]
    assert [now["job"]["vocoder"].pop(name) for name in NEW_IN_A_VOCODER] == ["float32", 0, "auto"]
    assert now["job"]["quality"].pop("max_clipped_rate")
    for part in ("job", "mel", "vocoder"):
        assert of_its_kind(now[part]) == of_its_kind(described[part])
    seconds = now["counts"].pop("seconds"), described["counts"].pop("seconds")
    assert seconds[0] == pytest.approx(seconds[1], rel=1e-12)  # shards are added up first since then
    assert now["counts"] == described["counts"]
    assert now["generation"] == 2
    assert_whole(old)


# ---- parts of a job


def test_publish_publishes_what_parts_have_made(place: Place) -> None:
    old = place("parts-made")
    before = old.stamps()
    assert not (old.out / "manifest.jsonl").exists()
    assert [part.part for part in pipeline.read_status(URL).parts] == ["0/2", "1/2"]
    assert "lists 12 utterances" in melmill("publish", URL)
    after = old.stamps()
    assert_kept(before, after, files_of(before, old.committed()))
    committed = [row for rows in old.committed().values() for row in rows]
    assert list(map(row_then, old.rows())) == list(map(row_then, committed))
    assert_whole(old)
    assert (pipeline.read_status(URL).state, pipeline.read_status(URL).parts) == ("finished", ())
    assert pipeline.run(old.config()).run_id == ""


def test_parts_go_on_with_what_parts_have_begun(place: Place, fresh: Fresh) -> None:
    old = place("parts-begun")
    before, committed = old.stamps(), old.committed()
    job = old.place / "job.yaml"
    job.write_text(old.config().model_dump_json())
    assert "4 shards are still to be made" in melmill("publish", URL, code=75)
    assert "lists 12 utterances" in melmill("run", str(job), "--part", "0/2")
    assert_kept(before, old.stamps(), files_of(before, committed))
    remove_unexpected(old, [name for _, name in old.expected["findings"]])
    assert_whole(old)
    assert_rows(old, [row for rows in committed.values() for row in rows], fresh("parts-begun").rows())


# ---- what is written now is written as it was


@pytest.mark.parametrize("name", [*FINISHED, "failures"])
def test_a_run_of_now_writes_the_same_files_with_the_same_fields(place: Place, fresh: Fresh, name: str) -> None:
    old, new = place(name), fresh(name)
    paths = {unnamed(path): path for path in new.stamps() if path not in (INDEX, HEADS) and not path.startswith(RUNS)}
    assert sorted(paths) == sorted(map(unnamed, old.stamps()))
    for path in old.stamps():
        new_path = new.out / paths[unnamed(path)]
        if path.endswith((".json", ".jsonl")):
            now, then = lines_or_document(new_path), lines_or_document(old.out / path)
            if path.startswith("_melmill/commits/"):
                assert all(now.pop(each) is not None for each in NEW_IN_A_COMMIT)
                assert now["ingredients"].pop("sidecar") == "plain"
                assert (now.pop("version"), then.pop("version")) == (2, 1)
                for record in (now, then):
                    record |= {part: list(map(row_then, record[part])) for part in ("rows", "failures")}
                now, then = dict(sorted(now.items())), dict(sorted(then.items()))  # in lines of its own since then
            if path in ("_melmill/published.json", "_melmill/publishing.json"):
                assert now["files"].pop()["name"] == INDEX
                assert (now.pop("due", ""), now.pop("superseded", {})) == ("", {})
            if path == "job.json":
                assert now.pop("processors")  # what outputs have had since then
                assert now["vocoder"].pop("runtime") == "onnxruntime"
                assert now.pop("metadata")["fields"] == {"text": "text", "speaker": "text"}
                assert [now["job"]["output"].pop(name) for name in NEW_IN_A_JOB] == ["plain", "name", ["jsonl"]]
                assert [now["job"]["vocoder"].pop(name) for name in NEW_IN_A_VOCODER] == ["float32", 0, "auto"]
                assert now["job"]["quality"].pop("max_clipped_rate")
                now["job"], then["job"] = of_its_kind(now["job"]), of_its_kind(then["job"])
            if path in LISTS:
                now, then = list(map(row_then, now)), list(map(row_then, then))
            assert shape(now) == shape(then), path
        if path.endswith(".tar"):
            assert members(new_path) == members(old.out / path)
    for rows in LISTS:
        now, then = (json.loads(unnamed(json.dumps(by_key(each.rows(rows), *MADE)))) for each in (new, old))
        assert now == then
        assert [row["key"] for row in new.rows(rows)] == [row["key"] for row in old.rows(rows)]
    now, then = (json.loads((each.out / "job.json").read_bytes()) for each in (new, old))
    assert [now["job"]["output"].pop(name) for name in NEW_IN_A_JOB] == ["plain", "name", ["jsonl"]]
    assert [now["job"]["vocoder"].pop(name) for name in NEW_IN_A_VOCODER] == ["float32", 0, "auto"]
    assert now["job"]["quality"].pop("max_clipped_rate")
    for part in ("generation", "job", "mel", "vocoder", "store"):
        assert of_its_kind(now[part]) == of_its_kind(then[part])


MADE = ("offset", "bytes", "pcm_sha256", "peak", "rms_dbfs", "clipped", "over_full_scale", "mel_distance",
        "mel_distance_relative", "loudness")  # fmt: skip
"""Fields that say what was made, which may differ by last bits."""


def of_its_kind(value: Any) -> Any:
    """A JSON value without nulls in `cluster`: each kind of cluster had the keys of all kinds then, as nulls.

    And without what jobs have had since then, and the runtime, which is not `auto` here.
    """
    if isinstance(value, dict) and "kind" in value:
        return {name: each for name, each in value.items() if each is not None}
    if isinstance(value, dict):
        return {name: of_its_kind(each) for name, each in value.items() if name not in ("superseded", "runtime")}
    return value


def lines_or_document(path: Path) -> Any:
    return lines(path) if path.suffix == ".jsonl" else json.loads(path.read_bytes())


def shape(value: Any) -> Any:
    """A JSON value with kinds in place of values, its fields in their order; those of `meta` are sorted since then."""
    if isinstance(value, dict):
        return [(name, sorted(shape(each)) if name == "meta" else shape(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def members(path: Path) -> list[tuple[Any, ...]]:
    """What a tar says of its members, but how large they are and where; and the shape of those that are JSON."""
    found = []
    with tarfile.open(path, "r:") as tar:
        for each in tar:
            content = tar.extractfile(each)
            assert content is not None
            fields = shape(json.load(content)) if each.name.endswith(".json") else None
            owner = (each.uid, each.gid, each.uname, each.gname)
            found.append((each.name, each.type, each.mode, each.mtime, owner, sorted(each.pax_headers), fields))
    return found
