"""A shard in batches: the samples of one window at a time, and one bad utterance spoils no other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.corpora import assert_whole, audio, rows

import pipeline
from pipeline.config import JobConfig


@pytest.mark.parametrize("batch", [7, 64])
def test_a_shard_in_batches_holds_the_samples_of_one_window_at_a_time(
    job: Callable[..., JobConfig], tmp_path: Path, batch: int
) -> None:
    common = {"output__codec": "wav", "output__subtype": "FLOAT"}
    pipeline.run(job(**common, output__url=str(tmp_path / "single")))
    pipeline.run(job(**common, output__url=str(tmp_path / "batched"), vocoder__batch=batch, vocoder__window=32))
    single, batched = audio(tmp_path / "single"), audio(tmp_path / "batched")
    assert list(batched) == list(single)
    for key, waveform in single.items():
        assert batched[key].shape == waveform.shape
        assert np.abs(batched[key] - waveform).max() < 1e-5
    distances = [{row["key"]: row["mel_distance"] for row in rows(tmp_path / name)} for name in ("single", "batched")]
    assert distances[0] == pytest.approx(distances[1], abs=1e-4)


def test_an_utterance_that_cannot_be_read_spoils_no_other_of_its_batch(
    job: Callable[..., JobConfig], store: Path, tmp_path: Path
) -> None:
    group = zarr.open_group(store)
    offsets, keys = group["offsets"][:], [str(key) for key in group["keys"][:]]
    group["mel"][int(offsets[3]) + 60] = np.nan  # in the second window
    pipeline.run(job(vocoder__batch=16, vocoder__window=32, quality__max_failure_rate=0.1))
    assert_whole(tmp_path / "audio", 24, failed=1)
    (failure,) = rows(tmp_path / "audio", "failures.jsonl")
    assert (failure["key"], failure["error"]) == (keys[3], "BadMelError")
