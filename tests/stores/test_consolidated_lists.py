"""Consolidated metadata that is older than the arrays: their own metadata counts, for each kind of change, layout and
version of Zarr; on a disk, and in an object store whose listing gives MD5s."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from support.corpora import rows
from support.counted_files import Counted, fresh_counted
from support.making import MAKERS, SPEC, Mels, random_mel, some_mels
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import StoreError
from pipeline.stores import open_store
from pipeline.stores.digests import MelDigest

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")
LAYOUTS = [(layout, zarr_format) for layout in MAKERS for zarr_format in (2, 3)]


def changed(kind: str, layout: str) -> tuple[Mels, dict[str, Any]]:
    """The mels and the maker's options after a change of `some_mels()`."""
    mels: Mels = some_mels()
    options: dict[str, Any] = {}
    match kind:
        case "nothing":
            pass
        case "longer":
            mels["d"] = random_mel(170, 7)
        case "longer in its last chunk":
            mels["d"] = np.concatenate([mels["d"], random_mel(3, 7)], axis=1)
        case "shorter":
            mels["d"] = mels["d"][:, :70]
        case "shorter in its last chunk":
            mels["d"] = mels["d"][:, :98]
        case "other dtype":
            options = {"dtype": "float16"}
        case "other codecs":
            options = {"compressors": None}
        case "frames first":
            options = {"frames_first": True}
        case "appended":
            mels["e"] = random_mel(33, 8)
        case "removed":
            del mels["ünï"]
    return mels, options


KINDS = [
    "longer", "longer in its last chunk", "shorter", "shorter in its last chunk", "other dtype", "other codecs",
    "frames first", "appended", "removed",
]  # fmt: skip


def make(folder: Path, layout: str, zarr_format: int, mels: Mels, options: dict[str, Any]) -> None:
    MAKERS[layout](folder, mels, zarr_format=zarr_format, **options)
    group = zarr.open_group(str(folder), mode="r+", use_consolidated=False)
    group.attrs["melmill"] = {"mel": SPEC.to_dict(), "layout": layout, "version": 1}
    if layout == "ragged":
        group["digests"][...] = np.stack([content_digest(mel) for mel in mels.values()])


def content_digest(mel: NDArray[np.float32]) -> NDArray[np.uint8]:
    content = MelDigest()
    content.push(mel.T)
    return np.frombuffer(content.finish(), np.uint8)


def stale(folder: Path, layout: str, zarr_format: int, kind: str) -> Mels:
    """A store whose consolidated metadata is that of `some_mels()`, and whose arrays are those after the change."""
    before, _ = changed("nothing", layout)
    make(folder / "old", layout, zarr_format, before, {})
    zarr.consolidate_metadata(str(folder / "old"), zarr_format=zarr_format)  # type: ignore[arg-type]
    after, options = changed(kind, layout)
    make(folder / "s", layout, zarr_format, after, options)
    take_list(folder / "old", folder / "s", zarr_format)
    return after


def take_list(source: Path, target: Path, zarr_format: int) -> None:
    """Puts the consolidated metadata of one store into another."""
    if zarr_format == 2:
        shutil.copy(source / ".zmetadata", target / ".zmetadata")
        return
    listed = json.loads((source / "zarr.json").read_text())["consolidated_metadata"]
    root = json.loads((target / "zarr.json").read_text())
    (target / "zarr.json").write_text(json.dumps({**root, "consolidated_metadata": listed}))


def in_memory(folder: Path) -> str:
    """The URL of a copy of a folder in an object store."""
    url = fresh_counted("stale")
    fsspec.filesystem("memory").put(f"{folder}/", "/stale/", recursive=True)
    return url


@pytest.mark.parametrize("place", ["disk", "object store"])
@pytest.mark.parametrize(
    ("layout", "zarr_format", "kind"),
    [(*each, kind) for each in LAYOUTS for kind in KINDS if (each[0], kind) != ("ragged", "frames first")],
)
def test_what_is_there_is_read(tmp_path: Path, layout: str, zarr_format: int, place: str, kind: str) -> None:
    after = stale(tmp_path, layout, zarr_format, kind)
    store = open_store(str(tmp_path / "s") if place == "disk" else in_memory(tmp_path / "s"))
    listed = store.catalogue()
    faults = {listed[index].key: reason for index, reason in listed.faults.items()}
    gone = {"ünï"} if (layout, kind) == ("grouped", "removed") else set()
    assert set(faults) == gone
    assert all("is listed in the store's consolidated metadata" in reason for reason in faults.values())
    assert {utterance.key for utterance in listed} - gone == set(after)
    for index in listed.good():
        np.testing.assert_array_equal(store.read(listed[index]), after[listed[index].key])
    if kind != "other codecs":
        assert "consolidated metadata is out of date for" in store.describe()


@pytest.mark.parametrize("kind", ["longer in its last chunk", "appended"])
@pytest.mark.parametrize(("layout", "zarr_format"), LAYOUTS)
def test_the_times_of_files_and_list_make_no_difference(
    tmp_path: Path, layout: str, zarr_format: int, kind: str
) -> None:
    """After a copy all times are equal, or the list has the newest."""
    after = stale(tmp_path, layout, zarr_format, kind)
    for path in (tmp_path / "s").rglob("*"):
        os.utime(path, (10**9, 10**9))
    for name in ("zarr.json", ".zmetadata"):
        if (tmp_path / "s" / name).exists():
            os.utime(tmp_path / "s" / name, (2 * 10**9, 2 * 10**9))
    store = open_store(str(tmp_path / "s"))
    listed = store.catalogue()
    for index in listed.good():
        np.testing.assert_array_equal(store.read(listed[index]), after[listed[index].key])


@pytest.mark.parametrize("place", ["disk", "object store"])
@pytest.mark.parametrize(("layout", "zarr_format"), LAYOUTS)
def test_a_current_list_is_not_remarked_on(tmp_path: Path, layout: str, zarr_format: int, place: str) -> None:
    stale(tmp_path, layout, zarr_format, "nothing")
    store = open_store(str(tmp_path / "s") if place == "disk" else in_memory(tmp_path / "s"))
    assert not store.catalogue().faults
    assert "out of date" not in store.describe()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_only_the_documents_that_changed_are_fetched(tmp_path: Path, zarr_format: int) -> None:
    stale(tmp_path, "grouped", zarr_format, "longer in its last chunk")
    store = open_store(in_memory(tmp_path / "s"))
    Counted.names.clear()
    assert not store.catalogue().faults
    document, group = ("d/.zarray", set()) if zarr_format == 2 else ("d/zarr.json", {"b/zarr.json"})
    fetched = {name.removeprefix("/stale/") for name in Counted.names}
    assert fetched - group - {"d/.zattrs"} == {document}


@pytest.mark.parametrize("style", [{"indent": 2}, {"indent": 4, "sort_keys": True, "separators": (",", ": ")}, {}])
def test_the_styles_of_libraries_are_known(tmp_path: Path, style: dict[str, Any]) -> None:
    """As zarr-python 2 and 3 write documents. Another style costs a request for each document."""
    stale(tmp_path, "grouped", 2, "nothing")
    for path in (tmp_path / "s").rglob(".z[a-z]*"):
        path.write_text(json.dumps(json.loads(path.read_text()), **style))
    store = open_store(in_memory(tmp_path / "s"))
    Counted.names.clear()
    assert (len(store.catalogue()), Counted.names) == (4, [])


@pytest.mark.parametrize(("layout", "zarr_format"), [each for each in LAYOUTS if each[0] != "grouped"])
def test_texts_that_the_list_lacks_are_read_and_those_that_it_alone_has_are_missed(
    tmp_path: Path, layout: str, zarr_format: int
) -> None:
    name = "meta" if layout == "ragged" else "text"
    for folder, has_texts in (("without", False), ("with", True)):
        make(tmp_path / folder, layout, zarr_format, some_mels(), {})
        group = zarr.open_group(str(tmp_path / folder), mode="r+")
        if has_texts:
            told = group.create_array(name, shape=(4,), dtype=str)
            told[...] = np.array(['{"text": "spoken"}'] * 4, np.dtypes.StringDType())
        zarr.consolidate_metadata(str(tmp_path / folder), zarr_format=zarr_format)  # type: ignore[arg-type]
    shutil.copytree(tmp_path / "with", tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone" / name)
    take_list(tmp_path / "without", tmp_path / "with", zarr_format)
    store = open_store(str(tmp_path / "with"))
    assert "spoken" in str(store.meta(store.catalogue()[0]))
    assert f"out of date for {name}" in store.describe()
    with pytest.raises(StoreError, match=f"array {name} is listed in .*consolidated metadata, but {name}/.* not there"):
        open_store(str(tmp_path / "gone"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_whose_own_document_is_lost_is_a_fault(tmp_path: Path, zarr_format: int) -> None:
    stale(tmp_path, "grouped", zarr_format, "nothing")
    (tmp_path / "s/a" / ("zarr.json" if zarr_format == 3 else ".zarray")).unlink()
    listed = open_store(str(tmp_path / "s")).catalogue()
    assert [listed[index].key for index in listed.faults] == ["a"]
    assert "restore the array, or consolidate" in next(iter(listed.faults.values()))


def test_the_contract_of_an_old_list_is_not_believed(tmp_path: Path) -> None:
    make(tmp_path / "s", "grouped", 2, some_mels(), {})
    zarr.consolidate_metadata(str(tmp_path / "s"), zarr_format=2)
    newer = {"mel": {**SPEC.to_dict(), "fmax": 7600.0}}
    (tmp_path / "s/.zattrs").write_text(json.dumps({"melmill": newer}))
    spec = open_store(str(tmp_path / "s")).spec
    assert spec is not None
    assert spec.fmax == 7600


def test_an_array_that_is_no_mel_may_go(tmp_path: Path) -> None:
    make(tmp_path / "s", "grouped", 3, some_mels(), {})
    zarr.open_group(str(tmp_path / "s"), mode="r+").create_array("pitch", data=np.zeros(40, "f4"))
    zarr.consolidate_metadata(str(tmp_path / "s"))
    shutil.rmtree(tmp_path / "s/pitch")
    store = open_store(str(tmp_path / "s"))
    assert not store.catalogue().faults
    assert "out of date for pitch" in store.describe()


def called(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(("layout", "zarr_format"), LAYOUTS)
def test_run_inspect_and_pack_see_the_store_as_it_is(tmp_path: Path, layout: str, zarr_format: int) -> None:
    kind = "longer" if zarr_format == 2 else "shorter in its last chunk"
    frames = {key: mel.shape[1] for key, mel in stale(tmp_path, layout, zarr_format, kind).items()}
    store, out = tmp_path / "s", tmp_path / "audio"
    called("run", "--store", store, "--out", out, "--vocoder", "griffin-lim", "--scheduler", "synchronous",
           "--set", "input.check_values=false")  # fmt: skip
    assert {row["key"]: row["num_samples"] // 256 for row in rows(out)} == frames
    seen = json.loads(called("inspect", store, "--json"))
    assert (seen["frames"], seen["missing_chunks"], seen["unreadable"]) == (sum(frames.values()), 0, {})
    assert "out of date" in seen["description"]
    called("pack", store, tmp_path / "again.zarr", "--workers", 1)
    packed = open_store(str(tmp_path / "again.zarr")).catalogue()
    assert {utterance.key: utterance.frames for utterance in packed} == frames
