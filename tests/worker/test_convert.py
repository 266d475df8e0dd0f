"""A shard in batches: the samples of one window at a time, and one bad utterance spoils no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from support.corpora import assert_whole, audio, objects, rows

import pipeline
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.planning.prepare import prepare
from pipeline.vocoders import decode_together, native_vocoder, registry
from pipeline.worker import convert, utterance
from pipeline.worker.convert import convert_shard


@pytest.mark.parametrize("batch", [7, 64])
def test_a_shard_in_batches_holds_the_samples_of_one_window_at_a_time(
    job: Callable[..., JobConfig], tmp_path: Path, batch: int
) -> None:
    common = {"output__codec": "wav", "output__subtype": "FLOAT", "vocoder__runtime": "onnxruntime"}
    pipeline.run(job(**common, output__url=str(tmp_path / "single")))
    pipeline.run(job(**common, output__url=str(tmp_path / "batched"), vocoder__batch=batch, vocoder__window=32))
    single, batched = audio(tmp_path / "single"), audio(tmp_path / "batched")
    assert list(batched) == list(single)
    for key, waveform in single.items():
        assert batched[key].shape == waveform.shape
        assert np.abs(batched[key] - waveform).max() < 1e-5
    distances = [{row["key"]: row["mel_distance"] for row in rows(tmp_path / name)} for name in ("single", "batched")]
    assert distances[0] == pytest.approx(distances[1], abs=1e-4)


def test_a_worker_takes_the_runtime_that_the_run_was_planned_with(
    job: Callable[..., JobConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden = "it is forbidden here"
    with monkeypatch.context() as driver:  # where the run is planned there are no kernels, on the worker there are
        driver.setattr(native_vocoder, "available", lambda: forbidden)
        prepared = prepare(job())
    task = next(iter(prepared.plan.tasks(prepared.catalogue)))
    registry._load.cache_clear()
    assert convert_shard(task, prepared.job).ingredients.vocoder == prepared.vocoder.digest
    native = prepare(job(output__url=str(tmp_path / "other")))
    assert native.job.runtime == "native"
    registry._load.cache_clear()
    monkeypatch.setattr(native_vocoder, "available", lambda: forbidden)
    with pytest.raises(ConfigError, match=f"runtime: native: .*{forbidden}. Set vocoder.runtime to onnxruntime"):
        convert_shard(task, native.job)
    registry._load.cache_clear()


@pytest.mark.parametrize(("runtime", "at_once"), [("native", 2), ("onnxruntime", 1)])
def test_threads_of_a_job_without_workers_make_one_shard_together(
    job: Callable[..., JobConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, at_once: int
) -> None:
    """Onnxruntime has threads of its own, in each window."""
    settings = {"vocoder__runtime": runtime, "output__shard_seconds": 1000}
    pipeline.run(job(**settings, output__url=str(tmp_path / "one")))
    asked: list[int] = []

    def told(vocoder: Any, mels: Any, window: int | None, threads: int) -> Any:
        asked.append(threads)
        return decode_together(vocoder, mels, window, threads)

    monkeypatch.setattr(convert, "decode_together", told)
    pipeline.run(job(**settings, output__url=str(tmp_path / "two"), cluster__threads_per_worker=2))
    assert set(asked) == {at_once}
    assert objects(tmp_path / "one") == objects(tmp_path / "two")


def test_an_utterance_that_cannot_be_read_spoils_no_other_of_its_batch(
    job: Callable[..., JobConfig], store: Path, tmp_path: Path
) -> None:
    group = zarr.open_group(store)
    offsets, keys = group["offsets"][:], [str(key) for key in group["keys"][:]]
    group["mel"][int(offsets[3]) + 60] = np.nan  # in the second window
    pipeline.run(
        job(vocoder__runtime="onnxruntime", vocoder__batch=16, vocoder__window=32, quality__max_failure_rate=0.1)
    )
    assert_whole(tmp_path / "audio", 24, failed=1)
    (failure,) = rows(tmp_path / "audio", "failures.jsonl")
    assert (failure["key"], failure["error"]) == (keys[3], "BadMelError")


def test_what_is_decoded_ahead_of_its_encoding_is_the_same(
    job: Callable[..., JobConfig], store: Path, tmp_path: Path
) -> None:
    """A vocoder that may be on a card is decoded by another thread, here on the CPU; one utterance is bad."""
    group = zarr.open_group(store)
    group["mel"][int(group["offsets"][3]) + 60] = np.nan
    common = {"vocoder__runtime": "onnxruntime", "vocoder__window": 32, "quality__max_failure_rate": 0.1}
    for device in ("cpu", "cuda-or-cpu"):
        pipeline.run(job(**common, output__url=str(tmp_path / device), vocoder__device=device, vocoder__batch=4))
        assert_whole(tmp_path / device, 24, failed=1)
    at_once, ahead = audio(tmp_path / "cpu"), audio(tmp_path / "cuda-or-cpu")
    assert list(ahead) == list(at_once)
    for key, waveform in at_once.items():
        assert np.abs(ahead[key] - waveform).max() < 1e-4
    (once,), (later,) = (rows(tmp_path / device, "failures.jsonl") for device in ("cpu", "cuda-or-cpu"))
    assert {**once, "shard": ""} == {**later, "shard": ""}


def test_utterances_that_are_read_together_are_made_as_each_alone(
    job: Callable[..., JobConfig], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of a few frames, too; one utterance cannot be read, one does not fit, and one is not the one listed."""
    group = zarr.open_group(store)
    offsets, mel = [int(each) for each in group["offsets"][:]], group["mel"]
    mel[offsets[3] + 60] = np.nan
    mel[offsets[5] : offsets[6]] = mel[offsets[5] : offsets[6]] * np.float32(3)
    mel[offsets[7] + 1, 4] = -3.0
    common = {"vocoder__window": 32, "quality__max_failure_rate": 0.2}
    for name, frames in (("together", 2048), ("alone", 0)):
        monkeypatch.setattr(utterance, "_TOGETHER_FRAMES", frames)
        pipeline.run(job(**common, output__url=str(tmp_path / name)))
        assert_whole(tmp_path / name, 24, failed=3)
    assert objects(tmp_path / "together") == objects(tmp_path / "alone")
    for file in ("manifest.jsonl", "failures.jsonl"):
        assert rows(tmp_path / "together", file) == rows(tmp_path / "alone", file)


def test_a_failure_while_some_are_read_is_that_of_one_of_them(
    job: Callable[..., JobConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = utterance.UtteranceMel._read

    def failing(mel: utterance.UtteranceMel, start: int, stop: int) -> NDArray[np.float32]:
        if mel.utterance.index == 3:
            raise RuntimeError("a codec failed")
        return read(mel, start, stop)

    config = job(quality__max_failure_rate=0.1)
    monkeypatch.setattr(utterance.UtteranceMel, "_read", failing)
    pipeline.run(config)
    assert_whole(tmp_path / "audio", 24, failed=1)
    (failure,) = rows(tmp_path / "audio", "failures.jsonl")
    assert (failure["error"], failure["reason"]) == ("RuntimeError", "a codec failed")
