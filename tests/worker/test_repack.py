"""Texts that changed: their shards are made again by copying audio, as durable as any other, and nothing is decoded."""

import dataclasses
import io
import json
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import assert_whole, digests, objects, rows

from pipeline.config import JobConfig
from pipeline.errors import InterruptedRunError
from pipeline.events import Event, RunFinished, RunStarted, ShardCommitted
from pipeline.jobs.report import RunReport
from pipeline.jobs.run import plan, run
from pipeline.output.audit import repair, verify
from pipeline.output.garbage import collect_garbage
from pipeline.output.layout import COMMITS
from pipeline.planning import fingerprint
from pipeline.planning.plan import ShardTask
from pipeline.planning.prepare import prepare
from pipeline.storage import LocalStorage
from pipeline.stores.digests import MelDigest
from pipeline.worker import convert
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]
FORMS = [("tar", "flac", "PCM_16"), ("tar", "wav", "FLOAT"), ("files", "flac", "PCM_24"), ("files", "wav", "PCM_16")]


def listed(path: Path, texts: dict[str, str]) -> str:
    path.write_text("".join(json.dumps({"key": key, "text": text}) + "\n" for key, text in texts.items()))
    return str(path)


def beside(out: Path) -> dict[str, dict[str, Any]]:
    """Key -> metadata in the JSON file beside each audio that the manifest names, read as a reader would."""
    found = {}
    for row in rows(out):
        name = row["member"].rpartition(".")[0] + ".json"
        if row["shard"].endswith(".tar"):
            with tarfile.open(out / row["shard"]) as tar:
                told = json.load(tar.extractfile(name) or io.BytesIO())
        else:
            told = json.loads((out / row["shard"] / name).read_bytes())
        assert told["key"] == row["key"]
        found[row["key"]] = told["meta"]
    return found


def encoded(out: Path) -> dict[str, bytes]:
    """Key -> the very bytes of its audio."""
    found = {}
    for row in rows(out):
        path = out / row["shard"]
        content = (path if path.is_file() else path / row["member"]).read_bytes()
        found[row["key"]] = content[row["offset"] :][: row["bytes"]]
    return found


def made(config: JobConfig, **how: bool) -> tuple[RunReport, list[ShardCommitted]]:
    """Runs; gives the report and what was committed."""
    events: list[Event] = []
    report = run(config, events.append, **how)
    return report, [event for event in events if isinstance(event, ShardCommitted)]


@pytest.fixture
def told(job: Build, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Build, list[str]]:
    """A finished output in one of the forms whose 24 utterances have texts; the job to make it, and the keys."""
    container, codec, subtype = getattr(request, "param", FORMS[0])

    def build(**settings: Any) -> JobConfig:
        form = {"output__container": container, "output__codec": codec, "output__subtype": subtype}
        return job(**form, input__meta=str(tmp_path / "texts.jsonl"), **settings)

    keys = [str(key) for key in prepare(job()).catalogue.keys]
    listed(tmp_path / "texts.jsonl", {key: f"first {key}" for key in keys})
    run(build())
    return build, keys


@pytest.fixture
def no_vocoder(told: tuple[Build, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first run, no vocoder is loaded."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a vocoder was loaded")

    monkeypatch.setattr(convert, "_load_vocoder", refuse)


@pytest.mark.parametrize("told", FORMS, indirect=True)
@pytest.mark.usefixtures("no_vocoder")
def test_a_changed_text_copies_the_audio_of_its_shard_and_of_no_other(
    told: tuple[Build, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, keys = told
    out, before, audio = tmp_path / "audio", rows(tmp_path / "audio"), encoded(tmp_path / "audio")
    there = objects(out)
    texts = {key: f"first {key}" for key in keys} | {keys[0]: "corrected", keys[-1]: "corrected, too"}
    listed(tmp_path / "texts.jsonl", texts)
    planned = plan(build())
    assert (planned.texts_changed, planned.repacked, len(planned.shards_to_decode), planned.seconds) == (2, 2, 0, 0.0)
    assert {shard.reason.partition(" of ")[0] for shard in planned.todo} == {"1"}
    report, shards = made(build())
    assert [shard.copied for shard in shards] == [True, True]
    assert (report.repacked, report.made_seconds) == (2, 0.0)
    assert_whole(out, 24)
    assert beside(out) == {key: {"text": text} for key, text in texts.items()}
    assert encoded(out) == audio
    assert {row["key"]: row["meta"]["text"] for row in rows(out)} == texts
    where = ("shard", "member", "offset", "bytes", "meta", "text")
    assert [{k: v for k, v in row.items() if k not in where} for row in rows(out)] == [
        {k: v for k, v in row.items() if k not in where} for row in before
    ]
    moved = {row["key"] for old, row in zip(before, rows(out), strict=True) if row["shard"] != old["shard"]}
    assert {keys[0], keys[-1]} <= moved < set(keys)
    assert there.items() <= objects(out).items()  # what was committed before stays until gc
    assert run(build()).run_id == ""
    garbage = {each.name for each in collect_garbage(str(out)).garbage}
    gone = {name for name in garbage if name.startswith("data/")}
    assert {
        name for name in there if any(name.startswith(row["shard"]) and row["key"] in moved for row in before)
    } == gone
    assert_whole(out, 24)
    assert run(build()).run_id == ""


@pytest.mark.usefixtures("no_vocoder")
def test_going_back_to_the_texts_of_an_earlier_run_makes_nothing(told: tuple[Build, list[str]], tmp_path: Path) -> None:
    build, keys = told
    out, before = tmp_path / "audio", rows(tmp_path / "audio")
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    assert all(shard.copied for shard in made(build())[1])
    listed(tmp_path / "texts.jsonl", {key: f"first {key}" for key in keys})
    report, shards = made(build())
    assert shards == []
    assert report.run_id
    assert rows(out) == before
    assert_whole(out, 24)


def damage(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("told", [FORMS[0], FORMS[2]], indirect=True)
@pytest.mark.parametrize("harm", [damage, Path.unlink])
def test_a_shard_whose_audio_is_damaged_or_gone_is_vocoded(
    told: tuple[Build, list[str]], tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    build, keys = told
    out = tmp_path / "audio"
    pcm, first = digests(out), rows(out)[0]
    victim = out / first["shard"]
    victim = victim if victim.is_file() else victim / first["member"]
    prepare(build())  # the plan sees an object that is gone; a damaged one only the worker does
    harm(victim)
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    with caplog.at_level(logging.WARNING):
        report, shards = made(build())
    assert sorted(shard.shard for shard in shards if not shard.copied) == [0]
    assert report.repacked == len(shards) - 1 > 0
    assert report.made_seconds > 0
    assert bool(caplog.text) == (harm is damage)
    assert digests(out) == pcm
    assert set(map(json.dumps, beside(out).values())) == {'{"text": "other"}'}
    collect_garbage(str(out))
    assert_whole(out, 24)


def test_a_shard_that_verify_found_damaged_is_vocoded_with_the_new_texts(
    told: tuple[Build, list[str]], tmp_path: Path
) -> None:
    build, keys = told
    out = tmp_path / "audio"
    damage(out / rows(out)[0]["shard"])
    repair(str(out), verify(str(out)).findings)
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    _, shards = made(build())
    assert [shard.shard for shard in shards if not shard.copied] == [0]
    assert_whole_after_gc(out)


def assert_whole_after_gc(out: Path) -> None:
    collect_garbage(str(out))
    assert_whole(out, 24)


def test_a_changed_mel_or_format_is_vocoded_with_the_new_texts(told: tuple[Build, list[str]], tmp_path: Path) -> None:
    build, keys = told
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    planned = plan(build(output__sample_rate=16000))
    assert (planned.repacked, planned.texts_changed) == (0, 24)
    _, shards = made(build(output__sample_rate=16000))
    assert not any(shard.copied for shard in shards)
    assert set(map(json.dumps, beside(tmp_path / "audio").values())) == {'{"text": "other"}'}
    assert_whole(tmp_path / "audio", 24)


@pytest.mark.parametrize("told", [FORMS[0], FORMS[2]], indirect=True)
@pytest.mark.parametrize("stop", ["object", "commit"])
@pytest.mark.usefixtures("no_vocoder")
def test_a_stopped_repack_is_resumed_and_its_leavings_never_show_through(
    told: tuple[Build, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """Stopped after the first object, or just before the first commit; then the texts change once more."""
    build, keys = told
    out = tmp_path / "audio"
    real = LocalStorage.put_if_absent

    def stopping(self: LocalStorage, name: str, content: bytes | Path) -> bool:
        if stop == "commit" and name.startswith(COMMITS):
            raise InterruptedRunError("stopped")
        done = real(self, name, content)
        if stop == "object":
            raise InterruptedRunError("stopped")
        return done

    for text, later in (("second", "second"), ("third", "fourth")):
        listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, text))
        monkeypatch.setattr(LocalStorage, "put_if_absent", stopping)
        with pytest.raises(InterruptedRunError):
            run(build())
        monkeypatch.setattr(LocalStorage, "put_if_absent", real)
        listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, later))
        run(build())
        assert set(map(json.dumps, beside(out).values())) == {json.dumps({"text": later})}
        assert_whole_after_gc(out)


def test_an_object_with_the_same_audio_and_other_texts_is_not_adopted(
    told: tuple[Build, list[str]], tmp_path: Path
) -> None:
    """As a process of an earlier melmill may have left it under the same name."""
    build, keys = told
    out = tmp_path / "audio"
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    prepared = prepare(build())
    task = next(prepared.plan.tasks(prepared.catalogue, listed=prepared.sidecars.metadata.listed))
    stale = dataclasses.replace(task, meta={}, copied_from="")
    record = convert_shard(stale, prepared.job)
    (out / COMMITS / f"{record.name}.json").unlink()
    again = convert_shard(task, prepared.job)
    assert {row.meta["text"] for row in again.rows} == {"other"}
    assert again.objects[0].name != record.objects[0].name
    (out / record.objects[0].name).unlink()
    run(build())
    assert_whole(out, 24)
    assert set(map(json.dumps, beside(out).values())) == {'{"text": "other"}'}


def test_a_quarantined_utterance_stays_quarantined_when_its_shard_is_repacked(
    job: Build, store: Path, tmp_path: Path
) -> None:
    mel = zarr.open_group(store)["mel"]
    mel[3, 0] = float("nan")
    keys = [str(key) for key in zarr.open_group(store)["keys"][:]]
    config = job(
        input__meta=listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "first")), quality__max_failure_rate=1
    )
    run(config)
    failures = rows(tmp_path / "audio", "failures.jsonl")
    assert [failure["key"] for failure in failures] == keys[:1]
    listed(tmp_path / "texts.jsonl", {**dict.fromkeys(keys, "first"), keys[0]: "other"})
    assert made(config)[1] == []  # nothing of it is in a tar
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    _, shards = made(config)
    assert all(shard.copied for shard in shards)
    assert sum(shard.failed for shard in shards) == 1
    assert_whole(tmp_path / "audio", 24, failed=1)
    _, shards = made(config, retry=True)
    assert [(shard.shard, shard.copied) for shard in shards] == [(0, False)]


def test_events_say_how_many_texts_changed_and_what_is_done_about_it(
    told: tuple[Build, list[str]], tmp_path: Path
) -> None:
    build, keys = told
    listed(tmp_path / "texts.jsonl", dict.fromkeys(keys, "other"))
    described = plan(build()).describe()
    count = len(described["todo"])
    assert (described["texts_changed"], described["shards_repacked"], described["shards_vocoded"]) == (24, count, 0)
    assert all(shard["repacked"] for shard in described["todo"])
    events: list[Event] = []
    run(build(), events.append)
    started = next(event for event in events if isinstance(event, RunStarted))
    finished = next(event for event in events if isinstance(event, RunFinished))
    assert (started.texts_changed, started.repacked, started.shards) == (24, count, count)
    assert (finished.repacked, finished.made_seconds) == (count, 0.0)


def change_mel(store: Path, index: int) -> None:
    """As if an utterance were packed again from another recording of the same length."""
    group: Any = zarr.open_group(store)
    first, stop = group["offsets"][index : index + 2]
    mel = np.asarray(group["mel"][first:stop]) - np.float32(0.5)
    group["mel"][first:stop] = mel
    content = MelDigest()
    content.push(mel)
    group["digests"][index] = np.frombuffer(content.finish(), np.uint8)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the utterances that are decoded from now on."""
    keys: list[str] = []
    really = convert._convert_utterances

    def noted(task: ShardTask, *more: Any) -> Any:
        keys.extend(each.key for each in task.utterances)
        return really(task, *more)

    monkeypatch.setattr(convert, "_convert_utterances", noted)
    return keys


@pytest.mark.parametrize("form", FORMS)
def test_of_a_shard_with_changed_mels_only_those_are_decoded(
    job: Build, store: Path, tmp_path: Path, form: tuple[str, str, str], decoded: list[str]
) -> None:
    names = ("output__container", "output__codec", "output__subtype")
    settings = dict(zip(names, form, strict=True))
    out, anew = tmp_path / "audio", tmp_path / "anew"
    run(job(**settings))
    before, audio, keys = objects(out), encoded(out), [row["key"] for row in rows(out)]
    seconds = {row["key"]: row["duration"] for row in rows(out)}
    decoded.clear()
    for index in (1, 2, 9):
        change_mel(store, index)
    changed = [keys[index] for index in (1, 2, 9)]
    planned = plan(job(**settings))
    assert [shard.reason.partition(" of ")[0] for shard in planned.todo] == ["2", "1"]
    assert (sum(shard.decoded for shard in planned.todo), planned.repacked) == (3, 0)
    assert planned.unchanged == sum(len(shard.members) for shard in planned.todo) - 3 > 3
    assert planned.seconds == pytest.approx(sum(seconds[key] for key in changed), rel=0.01)
    report, shards = made(job(**settings))
    assert sorted(decoded) == sorted(changed)  # the longest shard first
    assert (report.made_seconds, report.repacked) == (pytest.approx(sum(seconds[key] for key in changed)), 0)
    assert [shard.copied for shard in shards] == [False, False]
    assert_whole(out, 24)
    assert before.items() <= objects(out).items()
    assert {key for key, content in encoded(out).items() if content != audio[key]} == set(changed)
    run(job(**settings, output__url=str(anew)))
    assert digests(out) == digests(anew)
    assert run(job(**settings)).run_id == ""


def test_utterances_that_go_leave_a_shard_whose_audio_is_copied(
    told: tuple[Build, list[str]], tmp_path: Path, decoded: list[str]
) -> None:
    """As one that is refused from now on."""
    build, _ = told
    out, longest = tmp_path / "audio", max(row["duration"] for row in rows(tmp_path / "audio"))
    refusing = build(input__max_utterance_seconds=longest - 0.01, quality__max_failure_rate=1)
    (planned,) = plan(refusing).todo
    assert (planned.reason.partition(" of ")[0], planned.decoded) == ("1", 0)
    report, _ = made(refusing)
    assert (decoded, report.made_seconds, report.repacked) == ([], 0.0, 1)
    assert_whole(out, 24, failed=1)


def test_audio_of_unchanged_mels_that_is_damaged_is_decoded(
    job: Build, store: Path, tmp_path: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "audio"
    run(job())
    first = out / rows(out)[0]["shard"]
    change_mel(store, 1)
    content = bytearray(first.read_bytes())
    content[700] ^= 1
    first.chmod(0o644)
    first.write_bytes(content)
    decoded.clear()
    (planned,) = plan(job()).todo
    with caplog.at_level(logging.WARNING):
        report, (shard,) = made(job())
    assert len(decoded) == len(planned.members)
    assert report.made_seconds == pytest.approx(shard.seconds)
    assert "cannot be copied" in caplog.text
    run(job(output__url=str(tmp_path / "anew")))
    assert digests(out) == digests(tmp_path / "anew")


def test_audio_of_a_melmill_that_made_other_samples_is_not_copied(
    job: Build, store: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fingerprints have another version of the format, and nothing else tells."""
    run(job())
    decoded.clear()
    monkeypatch.setattr(fingerprint, "FORMAT_VERSION", 99)
    change_mel(store, 1)
    _, shards = made(job())
    assert len(decoded) == 24
    assert not any(shard.copied or shard.copied_seconds for shard in shards)
