"""The commands status and gc, in this process: what they print, and their exit codes."""

import ast
import json
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.corpora import assert_whole, every_byte
from support.in_process import melmill

from pipeline.cli.next_steps import next_steps
from pipeline.cli.options import output_access
from pipeline.config import JobConfig
from pipeline.jobs import run as jobs
from pipeline.jobs.run import run
from pipeline.output.layout import STATUS
from pipeline.output.totals import Totals
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The command takes SIGTERM for Ctrl-C; the tests do not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def out(job: Build) -> Path:
    run(job())
    return Path(job().output.url)


def test_status_tells_how_a_run_ended(out: Path) -> None:
    plain = json.loads(melmill("status", out, "--json"))
    assert (plain["state"], plain["run"]["done"]["utterances"], plain["manifest"]["utterances"]) == ("finished", 24, 24)
    said = melmill("status", out)
    for line in (
        "state      finished\n",
        f"run        {plain['run']['run_id']} on {plain['run']['host']}, process {plain['run']['process']}, since ",
        f"done       24 utterances, 0.8 min, {plain['run']['done']['shards']} shards\n",
        "failed     0 utterances\n",
        "manifest   24 utterances, 0.8 min: manifest.jsonl\n",
    ):
        assert line in said
    assert "in flight" not in said
    assert "left" not in said


def test_verify_and_gc_mention_other_peoples_files_once(out: Path) -> None:
    for name in ("README.md", *(f"{number}.txt" for number in range(6))):
        (out / name).write_text("mine")
    for command in ("verify", "gc"):
        said = melmill(command, out)
        assert (
            said.count("melmill did not write 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more, and leaves them alone\n")
            == 1
        )
        assert said.count("leaves them alone") == 1
        assert "README.md" in json.loads(melmill(command, out, "--json"))["others"]


def test_run_status_and_verify_name_superseded_shards_and_the_command(
    out: Path, job: Build, store: Path, vocoder_path: Path
) -> None:
    shards, size = len(list((out / "data").iterdir())), sum(each.stat().st_size for each in (out / "data").iterdir())
    flags = ["--store", store, "--vocoder", vocoder_path, "--subtype", "PCM_24", "--set", "output.shard_seconds=10"]
    line = f"superseded {shards} shards, {size / 1024:.1f} KiB: melmill gc {out} --yes deletes them\n"
    if size >= 2**20:
        line = line.replace(f"{size / 1024:.1f} KiB", f"{size / 2**20:.1f} MiB")
    for _ in ("it makes", "nothing to do"):
        assert line in melmill("run", *flags, "--out", out, "--scheduler", "synchronous")
    assert line in melmill("status", out)
    assert line in melmill("verify", out)
    told = {"shards": shards, "bytes": size}
    assert all(json.loads(melmill(each, out, "--json"))["superseded"] == told for each in ("status", "verify"))
    said = melmill("run", *flags, "--out", out, "--scheduler", "synchronous", "--set", "output.superseded=delete")
    assert f"deleted {shards} superseded shards, " in said
    assert "superseded" not in melmill("status", out) + melmill("verify", out)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_the_last_lines_of_a_run_load_check_and_show_what_it_made(
    job: Build, store: Path, vocoder_path: Path, tmp_path: Path, container: str
) -> None:
    out = tmp_path / "it's here"
    flags = ["--store", store, "--vocoder", vocoder_path, "--out", out, "--scheduler", "synchronous"]
    flags += ["--set", f"output.container={container}", "--set", "output.shard_seconds=10"]
    for subtype in ("PCM_24", "PCM_16"):  # the second supersedes the first
        said = melmill("run", *flags, "--subtype", subtype)
    assert f"{out}/manifest.jsonl lists 24 utterances" in said
    load, check, show = (line.partition(":")[2].strip() for line in said.splitlines()[-3:])
    names: dict[str, Any] = {}
    exec(load, names)  # noqa: S102
    assert len(names["dataset"]) == 24
    assert "is whole: 24 utterances" in melmill(*shlex.split(check)[1:])
    assert "open " in melmill(*shlex.split(show)[1:])
    said = melmill("run", *flags)
    assert said.startswith(f"nothing to do: {out} already holds 24 utterances")
    assert not re.search("to load|to check|to look|mel_distance|full scale", said)


def test_status_tells_what_it_is_when_a_run_has_not_ended(out: Path) -> None:
    plain = json.loads((out / STATUS).read_text())

    def tell(**changes: object) -> None:
        (out / STATUS).write_text(json.dumps({**plain, **changes}))

    tell(state="running", left=61, in_flight={"shards": 2, "utterances": 3, "seconds": 90})
    with LocalStorage(out).lock(f"run {plain['run_id']} on here"):
        said = melmill("status", out)
    assert "state      running\n" in said
    assert "in flight  3 utterances, 1.5 min, of 2 shards\n" in said
    assert "x real time, 0:01:01 left\n" in said
    assert "now " not in said
    assert "state      killed, no sign of life for 0:" in melmill("status", out)
    tell(state="running", host="elsewhere", written="2024-01-01T00:00:00+00:00")
    assert "state      no sign of life for " in melmill("status", out)
    tell(state="failed", error="StorageError: no room")
    with LocalStorage(out).lock("gc on here"):
        said = melmill("status", out)
    assert "state      failed\nerror      StorageError: no room\n" in said
    assert "now        gc on here, for 0:00:0" in said
    (out / STATUS).unlink()
    (out / "_melmill" / "published.json").unlink()
    (out / "job.json").unlink()
    assert melmill("status", out) == "state      no run has written its status\nmanifest   none yet\n"


def test_gc_lists_and_deletes_only_when_told(job: Build, out: Path) -> None:
    assert "nothing to delete" in melmill("gc", out)
    run(job(output__codec="wav"))
    before = every_byte(out)
    plain = json.loads(melmill("gc", out, "--json"))
    count, said = len(plain["garbage"]), melmill("gc", out)
    assert not plain["deleted"]
    assert count == len([name for name in before if "/commits/" in name or name.startswith("data/")]) / 2
    assert f"{count} objects, " in said
    assert f"can be deleted: melmill gc {out} --yes" in said
    assert all(each["name"] in said for each in plain["garbage"][:20])
    assert every_byte(out) == before
    with LocalStorage(out).lock("run 7 on here"):
        assert "run 7 on here" in melmill("gc", out, "--yes", code=5)
        assert "is in use by run 7 on here" in melmill("gc", out)
    assert f"deleted {count} objects" in melmill("gc", out, "--yes")
    plain = json.loads(melmill("gc", out, "--yes", "--json"))
    assert (plain["deleted"], plain["garbage"], plain["bytes"]) == (True, [], 0)
    assert_whole(out, 24)
    assert run(job(output__codec="wav")).run_id == ""


def test_where_no_output_is_they_say_so(tmp_path: Path) -> None:
    for command in (["status"], ["gc"], ["gc", "--yes"]):
        assert "holds no melmill output" in melmill(*command, tmp_path / "nowhere", code=2)


@pytest.mark.parametrize(("relative", "told"), [(0.32, False), (1.54, True)])
def test_audio_that_is_not_that_of_its_mels_is_told_at_the_end(
    job: Build, monkeypatch: pytest.MonkeyPatch, relative: float, told: bool
) -> None:
    """The figures are those of a wrong logarithm, which may pass, and of weights that were never trained."""
    totals = Totals(24, 0, 70.0, 3.0, relative, 3.8, "u7")
    monkeypatch.setattr(jobs, "run", lambda *_: jobs.RunReport("run", totals, 70.0, 7.0))
    arguments = ["--store", job().input.store, "--out", job().output.url]
    assert ("the audio does not match its mels" in melmill("run", *arguments)) == told


def test_the_last_lines_reach_an_object_store_with_the_options_of_the_job(job: Build) -> None:
    options = {"endpoint_url": "https://objects.example.org", "secret": "$STORE_SECRET"}
    load, *commands = next_steps(job(output__url="s3://corpus/a b", output__options=options).output)
    assert load.endswith(f'pipeline.read("s3://corpus/a b", {options!r})')
    ast.parse(load.partition(":")[2].strip())
    for command, name in zip(commands, ("verify", "report"), strict=True):
        words = shlex.split(command.partition(":")[2])
        assert words[:3] == ["melmill", name, "s3://corpus/a b"]
        assert output_access(words[2], words[4::2]).options == options


def test_plan_and_run_say_which_superseded_shards_are_read_again(
    job: Build, store: Path, vocoder_path: Path, other: str, tmp_path: Path
) -> None:
    flags = ["--store", store, "--out", tmp_path / "it", "--scheduler", "synchronous"]
    for vocoder in (vocoder_path, other):
        melmill("run", *flags, "--vocoder", vocoder)
    told = "is needed again: the run reads it before it publishes it\n"
    assert f"\nagain     1 superseded shard {told}" in melmill("plan", *flags, "--vocoder", vocoder_path)
    said = melmill("run", *flags, "--vocoder", vocoder_path)
    assert re.search(rf"^1 superseded shard, [0-9.]+ [KM]iB, {told}", said, re.MULTILINE)
    assert "vocoded nothing" in said
