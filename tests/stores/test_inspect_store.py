"""What inspect_store reports."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.making import (
    MAKERS,
    N_MELS,
    SPEC,
    make_grouped,
    make_padded,
    make_ragged,
    open_group,
    random_mel,
    some_mels,
)

from pipeline.errors import StoreError
from pipeline.stores import inspect_store, open_store


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("shards", [False, True])
def test_a_whole_store_is_reported_whole(tmp_path: Path, layout: str, shards: bool) -> None:
    mels = some_mels()
    MAKERS[layout](tmp_path / "s", mels, shards=shards)
    report = inspect_store(open_store(str(tmp_path / "s"), mel=SPEC), SPEC)
    assert (report.layout, report.zarr_format, report.utterances, report.frames) == (layout, 3, 4, 207)
    assert (report.frames_min, report.frames_median, report.frames_max) == (5, 50.5, 101)
    assert report.seconds == pytest.approx(207 * 256 / 22050)
    assert report.value_min == min(mel.min() for mel in mels.values())
    assert report.value_max == max(mel.max() for mel in mels.values())
    assert (report.examined, report.out_of_range, report.missing_chunks, report.missing) == (4, 0, 0, ())
    assert report.chunks > 0
    assert not report.faults
    assert not report.unreadable
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("layout", "chunk"), [("ragged", "mel/c/4/0"), ("grouped", "b/c/c/0/3"), ("padded", "mel/c/0/0/3")]
)
def test_missing_chunks_are_named(tmp_path: Path, layout: str, chunk: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels())
    (tmp_path / "s" / chunk).unlink()
    report = inspect_store(open_store(str(tmp_path / "s"), mel=SPEC))
    assert report.missing == (f"chunk {chunk}",)
    assert report.missing_chunks == 1
    assert list(report.unreadable) == ["b/c"]


def test_missing_inner_chunks_of_a_shard_are_named(tmp_path: Path) -> None:
    group = open_group(tmp_path / "s", 3)
    array = group.create_array(
        "u", shape=(N_MELS, 70), chunks=(N_MELS, 16), shards=(N_MELS, 64), dtype="float32", fill_value=0
    )
    array[:, :16] = random_mel(16)
    array[:, 64:] = random_mel(6)
    report = inspect_store(open_store(str(tmp_path / "s"), mel=SPEC))
    assert report.missing == tuple(f"inner chunk (0, {at}) of shard u/c/0/0" for at in (1, 2, 3))
    assert report.chunks == 5


def test_a_missing_chunk_of_padding_alone_is_not_missing(tmp_path: Path) -> None:
    make_padded(tmp_path / "s", {"a": random_mel(20), "b": random_mel(10)}, longest=50)
    zarr.open_array(str(tmp_path / "s"), path="mel", mode="r+")[..., 40:] = 1
    (tmp_path / "s/mel/c/0/0/3").unlink()
    report = inspect_store(open_store(str(tmp_path / "s"), mel=SPEC))
    assert (report.chunks, report.missing_chunks) == (2, 0)
    assert not report.unreadable


def test_values_that_no_mel_can_hold_are_counted(tmp_path: Path) -> None:
    mels = some_mels()
    mels["a"][4, :7] = -30
    mels["d"][0, 0] = 5
    make_ragged(tmp_path / "s", mels)
    report = inspect_store(open_store(str(tmp_path / "s")))
    assert report.out_of_range == 8
    assert report.possible_min == pytest.approx(np.log(1e-5), abs=1e-4)
    assert (report.value_min, report.value_max) == (-30, 5)


def test_a_large_store_is_sampled_evenly_and_says_so(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", {f"{i}": np.full((N_MELS, 4), -i, np.float32) for i in range(11)})
    report = inspect_store(open_store(str(tmp_path / "s")), sample=3)
    assert (report.examined, report.utterances) == (3, 11)
    assert (report.value_min, report.value_max) == (-10, 0)


def test_faults_are_in_the_report_and_not_in_the_counts(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels(), offsets=[0, 37, 20, 106, 207])
    report = inspect_store(open_store(str(tmp_path / "s")))
    assert (report.utterances, report.frames, report.examined) == (4, 37 + 86 + 101, 3)
    assert "go back" in report.faults["b/c [1]"]


def test_without_a_contract_nothing_is_said_of_seconds_and_range(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels(), names=("mel", "time"))
    report = inspect_store(open_store(str(tmp_path / "s")))
    assert (report.spec, report.seconds, report.out_of_range) == (None, None, None)
    assert report.frames == 207


def test_an_endless_utterance_is_a_fault_and_takes_no_memory(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels())
    group = zarr.open_group(str(tmp_path / "s"))
    group.create_array("giant", shape=(N_MELS, 10**12), chunks=(N_MELS, 1000), dtype="float32")
    group.create_array("day", shape=(N_MELS, 10**7), chunks=(N_MELS, 1000), dtype="float32")
    with limited_memory(2 << 30):
        report = inspect_store(open_store(str(tmp_path / "s"), mel=SPEC), SPEC)
    assert (report.utterances, report.frames, report.examined) == (6, 207, 4)
    assert "1000000000 chunks, more than 67108864" in report.faults["giant [4]"]
    assert "more than 21600 s" in report.faults["day [3]"]


def test_an_endless_ragged_store_is_refused(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    zarr.open_array(str(tmp_path / "s"), path="mel", mode="r+").resize((10**12, N_MELS))
    with pytest.raises(StoreError, match="62500000000 chunks, more than 67108864"):
        open_store(str(tmp_path / "s"))


@contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """At most so many bytes of address space more than now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
