"""What a store's reader does about metadata and listings that are damaged, or made to harm."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

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

from pipeline.errors import BadMelError, StoreError, UtteranceError
from pipeline.stores import MelStore, Utterance, open_store


def by_key(store: MelStore) -> dict[str, Utterance]:
    return {utterance.key: utterance for utterance in store.catalogue()}


@pytest.mark.parametrize(
    ("filters", "compressor", "named"),
    [
        ([{"id": "pickle", "protocol": 5}], None, "pickle"),
        (None, {"id": "pickle"}, "pickle"),
        ([{"id": "json2"}], None, "json2"),
        ([{"id": "msgpack2"}], None, "msgpack2"),
        ([{"id": "delta", "dtype": "|O", "astype": "|O"}], None, "delta"),
        (None, {"id": "mine.evil"}, "mine.evil"),
    ],
)
def test_codec_that_is_not_allowed_is_refused_in_zarr_v2(
    tmp_path: Path, filters: Any, compressor: Any, named: str
) -> None:
    make_grouped(tmp_path / "s", {"a": random_mel(30)}, 2)
    document = tmp_path / "s/a/.zarray"
    metadata = json.loads(document.read_text())
    document.write_text(json.dumps(metadata | {"filters": filters, "compressor": compressor}))
    bomb = tmp_path / "exploded"
    for chunk in ("0.0", "0.1"):
        (tmp_path / "s/a" / chunk).write_bytes(pickle.dumps(Bomb(bomb)))
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    listed = store.catalogue()
    assert f"codec '{named}'" in listed.faults[0]
    with pytest.raises(BadMelError, match=f"codec '{named}'"):
        store.read(dataclasses.replace(listed[0], frames=30))
    assert not bomb.exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("nested", [False, True])
def test_codec_that_is_not_allowed_is_refused_in_zarr_v3_and_inside_shards(tmp_path: Path, nested: bool) -> None:
    make_ragged(tmp_path / "s", some_mels(), shards=nested)
    document = tmp_path / "s/mel/zarr.json"
    metadata = json.loads(document.read_text())
    codecs = metadata["codecs"][0]["configuration"]["codecs"] if nested else metadata["codecs"]
    codecs.append({"name": "numcodecs.pickle", "configuration": {}})
    document.write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match="codec 'pickle'"):
        open_store(str(tmp_path / "s"))


@pytest.mark.parametrize("layout", ["ragged", "padded"])
def test_an_array_of_objects_is_no_list_of_keys(tmp_path: Path, layout: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels(), zarr_format=2)
    document = tmp_path / "s/keys/.zarray"
    metadata = json.loads(document.read_text())
    document.write_text(json.dumps(metadata | {"filters": [{"id": "pickle"}, {"id": "vlen-utf8"}]}))
    bomb = tmp_path / "exploded"
    (tmp_path / "s/keys/0").write_bytes(pickle.dumps(Bomb(bomb)))
    with pytest.raises(StoreError, match="codec 'pickle'"):
        open_store(str(tmp_path / "s"), mel=SPEC).catalogue()
    assert not bomb.exists()


@pytest.mark.parametrize("layout", MAKERS)
def test_a_huge_chunk_is_refused_before_memory_is_taken(tmp_path: Path, layout: str) -> None:
    MAKERS[layout](tmp_path / "s", {"a": random_mel(30)})
    document = next((tmp_path / "s").glob("[am]*/zarr.json"))
    metadata = json.loads(document.read_text())
    huge = [size * 20_000_000 for size in metadata["chunk_grid"]["configuration"]["chunk_shape"]]
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = huge
    document.write_text(json.dumps(metadata))

    def read_first() -> None:
        store = open_store(str(tmp_path / "s"), mel=SPEC)
        store.read(dataclasses.replace(store.catalogue()[0], frames=30))

    with pytest.raises(BadMelError if layout == "grouped" else StoreError, match="at most 1 GiB is allowed"):
        read_first()


def test_an_absurdly_long_utterance_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels(), offsets=[0, 37, 101, 106, 10**9])
    document = tmp_path / "s/mel/zarr.json"
    document.write_text(json.dumps(json.loads(document.read_text()) | {"shape": [10**9, N_MELS]}))
    store = open_store(str(tmp_path / "s"))
    assert not store.catalogue().faults
    with pytest.raises(BadMelError, match="more than 1 GiB"):
        store.read(store.catalogue()[3])


def test_a_list_that_is_only_said_to_be_long_takes_no_memory(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    for name, shape in (("offsets", [10**8 + 1]), ("keys", [10**8]), ("digests", [10**8, 16])):
        document = tmp_path / "s" / name / "zarr.json"
        document.write_text(json.dumps(json.loads(document.read_text()) | {"shape": shape}))
    store = open_store(str(tmp_path / "s"))
    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match=r"array offsets of .* has no chunk for item"):
            store.catalogue()
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("chunks", [(2, 16), (8, 4)], ids=str)
@pytest.mark.parametrize("values", [0, 1])
def test_a_chunk_of_digests_that_is_missing_is_told_from_digests_of_its_fill_value(
    tmp_path: Path, chunks: tuple[int, int], values: int
) -> None:
    make_ragged(tmp_path / "s", some_mels())
    group = zarr.open_group(tmp_path / "s", mode="r+")
    count = group["digests"].shape[0]
    digests = np.full((count, 16), values, np.uint8)
    del group["digests"]
    group.create_array("digests", data=digests, chunks=chunks, config={"write_empty_chunks": True})
    assert (open_store(str(tmp_path / "s")).catalogue().digests == digests).all()
    sorted(path for path in (tmp_path / "s/digests/c").rglob("*") if path.is_file())[-1].unlink()
    with pytest.raises(StoreError, match=r"array digests of .* has no chunk for item"):
        open_store(str(tmp_path / "s")).catalogue()


def test_a_key_may_be_the_fill_value_of_a_missing_one(tmp_path: Path) -> None:
    keys = ["\x01", "a", "\x01\x01", "b"]
    make_ragged(tmp_path / "s", some_mels(), keys=keys)
    catalogue = open_store(str(tmp_path / "s")).catalogue()
    assert (catalogue.keys.tolist(), catalogue.faults) == (keys, {})


def test_a_column_that_zarr_cannot_read_is_a_store_error(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    document = tmp_path / "s/keys/zarr.json"
    metadata = json.loads(document.read_text())
    metadata["codecs"].insert(0, {"name": "gzip", "configuration": {"level": 1}})
    document.write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match=r"array keys of .* zarr cannot read it"):
        open_store(str(tmp_path / "s")).catalogue()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_that_cannot_be_understood_are_faults_and_the_others_are_read(tmp_path: Path, zarr_format: int) -> None:
    make_grouped(tmp_path / "s", some_mels(), zarr_format)
    document = ".zarray" if zarr_format == 2 else "zarr.json"
    (tmp_path / "s" / "a" / document).write_text("{")
    (tmp_path / "s" / "b/c" / document).unlink()
    os.rename(tmp_path / "s" / "d", os.fsencode(tmp_path / "s") + b"/\xff")
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    listed = store.catalogue()
    faults = {listed[index].key: reason for index, reason in listed.faults.items()}
    assert set(faults) == {"a", "b/c", "\\udcff"}
    assert f"a/{document} is not valid JSON" in faults["a"]
    assert "array b/c has chunks but no metadata" in faults["b/c"]
    assert "is not UTF-8" in faults["\\udcff"]
    np.testing.assert_array_equal(store.read(by_key(store)["ünï"]), some_mels()["ünï"])


def test_a_list_that_cannot_be_understood_for_one_array_does_not_count(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels(), 2)
    zarr.consolidate_metadata(str(tmp_path / "s"), zarr_format=2)
    document = tmp_path / "s/.zmetadata"
    metadata = json.loads(document.read_text())
    metadata["metadata"]["a/.zarray"]["shape"] = "long"
    document.write_text(json.dumps(metadata))
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    assert (len(store.catalogue()), store.catalogue().faults) == (4, {})
    assert "out of date for a, whose own metadata counts" in store.describe()


@pytest.mark.parametrize(
    "change",
    [
        {"filters": True},
        {"filters": [3]},
        {"compressor": []},
        {"filters": [{"id": "delta", "dtype": "nothing"}]},
        {"dtype": {}},
        {"order": "X"},
        {"shape": [True, 30]},
        {"zarr_format": 3},
        {"fill_value": {}},
    ],
)
def test_metadata_of_another_shape_is_a_fault(tmp_path: Path, change: dict[str, Any]) -> None:
    make_grouped(tmp_path / "s", some_mels(), 2)
    document = tmp_path / "s/a/.zarray"
    document.write_text(json.dumps(json.loads(document.read_text()) | change))
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    listed = store.catalogue()
    if set(change) - {"order", "fill_value"}:
        assert [listed[index].key for index in listed.faults] == ["a"]
    for utterance in listed:
        if utterance.key == "a" and "fill_value" not in change:  # ours goes over it
            with pytest.raises(UtteranceError):
                store.read(utterance)
        else:
            np.testing.assert_array_equal(store.read(utterance), some_mels()[utterance.key])


@pytest.mark.parametrize("encoding", [None, [], "default", {"name": "default", "configuration": 3}])
def test_chunks_that_cannot_be_named_are_a_fault(tmp_path: Path, encoding: Any) -> None:
    make_grouped(tmp_path / "s", some_mels())
    document = tmp_path / "s/a/zarr.json"
    document.write_text(json.dumps(json.loads(document.read_text()) | {"chunk_key_encoding": encoding}))
    listed = open_store(str(tmp_path / "s"), mel=SPEC).catalogue()
    assert [listed[index].key for index in listed.faults] == ["a"]


@pytest.mark.parametrize("listed", [[1], {"a/.zarray": 3}, {"a/.zarray": {}, "a/.zattrs": 3}])
def test_consolidated_metadata_of_another_shape_is_refused(tmp_path: Path, listed: Any) -> None:
    make_grouped(tmp_path / "s", some_mels(), 2)
    (tmp_path / "s/.zmetadata").write_text(json.dumps({"metadata": listed}))
    with pytest.raises(StoreError, match=r"not a JSON object|no array of two dimensions"):
        open_store(str(tmp_path / "s"), mel=SPEC)


def test_keys_whose_metadata_is_lost_are_not_replaced_by_numbers(tmp_path: Path) -> None:
    make_padded(tmp_path / "s", some_mels())
    (tmp_path / "s/keys/zarr.json").unlink()
    with pytest.raises(StoreError, match="keys is there but has no metadata"):
        open_store(str(tmp_path / "s"), mel=SPEC)


def test_keys_that_differ_after_a_nul_are_not_the_same(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels(), keys=["\0a", "\0b", "a\0b", "a\0c"])
    assert not open_store(str(tmp_path / "s")).catalogue().faults


def test_a_key_that_no_path_can_hold_is_a_fault(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels(), keys=["x" * 1024, "ы" * 512, "ы" * 513, "\0" * 1025])
    faults = open_store(str(tmp_path / "s")).catalogue().faults
    assert faults == {
        2: "its key has 1026 bytes, more than 1024 (item 2)",
        3: "its key has 1025 bytes, more than 1024 (item 3)",
    }


def test_chunks_that_decode_to_far_more_than_is_read_are_not_decoded(tmp_path: Path) -> None:
    group = open_group(tmp_path / "s", 3)
    group.create_array("u", shape=(N_MELS, 10**8), chunks=(1, 10**8), dtype="float32")
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    with pytest.raises(BadMelError, match=r"take 7\.5 GiB decoded, more than 2 GiB"):
        store.read(store.catalogue()[0], 0, 10)
