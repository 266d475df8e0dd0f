"""Jobs by what their mels are of: rows, job.json, resumes, retries, extensions and outputs of earlier versions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import soundfile
from support.corpora import SPEC, assert_whole, rows
from support.faults.ragged_store import write_store

from pipeline.config import JobConfig, load_job
from pipeline.jobs.run import plan, run
from pipeline.output.ledger import Ledger
from pipeline.output.records import Row
from pipeline.planning.prepare import job_of_output
from pipeline.storage import open_storage
from pipeline.stores import open_store
from pipeline.vocoders import load_vocoder

Floats = np.ndarray[Any, np.dtype[np.float32]]
Build = Callable[..., JobConfig]


@pytest.fixture
def build(mels: Path, tmp_path: Path) -> Build:
    """A job with lift on mels of six prompts in stretches of 100 frames; `smooth` keys are smoothed."""

    def make(smooth: bool, count: int = 6, extra: int = 0, **settings: str) -> JobConfig:
        found = {}
        for number, path in enumerate(sorted(mels.glob("*/*.npy"))[: count + extra]):
            mel = np.load(path)[:, :100]
            is_smooth = smooth if number < count else not smooth
            found[f"{path.parent.name}-{path.stem}"] = (
                np.asarray(scipy.ndimage.uniform_filter(mel, (3, 3)), np.float32) if is_smooth else mel
            )
        store = write_store(tmp_path / "mels.zarr", found)
        values: dict[str, Any] = {
            # The prompts are taken as if they were at another rate, which their mean spectrum shows.
            "input": {"store": str(store), "mel": "hifigan-22k", "check_values": False},
            "vocoder": {"name": "lift"} | settings,
            "output": {"url": str(tmp_path / "audio"), "shard_seconds": 3},
            "cluster": {"kind": "synchronous"},
        }
        return JobConfig.build(values)

    return make


def out_of(config: JobConfig) -> Path:
    return Path(config.output.url)


def kept(config: JobConfig) -> dict[str, Any]:
    return dict(json.loads((out_of(config) / "job.json").read_text())["job"]["vocoder"])


@pytest.mark.parametrize(("smooth", "origin"), [(False, "recorded"), (True, "predicted")])
def test_rows_and_job_say_what_the_mels_were_taken_as_and_the_audio_is_so(
    build: Build, smooth: bool, origin: Any
) -> None:
    config = build(smooth)
    described = plan(config).describe()
    assert described["mels"] == origin
    assert "neighbouring frames differ by" in described["why_mels"]
    run(config)
    assert_whole(out_of(config), 6)
    assert {row["mel_origin"] for row in rows(out_of(config))} == {origin}
    assert {Row.from_dict(row).mel_origin for row in rows(out_of(config))} == {origin}
    assert kept(config)["mels"] == origin
    store = open_store(config.input.store, mel=SPEC)
    vocoder = load_vocoder("lift", SPEC, mels=origin)
    for utterance, row in zip(store.catalogue(), rows(out_of(config)), strict=True):
        pcm = np.clip(np.rint(vocoder.decode(store.read(utterance)) * 32768), -32768, 32767)
        assert row["key"] == utterance.key
        np.testing.assert_array_equal(read(out_of(config), row), pcm.astype(np.int16))


def read(out: Path, row: dict[str, Any]) -> Any:
    with (out / row["shard"]).open("rb") as tar:
        tar.seek(row["offset"])
        return soundfile.read(io.BytesIO(tar.read(row["bytes"])), dtype="int16")[0]


def test_an_output_keeps_its_origin_when_the_store_grows_and_is_resumed_and_retried(build: Build) -> None:
    config = build(True)
    run(config)
    made = {row["key"]: row["pcm_sha256"] for row in rows(out_of(config))}
    grown = build(True, extra=12)  # most utterances are recorded now
    found = plan(grown)
    assert found.describe()["mels"] == "predicted"
    assert found.describe()["why_mels"] == "as when the output was begun"
    run(grown)
    assert_whole(out_of(config), 18)
    now = {row["key"]: row["pcm_sha256"] for row in rows(out_of(config))}
    assert made.items() <= now.items()
    assert {row["mel_origin"] for row in rows(out_of(config))} == {"predicted"}
    assert plan(grown).todo == ()
    again = load_job(None, job_of_output(config.output.url))
    assert again.vocoder.mels == "predicted"
    assert plan(again).todo == ()


def test_another_origin_is_another_vocoder_and_the_plan_says_how_to_keep_the_shards(build: Build) -> None:
    run(build(False))
    (reason,) = plan(build(False, mels="predicted")).reasons
    assert "the same vocoder for recorded mels; --set vocoder.mels=recorded keeps these shards" in reason.words
    assert plan(build(False, mels="recorded")).todo == ()


def test_an_output_of_a_melmill_without_the_key_is_not_made_again(build: Build) -> None:
    config = build(True, mels="recorded")  # what that melmill made of smooth mels
    run(config)
    ledger = Ledger(open_storage(config.output.url))
    described = ledger.existing_job()
    del described["job"]["vocoder"]["mels"], described["job"]["vocoder"]["refine"]
    ledger.write_job(described)
    found = plan(build(True))
    assert (found.todo, found.describe()["mels"]) == ((), "recorded")


def test_windows_threads_and_workers_make_the_same_of_predicted_mels(build: Build, tmp_path: Path) -> None:
    made = []
    for number, (window, kind) in enumerate(((None, "synchronous"), (32, "synchronous"), (64, "local"))):
        values = build(True).model_dump()
        values["vocoder"]["window"] = window
        values["output"]["url"] = str(tmp_path / f"out{number}")
        values["cluster"] = {"kind": kind, "workers": 1} if kind == "local" else {"kind": kind}
        run(JobConfig.build(values))
        made.append([row["pcm_sha256"] for row in rows(tmp_path / f"out{number}")])
    assert made[0] == made[1] == made[2]
