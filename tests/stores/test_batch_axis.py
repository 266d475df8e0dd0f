"""Mels with an axis of length 1, as models take it: [1, n_mels, T] in a grouped store, [N, 1, n_mels, T] if padded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from support.corpora import rows
from support.making import LENGTHS, N_MELS, SPEC, make_ragged, open_group, some_mels
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import BadMelError, MissingChunkError, StoreError
from pipeline.stores import open_store

CASES = [
    (layout, zarr_format, frames_first, shards, separator)
    for layout in ("grouped", "padded")
    for zarr_format in (2, 3)
    for frames_first in (False, True)
    for shards in (False, True)[: zarr_format - 1]
    for separator in "./"
]


def write(group: zarr.Group, name: str, values: NDArray[Any], frames_first: bool, shards: bool, separator: str) -> None:
    """An array of mels `[..., n_mels, frames]` in chunks of 16 frames."""
    values = np.ascontiguousarray(np.moveaxis(values, -1, -2) if frames_first else values)
    sides = (16, N_MELS) if frames_first else (N_MELS, 16)
    chunks = (1,) * (values.ndim - 2) + sides
    more: dict[str, Any] = {"shards": tuple(4 * size if size == 16 else size for size in chunks)} if shards else {}
    name_of_encoding = "v2" if group.metadata.zarr_format == 2 else "default"
    encoding: Any = {"name": name_of_encoding, "separator": separator}
    array = group.create_array(
        name, shape=values.shape, chunks=chunks, dtype="float32", chunk_key_encoding=encoding, **more
    )
    array[...] = values


def make(
    folder: Path, layout: str, zarr_format: int, frames_first: bool = False, shards: bool = False, separator: str = "/"
) -> None:
    group = open_group(folder, zarr_format)
    group.attrs["melmill"] = {"mel": SPEC.to_dict()}
    mels = some_mels()
    if layout == "grouped":
        for key, mel in mels.items():
            write(group, key, mel[None], frames_first, shards, separator)
        return
    longest = max(LENGTHS.values())
    padded = np.stack([np.pad(mel, ((0, 0), (0, longest - mel.shape[1]))) for mel in mels.values()])
    write(group, "mel", padded[:, None], frames_first, shards, separator)
    group.create_array("lengths", data=np.array(list(LENGTHS.values())))
    keys = group.create_array("keys", shape=(len(mels),), dtype=str)
    keys[...] = np.array(list(mels), np.dtypes.StringDType())


@pytest.mark.parametrize(("layout", "zarr_format", "frames_first", "shards", "separator"), CASES)
def test_an_axis_of_length_1_is_taken(
    tmp_path: Path, layout: str, zarr_format: int, frames_first: bool, shards: bool, separator: str
) -> None:
    make(tmp_path / "s", layout, zarr_format, frames_first, shards, separator)
    store = open_store(str(tmp_path / "s"))
    assert store.layout == layout
    listed = store.catalogue()
    assert ({each.key: each.frames for each in listed}, listed.faults) == (LENGTHS, {})
    for utterance in listed:
        np.testing.assert_array_equal(store.read(utterance), some_mels()[utterance.key])
        np.testing.assert_array_equal(store.read(utterance, 1, 4), some_mels()[utterance.key][:, 1:4])


@pytest.mark.parametrize(("zarr_format", "name"), [(2, "b/c/0/0/3"), (3, "b/c/c/0/0/3")])
def test_a_missing_chunk_and_lost_metadata_are_named(tmp_path: Path, zarr_format: int, name: str) -> None:
    make(tmp_path / "s", "grouped", zarr_format)
    (tmp_path / "s" / name).unlink()
    (tmp_path / "s/a" / (".zarray" if zarr_format == 2 else "zarr.json")).unlink()
    store = open_store(str(tmp_path / "s"))
    listed = store.catalogue()
    faults = {listed[index].key: reason for index, reason in listed.faults.items()}
    assert len(faults) == 1
    assert "has chunks but no metadata" in next(reason for key, reason in faults.items() if key.startswith("a"))
    with pytest.raises(MissingChunkError, match=f"chunk {name} of .* is missing"):
        store.read({each.key: each for each in listed}["b/c"])
    report = json.loads(called("inspect", tmp_path / "s", "--json", code=3))
    assert (report["missing"], report["missing_chunks"]) == ([f"chunk {name}"], 1)


def test_a_bad_value_is_named_with_its_place_in_the_array(tmp_path: Path) -> None:
    make(tmp_path / "s", "grouped", 3)
    array: Any = zarr.open_group(str(tmp_path / "s"), mode="r+")["d"]
    array[0, 3, 41] = np.nan
    store = open_store(str(tmp_path / "s"))
    with pytest.raises(BadMelError, match=r"NaN in frame 41 \(d\[0, 3, 41\] of"):
        store.read({each.key: each for each in store.catalogue()}["d"])


def test_dimension_names_tell_the_mel_axis(tmp_path: Path) -> None:
    square = np.random.default_rng(0).uniform(-9, 0, (1, N_MELS, N_MELS)).astype("f4")
    group = open_group(tmp_path / "s", 3)
    group.create_array("a", data=square, dimension_names=("batch", "time", "mel"))
    store = open_store(str(tmp_path / "s"))
    np.testing.assert_array_equal(store.read(store.catalogue()[0]), square[0].T)


def test_one_item_with_a_length_is_padded_and_one_without_is_a_mel(tmp_path: Path) -> None:
    for name, lengths in (("padded", [30]), ("grouped", None)):
        group = open_group(tmp_path / name, 3)
        group.create_array("mel", data=np.full((1, N_MELS, 50), -5, "f4"))
        if lengths:
            group.create_array("lengths", data=np.array(lengths))
        store = open_store(str(tmp_path / name), mel=SPEC)
        assert (store.layout, store.catalogue()[0].frames) == (name, 30 if lengths else 50)


def test_several_mels_in_one_array_of_a_grouped_store_are_a_fault(tmp_path: Path) -> None:
    make(tmp_path / "s", "grouped", 3)
    group = zarr.open_group(str(tmp_path / "s"), mode="r+")
    group.create_array("batch", data=np.zeros((2, N_MELS, 40), "f4"))
    listed = open_store(str(tmp_path / "s"), layout="grouped").catalogue()
    assert [listed[index].key for index in listed.faults] == ["batch"]
    assert (
        "batch is float32 [2, 20, 40]; a mel has floating-point values and 2 axes, besides those of length 1"
        in next(iter(listed.faults.values()))
    )


def test_a_ragged_store_has_no_batch_axis(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    group = zarr.open_group(str(tmp_path / "s"), mode="r+")
    group.create_array("mel", data=np.zeros((1, 207, N_MELS), "f4"), overwrite=True)
    with pytest.raises(StoreError, match=r"'mel' is float32 with 3 dimensions; .* must be float with 2"):
        open_store(str(tmp_path / "s"))


def called(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", ["grouped", "padded"])
def test_run_inspect_and_pack_take_them(tmp_path: Path, layout: str, zarr_format: int) -> None:
    store, out = tmp_path / "s", tmp_path / "out"
    make(store, layout, zarr_format)
    assert json.loads(called("inspect", store, "--json"))["frames"] == sum(LENGTHS.values())
    called("run", "--store", store, "--out", out, "--vocoder", "griffin-lim", "--scheduler", "synchronous",
           "--set", "input.check_values=false")  # fmt: skip
    assert {row["key"]: row["num_samples"] // 256 for row in rows(out)} == LENGTHS
    called("pack", store, tmp_path / "packed.zarr", "--workers", 1)
    packed = open_store(str(tmp_path / "packed.zarr"))
    for utterance in packed.catalogue():
        np.testing.assert_array_equal(packed.read(utterance), some_mels()[utterance.key])


Shape = Callable[[NDArray[Any]], NDArray[Any]]
GROUPED: dict[str, Shape] = {
    "[n_mels, T, 1]": lambda mel: mel[..., None],
    "[n_mels, 1, T]": lambda mel: mel[:, None],
    "[T, 1, n_mels]": lambda mel: mel.T[:, None],
    "[1, 1, T, n_mels]": lambda mel: mel.T[None, None],
    "[1, n_mels, 1, T, 1]": lambda mel: mel[None, :, None, :, None],
}
PADDED: dict[str, Shape] = {
    "[N, n_mels, T, 1]": lambda mels: mels[..., None],
    "[N, n_mels, 1, T]": lambda mels: mels[:, :, None],
    "[1, N, n_mels, T]": lambda mels: mels[None],
    "[1, N, T, n_mels]": lambda mels: mels.swapaxes(1, 2)[None],
    "[1, N, 1, n_mels, 1, T]": lambda mels: mels[None, :, None, :, None],
}


def in_chunks(group: zarr.Group, name: str, values: NDArray[Any], zarr_format: int) -> None:
    chunks = tuple(min(size, 16) for size in values.shape)
    shards: dict[str, Any] = {"shards": tuple(2 * size for size in chunks)} if zarr_format == 3 else {}
    group.create_array(name, shape=values.shape, chunks=chunks, dtype="float32", **shards)[...] = values


def assert_read_everywhere(store: Path, tmp_path: Path, layout: str, mels: dict[str, NDArray[Any]]) -> None:
    opened = open_store(str(store))
    assert opened.layout == layout
    listed = opened.catalogue()
    assert ({each.key: each.frames for each in listed}, listed.faults) == ({k: m.shape[1] for k, m in mels.items()}, {})
    for utterance in listed:
        np.testing.assert_array_equal(opened.read(utterance), mels[utterance.key])
        np.testing.assert_array_equal(opened.read(utterance, 1, 4), mels[utterance.key][:, 1:4])
    report = json.loads(called("inspect", store, "--json"))
    assert (report["frames"], report["missing_chunks"]) == (sum(mel.shape[1] for mel in mels.values()), 0)
    called("pack", store, tmp_path / "packed.zarr", "--workers", 1)
    packed = open_store(str(tmp_path / "packed.zarr"))
    for utterance in packed.catalogue():
        np.testing.assert_array_equal(packed.read(utterance), mels[utterance.key])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shape", GROUPED)
def test_axes_of_length_1_may_be_anywhere_in_a_grouped_store(tmp_path: Path, shape: str, zarr_format: int) -> None:
    group = open_group(tmp_path / "s", zarr_format)
    group.attrs["melmill"] = {"mel": SPEC.to_dict()}
    for key, mel in some_mels().items():
        in_chunks(group, key, GROUPED[shape](mel), zarr_format)
    assert_read_everywhere(tmp_path / "s", tmp_path, "grouped", some_mels())


@pytest.mark.parametrize("count", [1, len(LENGTHS)])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shape", PADDED)
def test_axes_of_length_1_may_be_anywhere_in_a_padded_store(
    tmp_path: Path, shape: str, zarr_format: int, count: int
) -> None:
    group = open_group(tmp_path / "s", zarr_format)
    group.attrs["melmill"] = {"mel": SPEC.to_dict()}
    mels = dict(list(some_mels().items())[:count])
    longest = max(mel.shape[1] for mel in mels.values()) + 20  # the last chunk is padding alone
    stacked = np.stack([np.pad(mel, ((0, 0), (0, longest - mel.shape[1]))) for mel in mels.values()])
    in_chunks(group, "mel", PADDED[shape](stacked), zarr_format)
    group.create_array("lengths", data=np.array([mel.shape[1] for mel in mels.values()]))
    keys = group.create_array("keys", shape=(count,), dtype=str)
    keys[...] = np.array(list(mels), np.dtypes.StringDType())
    assert_read_everywhere(tmp_path / "s", tmp_path, "padded", mels)


@pytest.mark.parametrize("shape", [(2, 3, N_MELS, 40), (1, 2, 3, N_MELS, 40)])
def test_other_shapes_are_named_with_the_way_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    group = open_group(tmp_path / "s", 3)
    group.create_array("mel", data=np.full(shape, -5, "f4"))
    with pytest.raises(StoreError) as error:
        open_store(str(tmp_path / "s"), mel=SPEC)
    assert f"(mel is float32 {list(shape)}); write each mel as an array of its own, or" in str(error.value)
    with pytest.raises(StoreError) as error:
        open_store(str(tmp_path / "s"), "padded", mel=SPEC)
    assert f"its arrays are mel {list(shape)}" in str(error.value)
