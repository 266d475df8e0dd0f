"""Zarr stores in a .zip, and mels in arrays of objects, which are refused with what to do."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from support.corpora import rows
from support.making import LENGTHS, MAKERS, SPEC, make_grouped, open_group, random_mel, some_mels
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import StoreError, UtteranceError
from pipeline.pack import kind_of
from pipeline.stores import MelStore, open_store
from pipeline.stores.zarr_arrays import zipped

LAYOUTS = [(layout, zarr_format) for layout in MAKERS for zarr_format in (2, 3)]


def zip_of(folder: Path, inner: str = "", compression: int = zipfile.ZIP_STORED) -> Path:
    """An archive of a folder's content, below the folder `inner` in the archive."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, Path(inner, path.relative_to(folder)))
    return target


def check_whole(store: MelStore) -> None:
    listed = store.catalogue()
    assert ({each.key: each.frames for each in listed}, listed.faults) == (LENGTHS, {})
    for utterance in listed:
        np.testing.assert_array_equal(store.read(utterance), some_mels()[utterance.key])


@pytest.mark.parametrize("inner", ["", "s.zarr"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(("layout", "zarr_format"), LAYOUTS)
def test_a_zip_of_a_store_is_read(tmp_path: Path, layout: str, zarr_format: int, compression: int, inner: str) -> None:
    MAKERS[layout](tmp_path / "s", some_mels(), zarr_format=zarr_format)
    archive = zip_of(tmp_path / "s", inner, compression)
    check_whole(open_store(str(archive), mel=SPEC))
    check_whole(open_store(f"file://{archive}", mel=SPEC))
    fsspec.filesystem("memory").pipe_file("/zipped/s.zip", archive.read_bytes())
    check_whole(open_store("memory://zipped/s.zip", mel=SPEC))


@pytest.mark.filterwarnings("ignore:Duplicate name", "ignore:Consolidated metadata")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zip_that_zarr_wrote_is_read(tmp_path: Path, zarr_format: int) -> None:
    """Zarr writes a document again, under the same name, when attributes change and when metadata is consolidated."""
    with zarr.storage.ZipStore(tmp_path / "s.zip", mode="w") as store:
        group = zarr.create_group(store, zarr_format=zarr_format)  # type: ignore[arg-type]
        for key, mel in some_mels().items():
            group.create_array(key, data=mel, chunks=(20, 16))
        group.attrs["melmill"] = {"mel": SPEC.to_dict()}
        zarr.consolidate_metadata(store, zarr_format=zarr_format)  # type: ignore[arg-type]
    check_whole(open_store(str(tmp_path / "s.zip")))


@pytest.mark.parametrize("url", ["memory://broken/s.zip", "zip://::memory://broken/s.zip"])
@pytest.mark.parametrize("content", [b"no archive", b"", None])
def test_a_broken_zip_in_an_object_store_is_named(tmp_path: Path, url: str, content: bytes | None) -> None:
    make_grouped(tmp_path / "s", some_mels())
    whole = zip_of(tmp_path / "s").read_bytes()
    fsspec.filesystem("memory").pipe_file("/broken/s.zip", whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(StoreError) as error:
        open_store(url, mel=SPEC)
    assert str(error.value) == f"{url} is not a zip archive, or is cut off; copy it again"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", ["c/0/0", "zarr.json"])
def test_a_damaged_member_of_a_zip_is_named_with_archive_and_place(tmp_path: Path, name: str, compression: int) -> None:
    make_grouped(tmp_path / "s", some_mels())
    archive = zip_of(tmp_path / "s", compression=compression)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo(f"d/{name}")
    middle = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    content[middle] ^= 255
    fsspec.filesystem("memory").pipe_file("/damaged/s.zip", bytes(content))
    store = open_store("memory://damaged/s.zip", mel=SPEC)
    listed = store.catalogue()
    said = {}
    for utterance in listed:
        try:
            np.testing.assert_array_equal(store.read(utterance), some_mels()[utterance.key])
        except UtteranceError as error:
            said[utterance.key] = str(error)
    said |= {listed[index].key: fault for index, fault in listed.faults.items()}
    assert list(said) == ["d"]  # the others are read
    assert f"d/{name}" in said["d"]
    assert "memory://damaged/s.zip" in said["d"]


def test_a_folder_named_zip_is_a_folder(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s.zip", some_mels())
    check_whole(open_store(str(tmp_path / "s.zip"), mel=SPEC))


def test_what_is_no_zip_of_a_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_grouped(tmp_path / "s", some_mels())
    (tmp_path / "two").mkdir()
    for name in "ab":
        shutil.copytree(tmp_path / "s", tmp_path / "two" / name)
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs/a.wav").write_bytes(b"RIFF")
    for name in ("two", "wavs"):
        with pytest.raises(StoreError, match=r"no Zarr group in .*\.zip, neither at its root nor .*unpack"):
            open_store(str(zip_of(tmp_path / name)))
    (tmp_path / "no.zip").write_bytes(b"no archive")
    with pytest.raises(StoreError, match=r"/no\.zip is not a zip archive, or is cut off; copy it again"):
        open_store(str(tmp_path / "no.zip"))
    with pytest.raises(StoreError, match=r"gone\.zip .*check the path"):
        open_store(str(tmp_path / "gone.zip"))
    (tmp_path / "s.tar").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"it is a file; give the group's folder, or a \.zip"):
        open_store(str(tmp_path / "s.tar"))
    monkeypatch.setattr(zipped, "MAX_MEMBER_BYTES", 50)
    with pytest.raises(StoreError, match=r"its member .* GiB unpacked; .*unpack it"):
        open_store(str(zip_of(tmp_path / "s", compression=zipfile.ZIP_DEFLATED)), mel=SPEC)
    check_whole(open_store(str(zip_of(tmp_path / "s")), mel=SPEC))  # members that are stored as they are


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    make_grouped(tmp_path / "s", {"a": random_mel(9)})
    archive = zip_of(tmp_path / "s")
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(StoreError, match="is encrypted"):
        open_store(str(archive))


def called(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_run_inspect_and_pack_take_a_zip(tmp_path: Path, zarr_format: int) -> None:
    make_grouped(tmp_path / "s", some_mels(), zarr_format)
    zarr.open_group(str(tmp_path / "s"), mode="r+").attrs["melmill"] = {"mel": SPEC.to_dict()}
    archive, out = zip_of(tmp_path / "s", "s.zarr"), tmp_path / "out"
    assert json.loads(called("inspect", archive, "--json"))["frames"] == sum(LENGTHS.values())
    known = ["run", "--store", archive, "--out", out, "--vocoder", "griffin-lim", "--scheduler", "synchronous"]
    called(*known, "--set", "input.check_values=false")
    assert {row["key"]: row["num_samples"] // 256 for row in rows(out)} == LENGTHS
    assert "nothing to do" in called(*known)
    assert kind_of(str(archive)) == "zarr"
    called("pack", archive, tmp_path / "packed.zarr", "--workers", 1)
    packed = open_store(str(tmp_path / "packed.zarr")).catalogue()
    assert {each.key: each.frames for each in packed} == LENGTHS


@pytest.mark.parametrize("layout", ["auto", "grouped", "padded"])
@pytest.mark.parametrize(
    ("codec", "why"),
    [
        ({"id": "vlen-array", "dtype": "<f4"}, "keeps each item flat"),
        ({"id": "pickle", "protocol": 5}, "may run code"),
        ({"id": "json2"}, "builds objects"),
        ({"id": "msgpack2"}, "builds objects"),
    ],
)
def test_mels_in_an_array_of_objects_are_refused_with_what_to_do(
    tmp_path: Path, codec: dict[str, Any], why: str, layout: Any
) -> None:
    group = open_group(tmp_path / "s", 2)
    group.create_array("lengths", data=np.array([9, 8]))
    document = {
        "zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|O", "compressor": None, "fill_value": None,
        "order": "C", "filters": [codec],
    }  # fmt: skip
    (tmp_path / "s/mel").mkdir()
    (tmp_path / "s/mel/.zarray").write_text(json.dumps(document))
    (tmp_path / "s/mel/0").write_bytes(b"never read")
    with pytest.raises(StoreError) as raised:
        open_store(str(tmp_path / "s"), layout=layout, mel=SPEC)
    assert f"Array mel [2] holds objects: its codec {codec['id']} {why}" in str(raised.value)
    assert "melmill pack" in str(raised.value)


def test_an_array_of_objects_in_zarr_v3_is_named_too(tmp_path: Path) -> None:
    group = open_group(tmp_path / "s", 3)
    group.create_array("mel", data=np.zeros(2, "f4"))
    path = tmp_path / "s/mel/zarr.json"
    codecs = [{"name": "numcodecs.vlen-array", "configuration": {"dtype": "<f4"}}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_type": "object", "codecs": codecs}))
    with pytest.raises(StoreError, match=r"Array mel \[2\] holds objects: its codec vlen-array"):
        open_store(str(tmp_path / "s"), mel=SPEC)
