"""Mels that lie side by side in a ragged store are read together, and one that is bad spoils no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.making import SPEC, make_ragged, random_mel

from pipeline.errors import BadMelError
from pipeline.stores import MelStore, Utterance, mel_array, open_store
from pipeline.stores.zarr_arrays import ChunkedArray

MELS = {f"u{number:03d}": random_mel(7, number) for number in range(100)}  # 700 rows in chunks of 16

Rows = list[tuple[int, int]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_ragged(tmp_path / "s", MELS)
    return tmp_path / "s"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """The rows that are asked of the array, from a first to a last one."""
    found: Rows = []
    read: Callable[..., np.ndarray] = ChunkedArray.read

    def counted(array: ChunkedArray, region: tuple[slice, ...], name: str) -> np.ndarray:
        if len(region) == 2:
            found.append((region[0].start, region[0].stop))
        return read(array, region, name)

    monkeypatch.setattr(ChunkedArray, "read", counted)
    return found


def opened(path: Path) -> tuple[MelStore, list[Utterance]]:
    store = open_store(str(path), mel=SPEC)
    return store, list(store.catalogue())


def test_what_is_expected_is_read_at_once(store: Path, reads: Rows) -> None:
    mels, utterances = opened(store)
    mels.expect(utterances)
    for utterance, mel in zip(utterances, MELS.values(), strict=True):
        np.testing.assert_array_equal(mels.read(utterance), mel)
        np.testing.assert_array_equal(mels.read(utterance, 2, 5), mel[:, 2:5])
    assert reads == [(0, 700)]


def test_what_is_not_expected_is_read_to_the_end_of_its_chunk(store: Path, reads: Rows) -> None:
    mels, utterances = opened(store)
    mels.expect([utterances[each] for each in (0, 1, 2, 50)])
    for each in (0, 1, 2, 3, 50):
        np.testing.assert_array_equal(mels.read(utterances[each]), MELS[f"u{each:03d}"])
    assert reads == [(0, 21), (21, 32), (350, 368)]


def test_no_more_is_read_ahead_than_memory_is_meant_for(
    store: Path, reads: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mel_array, "AHEAD_BYTES", 4 * 20 * 100)
    mels, utterances = opened(store)
    mels.expect(utterances)
    for utterance, mel in zip(utterances, MELS.values(), strict=True):
        np.testing.assert_array_equal(mels.read(utterance), mel)
    assert max(stop - start for start, stop in reads) <= 100
    assert len(reads) <= 9


def test_a_bad_mel_spoils_none_of_those_that_are_read_with_it(store: Path) -> None:
    mel = zarr.open_group(store)["mel"]
    mel[7 * 30 + 2, 3] = np.nan
    mels, utterances = opened(store)
    mels.expect(utterances)
    for number, (utterance, wanted) in enumerate(zip(utterances, MELS.values(), strict=True)):
        if number == 30:
            with pytest.raises(BadMelError, match=r"'u030': NaN in frame 2 \(mel\[212, 3\]"):
                mels.read(utterance)
        else:
            np.testing.assert_array_equal(mels.read(utterance), wanted)
