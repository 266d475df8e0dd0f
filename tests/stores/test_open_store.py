"""What open_store recognizes, and what it refuses to guess."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from support.making import (
    LENGTHS,
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

from pipeline.errors import ConfigError, ContractError, StoreError
from pipeline.stores import MelStore, open_store


def matrix() -> list[Any]:
    cases = []
    for layout in MAKERS:
        for zarr_format in (2, 3):
            for frames_first in (False, True) if layout != "ragged" else (True,):
                for shards in (False, True) if zarr_format == 3 else (False,):
                    for dtype in ("float16", "float32", "float64"):
                        options = {"zarr_format": zarr_format, "shards": shards, "dtype": dtype}
                        if layout != "ragged":
                            options["frames_first"] = frames_first
                        cases.append(pytest.param(layout, options, id="-".join(map(str, [layout, *options.values()]))))
    return cases


def check_whole(store: MelStore) -> None:
    mels = some_mels()
    catalogue = store.catalogue()
    assert not catalogue.faults
    assert {u.key: u.frames for u in catalogue} == LENGTHS
    for utterance in catalogue:
        whole = store.read(utterance)
        assert whole.dtype == np.float32
        assert whole.flags.c_contiguous
        np.testing.assert_array_equal(whole, mels[utterance.key])
        np.testing.assert_array_equal(store.read(utterance, 2, 5), mels[utterance.key][:, 2:5])
        assert len(utterance.digest) == 32


@pytest.mark.parametrize(("layout", "options"), matrix())
def test_every_layout_reads_back_what_was_written(tmp_path: Path, layout: str, options: dict[str, Any]) -> None:
    MAKERS[layout](tmp_path / "s.zarr", some_mels(), **options)
    store = open_store(str(tmp_path / "s.zarr"), mel=SPEC)
    assert (store.layout, store.zarr_format, store.n_mels) == (layout, options["zarr_format"], N_MELS)
    assert layout in store.describe()
    assert options["dtype"] in store.describe()
    check_whole(store)


@pytest.mark.parametrize("layout", MAKERS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_any_fsspec_url_opens(tmp_path: Path, layout: str, zarr_format: int) -> None:
    memory = f"memory://{layout}{zarr_format}.zarr"
    MAKERS[layout](memory, some_mels(), zarr_format=zarr_format)
    check_whole(open_store(memory, mel=SPEC))
    MAKERS[layout](tmp_path / "s.zarr", some_mels(), zarr_format=zarr_format)
    check_whole(open_store(f"file://{tmp_path}/s.zarr", mel=SPEC))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in sorted((tmp_path / "s.zarr").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path / "s.zarr"))
    check_whole(open_store(f"zip://::{tmp_path}/s.zip", mel=SPEC))
    fsspec.filesystem("memory").rm(memory, recursive=True)


def test_an_archive_that_is_not_there_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.zip.*is not there; check the path"):
        open_store(f"zip://::{tmp_path}/gone.zip")
    (tmp_path / "no.zip").write_bytes(b"no archive")
    with pytest.raises(StoreError, match=r"no\.zip is not a zip archive, or is cut off; copy it again"):
        open_store(f"zip://::{tmp_path}/no.zip")


def test_opening_a_store_writes_nothing(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    check_whole(open_store(str(tmp_path / "s"), mel=SPEC))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_that_consolidated_metadata_missed_are_listed_all_the_same(tmp_path: Path, zarr_format: int) -> None:
    make_grouped(tmp_path / "s", some_mels(), zarr_format)
    zarr.consolidate_metadata(str(tmp_path / "s"), zarr_format=zarr_format)  # type: ignore[arg-type]
    check_whole(open_store(str(tmp_path / "s"), mel=SPEC))
    group = zarr.open_group(str(tmp_path / "s"), mode="r+", zarr_format=zarr_format, use_consolidated=False)  # type: ignore[arg-type]
    group.create_array("late", data=random_mel(9))
    assert "late" in set(open_store(str(tmp_path / "s"), mel=SPEC).catalogue().keys)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("names", [("mel", "time"), ("n_mels", "frames"), ("Freq", "anything"), ("channel", "T")])
def test_dimension_names_tell_the_mel_axis_without_a_contract(
    tmp_path: Path, zarr_format: int, names: tuple[str, str]
) -> None:
    make_grouped(tmp_path / "g", {"square": random_mel(N_MELS)}, zarr_format, names=names)
    store = open_store(str(tmp_path / "g"))
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), random_mel(N_MELS))
    make_grouped(tmp_path / "t", {"square": random_mel(N_MELS)}, zarr_format, frames_first=True, names=names[::-1])
    store = open_store(str(tmp_path / "t"))
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), random_mel(N_MELS))
    make_padded(tmp_path / "p", {"square": random_mel(N_MELS)}, zarr_format, names=("utterance", *names))
    store = open_store(str(tmp_path / "p"))
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), random_mel(N_MELS))


@pytest.mark.parametrize("layout", ["grouped", "padded"])
def test_a_mel_axis_that_nothing_tells_is_asked_for(tmp_path: Path, layout: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels())
    with pytest.raises(StoreError, match="nothing says which axis"):
        open_store(str(tmp_path / "s"))


@pytest.mark.parametrize("layout", ["grouped", "padded"])
def test_a_mel_that_both_axes_fit_is_asked_about(tmp_path: Path, layout: str) -> None:
    MAKERS[layout](tmp_path / "s", {"square": random_mel(N_MELS)})
    with pytest.raises(StoreError, match=r"both axes.*name"):
        open_store(str(tmp_path / "s"), mel=SPEC)


@pytest.mark.parametrize("frames_first", [False, True])
def test_a_square_mel_takes_the_order_of_the_others(tmp_path: Path, frames_first: bool) -> None:
    mels = {"a_square": random_mel(N_MELS, 1), "b": random_mel(30), "c": random_mel(40)}
    make_grouped(tmp_path / "s", mels, frames_first=frames_first)
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), mels["a_square"])


@pytest.mark.parametrize("layout", ["grouped", "padded"])
@pytest.mark.parametrize("named", [False, True])
def test_a_store_of_another_width_is_refused_with_both_numbers(tmp_path: Path, layout: str, named: bool) -> None:
    names: tuple[str, ...] | None = None
    if named:
        names = ("mel", "time") if layout == "grouped" else ("item", "mel", "time")
    MAKERS[layout](tmp_path / "s", {"a": np.zeros((33, 50)), "b": np.zeros((33, 70))}, names=names)
    with pytest.raises(ContractError, match=r"33.*20"):
        open_store(str(tmp_path / "s"), mel=SPEC)


@pytest.mark.parametrize("attributes", [{"melmill": {"mel": SPEC.to_dict()}}, {"mel": "hifigan-22k"}])
def test_the_contract_in_the_root_attributes_is_taken(tmp_path: Path, attributes: dict[str, Any]) -> None:
    make_grouped(tmp_path / "s", {"a": np.zeros((20, 31)), "b": np.zeros((80, 31))})
    zarr.open_group(str(tmp_path / "s"), mode="r+").attrs.update(attributes)
    store = open_store(str(tmp_path / "s"))
    assert store.spec is not None
    assert store.n_mels == store.spec.n_mels
    assert [u.frames for u in store.catalogue()].count(31) == 1


def test_a_store_without_a_contract_states_none(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", some_mels())
    assert open_store(str(tmp_path / "s"), mel=SPEC).spec is None


def test_meta_is_passed_through_from_every_layout(tmp_path: Path) -> None:
    mels = some_mels()
    make_ragged(tmp_path / "r", mels, meta=[json.dumps({"text": key}) for key in mels])
    ragged = open_store(str(tmp_path / "r"))
    make_grouped(tmp_path / "g", mels)
    for key in mels:
        zarr.open_array(str(tmp_path / "g"), path=key, mode="r+").attrs["text"] = key
    grouped = open_store(str(tmp_path / "g"), mel=SPEC)
    make_padded(tmp_path / "p", mels)
    told = zarr.open_group(str(tmp_path / "p"), mode="r+").create_array("text", shape=(len(mels),), dtype=str)
    told[...] = np.array(list(mels), np.dtypes.StringDType())
    padded = open_store(str(tmp_path / "p"), mel=SPEC)
    for store in (ragged, grouped, padded):
        assert [store.meta(u) for u in store.catalogue()] == [{"text": u.key} for u in store.catalogue()]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_numbers_of_the_items_of_a_padded_store_are_metadata(tmp_path: Path, zarr_format: int) -> None:
    mels = {key: random_mel(5) for key in "abc"}
    make_padded(tmp_path / "p", mels, zarr_format)
    group = zarr.open_group(tmp_path / "p", mode="r+")
    columns = {
        "speaker_id": np.zeros(3, np.int16),  # zarr leaves out chunks of nothing but the fill value
        "snr": np.array([0.1, np.nan, np.inf], np.float32),
        "gain": np.array([0.1, 0.2, 1e300]),
        "clean": np.array([True, False, True]),
        "large": np.array([0, 1, 2**64 - 1], np.uint64),
    }
    for name, values in columns.items():
        group.create_array(name, data=values)
    group.create_array("embedding", data=np.ones((3, 4), np.float32))
    store = open_store(str(tmp_path / "p"), mel=SPEC)
    catalogue = store.catalogue()
    expected = [
        {"speaker_id": 0, "snr": 0.1, "gain": 0.1, "clean": True, "large": 0},
        {"speaker_id": 0, "gain": 0.2, "clean": False, "large": 1},
        {"speaker_id": 0, "gain": 1e300, "clean": True, "large": 2**64 - 1},
    ]
    assert [store.meta(each) for each in catalogue] == expected
    assert [json.loads(text) for text in store.meta_texts()] == expected
    assert [type(value) for value in store.meta(catalogue[0]).values()].count(bool) == 1
    metadata = store.describe().partition("metadata from ")[2]
    assert set(metadata.partition(", without ")[0].split(", ")) == set(columns)
    assert metadata.endswith(", without embedding [3, 4] float32")
    before = store.meta_digest()
    group["snr"][0] = 0.2
    assert open_store(str(tmp_path / "p"), mel=SPEC).meta_digest() != before
    (chunk,) = [path for path in (tmp_path / "p/snr").rglob("*") if path.is_file() and path.name in ("0", "0.0")]
    chunk.write_bytes(b"not a chunk")
    damaged = open_store(str(tmp_path / "p"), mel=SPEC)
    assert [store.keys() for store in map(damaged.meta, catalogue)] == [columns.keys() - {"snr"}] * 3
    assert "without embedding [3, 4] float32, snr (array snr of" in damaged.describe()


def test_a_padded_store_without_keys_numbers_its_items(tmp_path: Path) -> None:
    make_padded(tmp_path / "s", some_mels())
    del zarr.open_group(str(tmp_path / "s"), mode="r+")["keys"]
    assert list(open_store(str(tmp_path / "s"), mel=SPEC).catalogue().keys) == ["000000", "000001", "000002", "000003"]


def test_chunk_bytes_counts_each_touched_chunk_once(tmp_path: Path) -> None:
    make_ragged(tmp_path / "r", some_mels())  # rows 0..37..101..106..207 in chunks of 16
    store = open_store(str(tmp_path / "r"))
    listed = store.catalogue()
    chunk = 16 * N_MELS * 4
    assert store.chunk_bytes(listed[0], listed[0]) == 3 * chunk
    assert store.chunk_bytes(listed[0], listed[3]) == 13 * chunk
    make_grouped(tmp_path / "g", some_mels())  # sorted: a 37, b/c 64, d 101, ünï 5
    store = open_store(str(tmp_path / "g"), mel=SPEC)
    listed = store.catalogue()
    assert store.chunk_bytes(listed[0], listed[2]) == (3 + 4 + 7) * chunk
    make_padded(tmp_path / "p", some_mels())  # items in pairs: 37 and 64, 5 and 101
    store = open_store(str(tmp_path / "p"), mel=SPEC)
    listed = store.catalogue()
    assert store.chunk_bytes(listed[0], listed[1]) == 4 * 2 * chunk
    assert store.chunk_bytes(listed[0], listed[3]) == (4 + 7) * 2 * chunk


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no Zarr group"),
        (lambda path: path.mkdir(), "no Zarr group"),
        (lambda path: open_group(path, 3), "no array of two dimensions"),
        (lambda path: zarr.create_array(str(path), data=np.zeros((20, 30), "f4")), "single Zarr array"),
        (lambda path: make_grouped(path, {"a": np.zeros((20, 30))}, dtype="int16"), "floating"),
        (lambda path: make_padded(path, {"a": np.zeros((20, 30))}, dtype="int16"), "int16"),
        (lambda path: make_ragged(path, some_mels(), attributes={"layout": "ragged", "version": 2}), "no mel contract"),
        (
            lambda path: make_ragged(path, some_mels(), attributes={"version": 9, "mel": SPEC.to_dict()}),
            "version 9.*reads 1",
        ),
        (lambda path: make_ragged(path, some_mels(), attributes={"layout": "heap"}), "layout 'heap'"),
        (lambda path: make_ragged(path, some_mels(), offsets=[0, 1, 2]), "do not belong together"),
        (lambda path: drop(path, "digests"), "without the array 'digests'"),
        (lambda path: drop_lengths(path), "no array of 4 whole numbers"),
    ],
)
def test_what_is_no_store_is_refused_in_words(tmp_path: Path, make: Any, reason: str) -> None:
    make(tmp_path / "s")
    with pytest.raises(StoreError, match=reason):
        open_store(str(tmp_path / "s"), mel=SPEC)


def drop(path: Path, name: str) -> None:
    make_ragged(path, some_mels())
    del zarr.open_group(str(path), mode="r+")[name]


def drop_lengths(path: Path) -> None:
    make_padded(path, some_mels())
    del zarr.open_group(str(path), mode="r+")["lengths"]


def test_an_unknown_protocol_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        open_store("nosuch://bucket/mels.zarr")


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="heap"):
        open_store(str(tmp_path), layout="heap")  # type: ignore[arg-type]


def test_a_consolidated_path_cannot_leave_the_store(tmp_path: Path) -> None:
    make_grouped(tmp_path / "secret", {"a": random_mel(30)}, 2)
    make_grouped(tmp_path / "s", {"a": random_mel(30)}, 2)
    outside = json.loads((tmp_path / "secret" / "a" / ".zarray").read_text())
    consolidated = {"metadata": {".zgroup": {"zarr_format": 2}, "../secret/a/.zarray": outside}}
    (tmp_path / "s" / ".zmetadata").write_text(json.dumps(consolidated))
    with pytest.raises(StoreError, match="outside the store"):
        open_store(str(tmp_path / "s"), mel=SPEC)
