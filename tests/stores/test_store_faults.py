"""What a store's reader does about chunks that are missing or damaged, bad values, bad listings and hostile codecs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
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
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from pipeline.dsp.mel import mel_ceiling
from pipeline.errors import BadMelError, CorruptChunkError, MissingChunkError, StorageError, StoreError, UtteranceError
from pipeline.melspec import Normalization
from pipeline.stores import MelStore, Utterance, open_store
from pipeline.stores.zarr_arrays import ChunkedArray


def by_key(store: MelStore) -> dict[str, Utterance]:
    return {utterance.key: utterance for utterance in store.catalogue()}


def readable(store: MelStore, kind: type[Exception]) -> dict[str, bool]:
    """Which utterances read as they were written; the others must raise `kind`."""
    found = {}
    for key, utterance in by_key(store).items():
        try:
            np.testing.assert_array_equal(store.read(utterance), some_mels()[key])
            found[key] = True
        except kind:
            found[key] = False
    return found


@pytest.mark.parametrize(
    ("layout", "zarr_format", "chunk"),
    [
        ("ragged", 3, "mel/c/4/0"),  # rows 64..80 are b/c's
        ("ragged", 2, "mel/4.0"),
        ("grouped", 3, "b/c/c/0/3"),
        ("grouped", 2, "b/c/0.3"),
        ("padded", 3, "mel/c/0/0/3"),  # frames 48..64 of the first two items: the first has but 37
        ("padded", 2, "mel/0.0.3"),
    ],
)
def test_missing_chunk_fails_only_its_utterance(tmp_path: Path, layout: str, zarr_format: int, chunk: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels(), zarr_format=zarr_format)
    (tmp_path / "s" / chunk).unlink()
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    assert readable(store, MissingChunkError) == {"a": True, "b/c": False, "ünï": True, "d": True}
    with pytest.raises(MissingChunkError, match=rf"'b/c'.*chunk {chunk} of .* is missing"):
        store.read(by_key(store)["b/c"])
    whole = store.read(by_key(store)["b/c"], 0, 16)
    np.testing.assert_array_equal(whole, some_mels()["b/c"][:, :16])


def test_missing_inner_chunk_of_a_shard_is_not_read_as_fill_values(tmp_path: Path) -> None:
    group = open_group(tmp_path / "s", 3)
    mel = random_mel(64)
    array = group.create_array(
        "u", shape=(N_MELS, 64), chunks=(N_MELS, 16), shards=(N_MELS, 64), dtype="float32", fill_value=0
    )
    array[:, :16], array[:, 32:] = mel[:, :16], mel[:, 32:]
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    utterance = store.catalogue()[0]
    with pytest.raises(MissingChunkError, match=r"inner chunk \(0, 1\) of shard u/c/0/0"):
        store.read(utterance)
    np.testing.assert_array_equal(store.read(utterance, 32), mel[:, 32:])
    (tmp_path / "s/u/c/0/0").unlink()
    with pytest.raises(MissingChunkError, match=r"inner chunk \(0, 2\) of shard u/c/0/0"):
        open_store(str(tmp_path / "s"), mel=SPEC).read(utterance, 32)


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_stored_value_that_is_not_finite_is_named_with_its_place(tmp_path: Path, layout: str, value: float) -> None:
    mels = some_mels()
    mels["b/c"][3, 41] = value
    MAKERS[layout](tmp_path / "s", mels)
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    place = {"ragged": r"mel\[78, 3\]", "grouped": r"b/c\[3, 41\]", "padded": r"mel\[1, 3, 41\]"}[layout]
    with pytest.raises(BadMelError, match=rf"'b/c'.*frame 41 \({place}"):
        store.read(by_key(store)["b/c"])
    assert np.isfinite(store.read(by_key(store)["b/c"], 42)).all()
    assert readable(store, BadMelError) == {"a": True, "b/c": False, "ünï": True, "d": True}


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("value", [1e30, -1e30, 12.0])
def test_a_value_that_no_mel_holds_is_named_with_its_place(tmp_path: Path, layout: str, value: float) -> None:
    mels = some_mels()
    mels["b/c"][3, 41] = value
    MAKERS[layout](tmp_path / "s", mels)
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    with pytest.raises(BadMelError, match=r"'b/c'.*in band 3 of frame 41 \(.*is not possible under the mel contract"):
        store.read(by_key(store)["b/c"])
    assert readable(store, BadMelError) == {"a": True, "b/c": False, "ünï": True, "d": True}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"log": "log10"},
        {"log": "db", "power": 2},
        {"normalization": Normalization((-5.0,) * N_MELS, tuple(1.0 + i for i in range(N_MELS)))},
    ],
)
def test_a_mel_may_be_too_loud_by_three_natural_log_units(tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = dataclasses.replace(SPEC, **changes)
    scale = np.array(spec.normalization.scale) if spec.normalization else 1.0
    attributes = {"layout": "ragged", "version": 1, "mel": spec.to_dict()}
    for over, good in ((2.9, True), (3.1, False)):
        mel = np.repeat((mel_ceiling(spec) + over * spec.log_scale / scale)[:, None], 9, axis=1).astype(np.float32)
        make_ragged(tmp_path / str(good), {"a": mel}, attributes=attributes)
        store = open_store(str(tmp_path / str(good)))
        if good:
            store.read(store.catalogue()[0])
        else:
            with pytest.raises(BadMelError, match="in band 0 of frame 0"):
                store.read(store.catalogue()[0])


def test_a_float64_beyond_float32_is_bad(tmp_path: Path) -> None:
    mel = random_mel(30).astype(np.float64)
    mel[0, 7] = 1e300
    make_grouped(tmp_path / "s", {"a": mel}, dtype="float64")
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    with pytest.raises(BadMelError, match="infinity in frame 7"):
        store.read(store.catalogue()[0])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("options", "damage"),
    [
        ({"compressors": [ZstdCodec(), Crc32cCodec()]}, flip),
        ({"compressors": [ZstdCodec(checksum=True)]}, flip),
        ({"compressors": [GzipCodec()]}, flip),
        ({"compressors": [GzipCodec()]}, cut),
        ({"compressors": [BloscCodec(cname="lz4")]}, cut),
        ({"compressors": [BloscCodec(cname="lz4")], "shards": True}, cut),
        ({"compressors": None}, cut),
        ({"compressors": [ZstdCodec(), Crc32cCodec()], "shards": True}, flip),
        ({"compressors": [ZstdCodec(), Crc32cCodec()], "shards": True}, cut),
        ({"zarr_format": 2}, cut),
    ],
)
def test_damaged_chunk_fails_only_its_utterance_and_is_named(
    tmp_path: Path, options: dict[str, Any], damage: Any
) -> None:
    make_grouped(tmp_path / "s", some_mels(), **options)
    name = "0.1" if "zarr_format" in options else "c/0/0" if "shards" in options else "c/0/1"
    damage(tmp_path / "s" / "b/c" / name)
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    assert readable(store, CorruptChunkError) == {"a": True, "b/c": False, "ünï": True, "d": True}
    with pytest.raises(CorruptChunkError, match=rf"'b/c'.*b/c/{name} of"):
        store.read(by_key(store)["b/c"])


def test_a_chunk_that_decodes_the_second_time_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ragged(tmp_path / "s", some_mels())
    decode, calls = ChunkedArray._decode, []

    def flaky(self: ChunkedArray, box: Any) -> Any:
        calls.append(box)
        if len(calls) == 1:
            raise ValueError("checksum")
        return decode(self, box)

    monkeypatch.setattr(ChunkedArray, "_decode", flaky)
    store = open_store(str(tmp_path / "s"))
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), some_mels()["a"])


def test_storage_that_fails_is_not_taken_for_a_damaged_chunk(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    store = open_store(str(tmp_path / "s"))
    listed = store.catalogue()
    store.__dict__["_reader"]._array._array._array = Denied()
    with pytest.raises(StorageError, match="denied"):
        store.read(listed[0])


class Denied:
    def __getitem__(self, region: Any) -> Any:
        raise PermissionError("denied")


@pytest.mark.parametrize("layout", MAKERS)
def test_neighbouring_reads_decode_each_chunk_once(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mels = {f"u{index}": random_mel(5, index) for index in range(20)}
    MAKERS[layout](tmp_path / "s", mels)
    decode, boxes = ChunkedArray._decode, []

    def counted(self: ChunkedArray, box: Any) -> Any:
        boxes.append((self.metadata.path, box))
        return decode(self, box)

    monkeypatch.setattr(ChunkedArray, "_decode", counted)
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    for utterance in store.catalogue():
        for start in range(5):
            np.testing.assert_array_equal(
                store.read(utterance, start, start + 1), mels[utterance.key][:, start : start + 1]
            )
    assert len(boxes) == {"ragged": 7, "grouped": 20, "padded": 10}[layout]


@pytest.mark.parametrize("column", ["offsets", "keys", "digests"])
def test_a_listing_with_a_missing_chunk_is_refused(tmp_path: Path, column: str) -> None:
    make_ragged(tmp_path / "s", some_mels())
    for chunk in (tmp_path / "s" / column / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    with pytest.raises(StoreError, match=rf"array {column} of .* has no chunk"):
        open_store(str(tmp_path / "s")).catalogue()


@pytest.mark.parametrize(
    ("offsets", "faulty"),
    [
        ([0, 37, 20, 106, 207], {1: "go back from 37 to 20"}),
        ([0, 37, 37, 106, 207], {1: "no frames"}),
        ([0, 37, 101, 106, 999], {3: "rows 106 to 999 are not within the 207"}),
        ([-4, 37, 101, 106, 207], {0: "rows -4 to 37"}),
        ([0, 37, 101, 106, 207], {}),
    ],
)
def test_wrong_offsets_are_faults_of_their_utterances(
    tmp_path: Path, offsets: list[int], faulty: dict[int, str]
) -> None:
    make_ragged(tmp_path / "s", some_mels(), offsets=offsets)
    listed = open_store(str(tmp_path / "s")).catalogue()
    assert set(listed.faults) == set(faulty)
    for index, reason in faulty.items():
        assert reason in listed.faults[index]
        assert listed[index].frames == 0


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_document_that_is_being_written_fails_only_its_utterance(
    tmp_path: Path, zarr_format: int, content: bytes
) -> None:
    make_grouped(tmp_path / "s", some_mels(), zarr_format=zarr_format)
    (tmp_path / "s" / "b" / "c" / (".zarray" if zarr_format == 2 else "zarr.json")).write_bytes(content)
    found = open_store(str(tmp_path / "s"), mel=SPEC).catalogue()
    assert [str(found.keys[index]) for index in found.faults] == ["b/c"]
    assert len(found) == len(some_mels())


def test_lengths_that_cannot_be_are_faults_of_their_items(tmp_path: Path) -> None:
    make_padded(tmp_path / "s", some_mels(), lengths=[37, 0, 102, -1])
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    faults = store.catalogue().faults
    assert set(faults) == {1, 2, 3}
    assert "its length is 102, but the array holds 101 frames (lengths[2])" in faults[2]
    with pytest.raises(BadMelError, match="no frames"):
        store.read(store.catalogue()[1])


def test_arrays_that_are_no_mels_of_the_store_are_faults_or_named(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels())
    group = zarr.open_group(str(tmp_path / "s"), mode="r+")
    group.create_array("wide", data=np.zeros((33, 40), "f4"))
    group.create_array("whole", data=np.zeros((N_MELS, 40), "i2"))
    group.create_array("batch", data=np.zeros((2, N_MELS, 40), "f4"))
    group.create_array("none", data=np.zeros((N_MELS, 0), "f4"))
    group.create_array("turned", data=np.zeros((40, N_MELS), "f4"))
    group.create_array("pitch", data=np.zeros(40, "f4"))
    store = open_store(str(tmp_path / "s"), mel=SPEC, layout="grouped")
    listed = store.catalogue()
    faults = {listed[index].key: reason for index, reason in listed.faults.items()}
    assert set(faults) == {"wide", "whole", "batch", "none", "turned"}
    assert "[33, 40]" in faults["wide"]
    assert "20 bands" in faults["wide"]
    assert "other way round" in faults["turned"]
    assert "1 other arrays, not mels: pitch" in store.describe()
    assert len(listed) == 9


@pytest.mark.parametrize("layout", ["ragged", "padded"])
def test_every_occurrence_of_a_duplicate_key_is_a_fault(tmp_path: Path, layout: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels(), keys=["x", "y", "", "x"])
    faults = open_store(str(tmp_path / "s"), mel=SPEC).catalogue().faults
    assert set(faults) == {0, 2, 3}
    assert faults[0] == faults[3] == "key 'x' occurs 2 times: items 0 and 3"
    assert "empty" in faults[2]


@pytest.mark.parametrize("text", ["[1]", "{", '"x"'])
def test_meta_that_is_no_object_fails_its_utterance(tmp_path: Path, text: str) -> None:
    make_ragged(tmp_path / "s", some_mels(), meta=["", text, "{}", '{"a": 1}'])
    store = open_store(str(tmp_path / "s"))
    listed = store.catalogue()
    assert store.meta(listed[0]) == {}
    assert store.meta(listed[3]) == {"a": 1}
    with pytest.raises(UtteranceError, match=r"meta\[1\]"):
        store.meta(listed[1])


def test_a_text_that_changes_beside_damaged_ones_is_noticed(tmp_path: Path) -> None:
    url, digests = tmp_path / "s", []
    for last in ("same", "same", "other"):
        shutil.rmtree(url, ignore_errors=True)
        make_ragged(url, some_mels())
        group = zarr.open_group(str(url), mode="r+")
        texts = group.create_array("meta", shape=(4,), chunks=(2,), dtype=str)
        texts[...] = np.array(["{}", "{}", "{}", json.dumps({"text": last})], np.dtypes.StringDType())
        (url / "meta" / "c" / "0").write_bytes(b"damaged")
        store = open_store(str(url))
        digests.append(store.meta_digest())
        assert list(store.meta_texts())[2:] == ["{}", json.dumps({"text": last})]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("layout", ["grouped", "padded"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_rewritten_chunk_changes_the_digest_of_what_lies_in_it(tmp_path: Path, layout: str, zarr_format: int) -> None:
    MAKERS[layout](tmp_path / "s", some_mels(), zarr_format=zarr_format)
    before = {u.key: u.digest for u in open_store(str(tmp_path / "s"), mel=SPEC).catalogue()}
    assert len(set(before.values())) == 4
    again = {u.key: u.digest for u in open_store(str(tmp_path / "s"), mel=SPEC).catalogue()}
    assert again == before
    group = zarr.open_group(str(tmp_path / "s"), mode="r+", zarr_format=zarr_format)  # type: ignore[arg-type]
    array: Any = group["d" if layout == "grouped" else "mel"]
    array[..., :3] = np.float32(-5) if layout == "grouped" else array[..., :3]
    after = {u.key: u.digest for u in open_store(str(tmp_path / "s"), mel=SPEC).catalogue()}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == ({"d"} if layout == "grouped" else set(before))


@settings(max_examples=40)
@given(
    keys=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
        | st.sampled_from(["..", "a/b", "/", "a/../../b", "\0", "\n", "x" * 300, "ключ", "𝔘", " ", "é", "é"]),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_any_key_survives_a_ragged_store(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    path = tmp_path_factory.mktemp("keys") / "s"
    make_ragged(path, {key: random_mel(3, index) for index, key in enumerate(keys)})
    store = open_store(str(path))
    listed = store.catalogue()
    assert [u.key for u in listed] == keys
    assert not listed.faults
    np.testing.assert_array_equal(store.read(listed[len(keys) - 1]), random_mel(3, len(keys) - 1))
