"""How stores of many arrays are listed: what is asked of storage, and that the stamps are those of fsspec."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from support.counted_files import Counted, fresh_counted
from support.making import SPEC, make_grouped, random_mel

from pipeline.errors import StorageError
from pipeline.stores import open_store
from pipeline.stores.zarr_arrays import local_files, zarr_tree
from pipeline.stores.zarr_arrays.local_files import list_files, read_files

MELS = {f"{speaker}/{index}": random_mel(5 + index, index) for speaker in "ab" for index in range(30)}


@pytest.fixture
def url() -> str:
    """Where Counted finds what is written to memory://many."""
    return fresh_counted("many")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_object_store_is_listed_once_and_its_documents_are_fetched_many_at_a_time(
    url: str, zarr_format: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_tree, "_CONCURRENT", 16)
    make_grouped("memory://many", MELS, zarr_format)
    if zarr_format == 2:
        for name in fsspec.filesystem("memory").glob("/many/a/*/.zattrs"):
            fsspec.filesystem("memory").rm(name)
    documents = 60 + 30 if zarr_format == 2 else 60 + 2  # attributes, and the groups' own
    store = open_store(url, mel=SPEC)
    Counted.asked.clear()
    listed = store.catalogue()
    assert (len(listed), listed.faults) == (60, {})
    assert Counted.asked == {"list all": 1, "get": documents}
    assert 8 < Counted.most_in_flight <= 16


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("tells_md5", [True, False])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_document_that_the_listing_proves_is_not_fetched(
    url: str, zarr_format: int, tells_md5: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "tells_md5", tells_md5)
    make_grouped("memory://many", MELS, zarr_format)
    zarr.consolidate_metadata("memory://many", zarr_format=zarr_format)  # type: ignore[arg-type]
    store = open_store(url, mel=SPEC)
    Counted.asked.clear()
    listed = store.catalogue()
    assert (len(listed), listed.faults) == (60, {})
    documents = 60 * 2 if zarr_format == 2 else 60 + 2  # attributes, and the groups' own
    unlisted = 0 if zarr_format == 2 else 2  # the groups' own
    assert Counted.asked == Counter({"list all": 1, "get": unlisted if tells_md5 else documents})
    assert "out of date" not in store.describe()


def test_names_with_signs_of_patterns_are_read_as_they_are(url: str) -> None:
    mels = {"a[1]": random_mel(9), "b*": random_mel(7, 1), "bc": random_mel(5, 2), "q?": random_mel(6, 3)}
    make_grouped("memory://many", mels)
    for each in ("memory://many", url):
        store = open_store(each, mel=SPEC)
        listed = store.catalogue()
        assert (list(map(str, listed.keys)), listed.faults) == (list(mels), {})
        for utterance in listed:
            np.testing.assert_array_equal(store.read(utterance), mels[utterance.key])


def test_arrays_that_are_described_alike_keep_their_own_names_and_attributes(tmp_path: Path) -> None:
    for zarr_format in (2, 3):
        make_grouped(tmp_path / str(zarr_format), {key: random_mel(9) for key in "abc"}, zarr_format)
        group = zarr.open_group(str(tmp_path / str(zarr_format)))
        group["b"].attrs["text"] = "only here"
        store = open_store(str(tmp_path / str(zarr_format)), mel=SPEC)
        listed = store.catalogue()
        assert [store.meta(utterance) for utterance in listed] == [{}, {"text": "only here"}, {}]
        assert [utterance.where for utterance in listed] == ["a", "b", "c"]


def test_a_local_listing_is_that_of_fsspec(tmp_path: Path) -> None:
    """Shards are known by these stamps: another one would make them stale."""
    for name in ("a/b/c/0", "a/zarr.json", "top", "ünï/1", "empty/"):
        path = tmp_path / "s" / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(name.encode())
    os.symlink(tmp_path / "s/top", tmp_path / "s/a/link")
    os.symlink(tmp_path / "nowhere", tmp_path / "s/a/dangling")
    os.symlink(tmp_path / "s/a", tmp_path / "s/linked")
    os.utime(tmp_path / "s/top", ns=(10**18, 10**18 + 123456789))
    fs = fsspec.filesystem("file")
    found = fs.find(str(tmp_path / "s"), detail=True)
    expected = {
        os.path.relpath(name, tmp_path / "s"): f"{entry['size']}:{entry['mtime']}" for name, entry in found.items()
    }
    assert list_files(str(tmp_path / "s"), frozenset()) == expected
    assert list_files(str(tmp_path / "s"), frozenset({"zarr.json"})) == {**expected, "a/zarr.json": ""}
    assert list_files(str(tmp_path / "nowhere"), frozenset()) == {}
    contents = read_files([str(tmp_path / "s/top"), str(tmp_path / "s/none"), str(tmp_path / "s/a")])
    assert contents[0] == b"top"
    assert isinstance(contents[1], FileNotFoundError)
    assert isinstance(contents[2], IsADirectoryError)


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_grouped(tmp_path / "s", {"a": random_mel(9), "b": random_mel(9)})
    store = open_store(str(tmp_path / "s"), mel=SPEC)
    scandir = os.scandir

    def denied(path: str) -> Any:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(local_files.os, "scandir", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        store.catalogue()
