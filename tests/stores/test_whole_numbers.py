"""Lengths and offsets as floating-point values, which xarray and pandas make of whole numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import rows
from support.making import LENGTHS, SPEC, make_padded, make_ragged, some_mels
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import StoreError
from pipeline.stores import MelStore, open_store

FLOATS = ("float16", "float32", "float64")


def rewritten(folder: Path, layout: str, zarr_format: int, values: list[float], dtype: str) -> MelStore:
    """A store whose lengths or offsets are these."""
    (make_padded if layout == "padded" else make_ragged)(folder, some_mels(), zarr_format=zarr_format)
    group = zarr.open_group(str(folder), mode="r+")
    name = "lengths" if layout == "padded" else "offsets"
    group.create_array(name, data=np.array(values, dtype), overwrite=True, config={"write_empty_chunks": True})
    return open_store(str(folder), mel=SPEC)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", ["padded", "ragged"])
def test_whole_floats_are_taken(tmp_path: Path, layout: str, zarr_format: int, dtype: str) -> None:
    values = list(LENGTHS.values()) if layout == "padded" else [0, *np.cumsum(list(LENGTHS.values()))]
    store = rewritten(tmp_path / "s", layout, zarr_format, values, dtype)
    listed = store.catalogue()
    assert not listed.faults
    for utterance in listed:
        np.testing.assert_array_equal(store.read(utterance), some_mels()[utterance.key])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("layout", "values"), [("padded", [37.0, 64.5, 4.5, 101.5]), ("ragged", [0, 37.5, 101.25, 106.5, 207])]
)
def test_fractions_refuse_the_array(tmp_path: Path, layout: str, zarr_format: int, values: list[float]) -> None:
    name = "lengths" if layout == "padded" else "offsets"
    with pytest.raises(StoreError, match=rf"{name} is float64, and {name}\[1\] is {values[1]}, which is not a whole"):
        rewritten(tmp_path / "s", layout, zarr_format, values, "float64").catalogue()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("value", "dtype", "reason"),
    [
        (np.nan, "float64", r"lengths[1] is nan (float64), not a number"),
        (230.5, "float64", r"lengths[1] is 230.5 (float64), not a whole number"),
        (np.inf, "float32", r"lengths[1] is inf (float32), and float32 holds whole numbers only below 16777216"),
        (2.0**53, "float64", r"and float64 holds whole numbers only below 9007199254740992"),
        (2050, "float16", r"lengths[1] is 2050.0 (float16), and float16 holds whole numbers only below 2048"),
        (-3, "float64", r"its length is -3, but the array holds 101 frames (lengths[1])"),
        (102, "float64", r"its length is 102, but the array holds 101 frames (lengths[1])"),
    ],
)
def test_a_length_that_is_none_is_a_fault_of_its_item(
    tmp_path: Path, zarr_format: int, value: float, dtype: str, reason: str
) -> None:
    store = rewritten(tmp_path / "s", "padded", zarr_format, [37, value, 5, 101], dtype)
    listed = store.catalogue()
    assert list(listed.faults) == [1]
    assert reason in listed.faults[1]
    np.testing.assert_array_equal(store.read(listed[3]), some_mels()["d"])


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60])
def test_an_offset_that_is_none_refuses_the_store(tmp_path: Path, value: float) -> None:
    with pytest.raises(StoreError, match=r"offsets\[2\] is .* \(float64\)"):
        rewritten(tmp_path / "s", "ragged", 3, [0, 37, value, 106, 207], "float64").catalogue()


def test_a_missing_chunk_of_float_lengths_is_noticed(tmp_path: Path) -> None:
    rewritten(tmp_path / "s", "padded", 3, [37, np.nan, 5, 101], "float64")
    (tmp_path / "s/lengths/c/0").unlink()
    with pytest.raises(StoreError, match="has no chunk for item 0"):
        open_store(str(tmp_path / "s"), mel=SPEC).catalogue()


@pytest.mark.parametrize(
    ("zarr_format", "values", "told"),
    [
        (2, np.array(["37", "64", "5", "101"]), "lengths is str96 [4]"),
        (2, np.array([37, 64, 5, 101], "m8[s]"), "lengths is <m8[s] [4]"),
        (3, np.array([37, 64, 5, 101], "c8"), "lengths is complex64 [4]"),
        (3, np.zeros((4, 2), "i4"), "lengths is int32 [4, 2]"),
    ],
)
def test_lengths_of_another_kind_are_named(tmp_path: Path, zarr_format: int, values: Any, told: str) -> None:
    make_padded(tmp_path / "s", some_mels(), zarr_format=zarr_format)
    zarr.open_group(str(tmp_path / "s"), mode="r+").create_array("lengths", data=values, overwrite=True)
    with pytest.raises(StoreError) as raised:
        open_store(str(tmp_path / "s"), layout="padded", mel=SPEC)
    assert told in str(raised.value)


@pytest.mark.parametrize("layout", ["padded", "ragged"])
def test_run_and_inspect_take_them(tmp_path: Path, layout: str) -> None:
    values = list(LENGTHS.values()) if layout == "padded" else [0, *np.cumsum(list(LENGTHS.values()))]
    rewritten(tmp_path / "s", layout, 3, values, "float64")
    contract = tmp_path / "contract.yaml"
    contract.write_text(json.dumps(SPEC.to_dict()))
    known = [] if layout == "ragged" else ["--mel", str(contract)]
    seen = CliRunner().invoke(app, ["inspect", str(tmp_path / "s"), "--json", *known])
    assert json.loads(seen.output)["frames"] == sum(LENGTHS.values()), seen.output
    if layout == "ragged":  # whose digests are made up, so that nothing would be made
        return
    given = json.dumps(SPEC.to_dict())
    done = CliRunner().invoke(
        app,
        ["run", "--store", str(tmp_path / "s"), "--out", str(tmp_path / "out"), "--vocoder", "griffin-lim",
         "--scheduler", "synchronous", "--set", "input.check_values=false", "--set", f"input.mel={given}"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert {row["key"]: row["num_samples"] // 256 for row in rows(tmp_path / "out")} == LENGTHS
