"""Metadata of utterances, of the store and of a list: as it is now in manifest and tars, without decoding anything."""

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import assert_whole, digests, every_byte, rows
from support.faults.layouts import MAKERS
from support.faults.ragged_store import write_store

from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.events import Event, MetadataListed, PublicationDue, ShardCommitted
from pipeline.jobs.run import plan, run

Build = Callable[..., JobConfig]
CHANGED = "changed: the metadata of utterances"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of four short mels."""
    (tmp_path / "few").mkdir()
    rng = np.random.default_rng(0)
    for key in "abcd":
        np.save(tmp_path / "few" / f"{key}.npy", rng.uniform(-8, -1, (80, 50)).astype(np.float32))
    return tmp_path / "few"


def listed(path: Path, **texts: str) -> str:
    path.write_text("".join(json.dumps({"key": key, "text": text}) + "\n" for key, text in texts.items()))
    return str(path)


def metas(out: Path) -> dict[str, Any]:
    return {row["key"]: row["meta"] for row in rows(out)}


def texts(out: Path) -> dict[str, str]:
    """Key -> text of the utterances that have one; all have the field."""
    return {key: meta["text"] for key, meta in metas(out).items() if meta["text"]}


def repacked(config: JobConfig) -> int:
    """Runs, and says how many shards it copied; it decodes none."""
    events: list[Event] = []
    run(config, events.append)
    copied = [event.copied for event in events if isinstance(event, ShardCommitted)]
    assert all(copied)
    return len(copied)


def reasons(config: JobConfig) -> list[str]:
    """Runs, and says why it published without making anything."""
    events: list[Event] = []
    run(config, events.append)
    return [event.reason for event in events if isinstance(event, PublicationDue)]


@pytest.mark.parametrize("layout", ["grouped", "grouped, Zarr v2", "padded", "ragged"])
def test_a_list_goes_to_the_manifest_and_beside_the_audio_whatever_the_store(
    few: Path, tmp_path: Path, job: Build, layout: str
) -> None:
    MAKERS[layout](tmp_path / "made.zarr", few)
    out = tmp_path / "audio"
    config = job(
        input__store=str(tmp_path / "made.zarr"),
        input__check_values=False,
        input__meta=listed(tmp_path / "m.jsonl", a="one", c="three", z="of nobody"),
    )
    events: list[Event] = []
    run(config, events.append)
    assert_whole(out, 4)
    assert metas(out) == {"a": {"text": "one"}, "b": {"text": ""}, "c": {"text": "three"}, "d": {"text": ""}}
    with tarfile.open(out / rows(out)[0]["shard"]) as tar:
        beside = [json.load(file) for each in tar if each.name.endswith("json") and (file := tar.extractfile(each))]
    assert {each["key"]: each["meta"] for each in beside} == metas(out)
    (said,) = (event.words for event in events if isinstance(event, MetadataListed))
    assert said.endswith("for 2 of 4 utterances; 1 of its rows matches no utterance")


def test_a_changed_list_makes_the_manifest_again_and_decodes_nothing(job: Build, tmp_path: Path, store: Path) -> None:
    out, keys = tmp_path / "audio", [str(key) for key in zarr.open_group(store)["keys"][:]]
    run(job())
    audio, there = digests(out), every_byte(out)
    path = listed(tmp_path / "m.jsonl", **{keys[0]: "one", keys[-1]: "last"})
    planned = plan(job(input__meta=path))
    assert planned.texts_changed == 2
    assert repacked(job(input__meta=path)) == len(planned.todo) == len({row["shard"] for row in rows(out)})
    assert_whole(out, 24)
    assert texts(out) == {keys[0]: "one", keys[-1]: "last"}
    there = every_byte(out)
    assert run(job(input__meta=path)).run_id == ""
    assert every_byte(out) == there
    listed(tmp_path / "m.jsonl", **{keys[0]: "another"})
    assert repacked(job(input__meta=path)) == 2
    assert_whole(out, 24)
    assert texts(out) == {keys[0]: "another"}
    changed = "changed: the shards it consists of, the metadata of utterances"
    assert reasons(job()) == [changed]  # the shards without texts are there yet
    assert set(map(json.dumps, metas(out).values())) == {"{}"}
    assert digests(out) == audio


def test_shards_made_with_a_list_stand_beside_those_made_before_it(job: Build, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mels = {key: rng.uniform(-8, -1, (80, 50)).astype(np.float32) for key in "abcd"}
    common = {"input__store": str(tmp_path / "s.zarr"), "input__check_values": False, "output__shard_seconds": 0.5}
    write_store(tmp_path / "s.zarr", {key: mels[key] for key in "ab"})
    run(job(**common))
    write_store(tmp_path / "s.zarr", mels)
    config = job(**common, input__meta=listed(tmp_path / "m.jsonl", a="one", c="three"))
    assert [shard.reason for shard in plan(config).todo] == [
        "1 of 1 text changed", "the fields of the metadata changed", "new", "new",
    ]  # fmt: skip
    run(config)
    assert_whole(tmp_path / "audio", 4)
    assert texts(tmp_path / "audio") == {"a": "one", "c": "three"}


def test_a_list_goes_over_what_the_store_has_and_a_changed_store_is_seen(job: Build, few: Path, tmp_path: Path) -> None:
    for layout in ("ragged", "grouped", "padded"):
        store, out = tmp_path / f"{layout}.zarr", tmp_path / layout
        MAKERS[layout](store, few)
        describe(store, layout, "own")
        common = {"input__store": str(store), "input__check_values": False, "output__url": str(out)}
        run(job(**common))
        audio = digests(out)
        describe(store, layout, "its own")
        assert plan(job(**common)).texts_changed == 4
        assert repacked(job(**common)) == 1
        assert metas(out)["b"] == {"speaker": "its own"}
        table = tmp_path / "m.csv"
        with open(table, "w", newline="") as file:
            csv.writer(file).writerows([["key", "speaker", "text"], ["a", "anna", "x, y"], ["b", "", "z"]])
        assert repacked(job(**common, input__meta=str(table))) == 1
        assert (metas(out)["a"], metas(out)["b"]) == (
            {"speaker": "anna", "text": "x, y"},
            {"speaker": "its own", "text": "z"},
        )
        assert_whole(out, 4)
        assert digests(out) == audio


def describe(store: Path, layout: str, speaker: str) -> None:
    """Gives every utterance a speaker, without touching a mel."""
    group = zarr.open_group(str(store))
    if layout == "grouped":
        for name in "abcd":
            group[name].attrs["speaker"] = speaker
        return
    name, text = ("meta", json.dumps({"speaker": speaker})) if layout == "ragged" else ("speaker", speaker)
    if name not in group:
        group.create_array(name, shape=(4,), dtype=str)
    group[name][...] = np.array([text] * 4, np.dtypes.StringDType())


def test_a_list_that_is_none_or_of_another_store_is_refused(job: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"input\.meta: .*there is no such file"):
        plan(job(input__meta=str(tmp_path / "nowhere.jsonl")))
    with pytest.raises(
        ConfigError, match=r"no row for any utterance.*its keys \(field key\) are like 'z', the utterances' like 'en_US"
    ):
        plan(job(input__meta=listed(tmp_path / "m.jsonl", z="z")))
    assert not (tmp_path / "audio").exists()


def test_text_that_cannot_be_read_any_more_stays_as_it_was_published(job: Build, store: Path, tmp_path: Path) -> None:
    group = zarr.open_group(str(store))
    texts = np.array(['{"text": "was"}'] * 24, np.dtypes.StringDType())
    group.create_array("meta", shape=(24,), dtype=str, chunks=(24,))[...] = texts
    run(job())
    (chunk,) = (path for path in (store / "meta").rglob("*") if path.is_file() and path.name != "zarr.json")
    chunk.write_bytes(b"broken")
    assert reasons(job()) == [CHANGED]
    assert_whole(tmp_path / "audio", 24)
    assert set(map(json.dumps, metas(tmp_path / "audio").values())) == {'{"text": "was"}'}
    assert reasons(job()) == []


def test_plan_and_run_tell_of_texts_with_a_line_break(
    job: Build, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = list(zarr.open_group(store)["keys"][:2])
    (tmp_path / "m.csv").write_text(f'key,text\n{first},"Good-bye\n{second},He said it twice"\n')
    config = job()
    settings = {"input.meta": tmp_path / "m.csv", "output.shard_seconds": config.output.shard_seconds}
    flags = ["--store", str(store), "--out", str(tmp_path / "audio"), "--vocoder", config.vocoder.name]
    flags += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    for command in ("plan", "run"):
        with pytest.raises(SystemExit) as end:
            app([command, *flags, "--scheduler", "synchronous"])
        assert end.value.code == 0
        assert f"1 text has a line break, first that of '{first}' (line 2)" in "".join(capsys.readouterr())


def test_plan_and_run_say_how_many_texts_changed_and_what_that_costs(
    job: Build, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = job()
    run(config)
    path = listed(tmp_path / "m.jsonl", **{str(zarr.open_group(store)["keys"][0]): "one"})
    settings = {"input.meta": path, "output.shard_seconds": config.output.shard_seconds}
    flags = ["--store", str(store), "--out", str(tmp_path / "audio"), "--vocoder", config.vocoder.name]
    flags += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    count = len({row["shard"] for row in rows(tmp_path / "audio")})
    said = f"1 text changed: {count} shards are repacked, 0 vocoded"
    for command, told in (
        ("plan", f"to make   0 utterances, 0.0 min, 0 shards\ntexts     {said}\n"),
        ("run", said),
        ("run", "nothing to"),
    ):
        with pytest.raises(SystemExit) as end:
            app([command, *flags, "--scheduler", "synchronous"])
        assert end.value.code == 0
        printed = "".join(capsys.readouterr())
        assert told in printed
        assert told != said or f": repacked {count} shards, vocoded nothing; " in printed
    (tmp_path / "audio" / "manifest.jsonl").unlink()
    assert reasons(job(input__meta=path)) == ["manifest.jsonl is gone"]
