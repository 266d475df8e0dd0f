"""What lies beside each audio: few fields, many, or nothing; a change of it copies audio and decodes nothing."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import assert_whole, digests, objects, rows

from pipeline.config import JobConfig
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import plan, run
from pipeline.output.not_measured import NO_DISTANCE
from pipeline.planning.prepare import prepare

Build = Callable[..., JobConfig]
PLAIN = ["key", "sample_rate", "num_samples", "duration", "meta"]
FULL = [
    "key", "text", "speaker", "language", "sample_rate", "num_samples", "duration", "peak", "rms_dbfs", "mel_distance",
    "meta",
]  # fmt: skip
KINDS = {"plain": PLAIN, "full": FULL, "none": []}


def sidecars(out: Path) -> list[dict[str, Any]]:
    """The JSON files beside the audio of the current shards, in the order of the manifest."""
    found = []
    for shard in dict.fromkeys(row["shard"] for row in rows(out)):
        if shard.endswith(".tar"):
            with tarfile.open(out / shard) as tar:
                found += [json.load(tar.extractfile(each)) for each in tar.getnames() if each.endswith(".json")]
        else:
            found += [json.loads(path.read_bytes()) for path in (out / shard).rglob("*.json")]
    return found


def kinds(value: Any) -> Any:
    return {name: kinds(each) for name, each in value.items()} if isinstance(value, dict) else type(value).__name__


@pytest.fixture
def texts(job: Build, tmp_path: Path) -> str:
    """A list in which text, speaker and language have other names, and some are missing."""
    keys = [str(key) for key in prepare(job()).catalogue.keys]
    told = [{"key": key, "transcript": f"says {key}", "lang": "en"} for key in keys[6:]]
    told[3]["spk_id"] = "anna"
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in told))
    return str(path)


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_fields_in_every_file(
    job: Build, tmp_path: Path, texts: str, container: str, kind: str
) -> None:
    run(job(output__sidecar=kind, output__container=container, input__meta=texts))
    out = tmp_path / "audio"
    assert_whole(out, 24)
    found = sidecars(out)
    assert len(found) == (0 if kind == "none" else 24)
    assert all(list(each) == KINDS[kind] for each in found)
    assert json.loads((out / "job.json").read_bytes())["job"]["output"]["sidecar"] == kind
    if kind == "none":
        assert all(name.endswith((".tar", ".flac")) for name in objects(out))
    if kind == "full":
        by_key = {row["key"]: row for row in rows(out)}
        for each in found:
            row = by_key[each["key"]]
            told = row["meta"]
            same = ("sample_rate", "num_samples", "duration", "peak", "rms_dbfs", "mel_distance", "meta")
            assert {name: each[name] for name in same} == {name: row[name] for name in same}
            common = {"text": "transcript", "speaker": "spk_id", "language": "lang"}
            assert {name: each[name] for name in common} == {
                name: told.get(alias, "") for name, alias in common.items()
            }
        assert len({json.dumps({**kinds(each), "meta": None}) for each in found}) == 1


def test_a_distance_that_was_not_measured_has_the_type_of_one_that_was(job: Build, tmp_path: Path) -> None:
    run(job(output__sidecar="full", quality__mel_distance=False))
    assert {each["mel_distance"] for each in sidecars(tmp_path / "audio")} == {NO_DISTANCE}


@pytest.mark.parametrize("container", ["tar", "files"])
def test_another_kind_copies_all_audio_and_going_back_makes_nothing(
    job: Build, tmp_path: Path, texts: str, container: str
) -> None:
    def build(kind: str) -> JobConfig:
        return job(output__sidecar=kind, output__container=container, input__meta=texts)

    out = tmp_path / "audio"
    run(job(output__container=container, input__meta=texts))
    pcm, first = digests(out), rows(out)
    assert plan(build("plain")).todo == ()
    for kind, before in (("full", "plain"), ("none", "full")):
        planned = plan(build(kind))
        assert {shard.reason for shard in planned.todo} == {f"sidecar {before} -> {kind}"}
        assert (planned.shards_to_decode, planned.texts_changed) == ((), 0)
        events: list[Event] = []
        run(build(kind), events.append)
        assert all(event.copied for event in events if isinstance(event, ShardCommitted))
        assert digests(out) == pcm
        assert len(sidecars(out)) == (0 if kind == "none" else 24)
        assert_whole(out, 24)
        assert run(build(kind)).run_id == ""
    assert plan(build("plain")).todo == ()
    run(build("plain"))
    assert rows(out) == first


def test_without_sidecars_changed_texts_go_to_the_manifest_alone(job: Build, tmp_path: Path, texts: str) -> None:
    config, out = job(output__sidecar="none", input__meta=texts), tmp_path / "audio"
    run(config)
    audio = objects(out)
    lines = Path(texts).read_text().replace("says", "sings")
    Path(texts).write_text(lines)
    planned = plan(config)
    assert planned.todo == ()
    assert planned.publication_due == "changed: the metadata of utterances"
    run(config)
    assert objects(out) == audio
    assert rows(out)[-1]["meta"]["transcript"].startswith("sings")
    assert_whole(out, 24)
    run(job(output__sidecar="plain", input__meta=texts))
    assert {each["key"]: each["meta"] for each in sidecars(out)} == {row["key"]: row["meta"] for row in rows(out)}
    assert_whole(out, 24)
