import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from support.member_keys import unescape

from pipeline.audio.containers import open_sink
from pipeline.audio.containers.files import FilesSink
from pipeline.audio.containers.tar import TarSink, header
from pipeline.audio.member_names import escape
from pipeline.config import Container

KEYS = ["one", "a/b.c", "ключ", "k" * 300, "__x__", ".."]


def fill(sink: TarSink | FilesSink) -> list:
    return [
        sink.add(escape(key), "flac", io.BytesIO(f"audio {key}".encode()), json.dumps({"key": key}).encode())
        for key in KEYS
    ]


def test_offset_and_size_find_each_member_in_the_tar(tmp_path: Path) -> None:
    sink = TarSink(tmp_path, "data/000000-0")
    places = fill(sink)
    ((_, path),) = sink.finish()
    content = path.read_bytes()
    for key, place in zip(KEYS, places, strict=True):
        assert content[place.offset : place.offset + place.bytes] == f"audio {key}".encode()


def test_members_are_adjacent_pairs_without_time_or_owner(tmp_path: Path) -> None:
    sink = TarSink(tmp_path, "data/000000-0")
    fill(sink)
    ((_, path),) = sink.finish()
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [f"{escape(key)}.{end}" for key in KEYS for end in ("flac", "json")]
    assert {(m.mtime, m.mode, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0o444, 0, 0, "", "")}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves the tar open
def test_webdataset_reads_the_tar_as_it_is(tmp_path: Path) -> None:
    sink = TarSink(tmp_path, "data/000000-0")
    fill(sink)
    ((_, path),) = sink.finish()
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [json.loads(sample["json"])["key"] for sample in samples] == KEYS
    assert [sample["flac"].decode() for sample in samples] == [f"audio {key}" for key in KEYS]


def test_equal_members_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        sink = TarSink(tmp_path / name, "data/000000-0")
        fill(sink)
        ((stored, path),) = sink.finish()
        contents.append((stored, path.read_bytes()))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_shard_without_members_has_no_object(tmp_path: Path, container: Container) -> None:
    assert open_sink(container, tmp_path, "data/000000-0", 4000).finish() == []


def test_files_lie_in_the_shards_folder_under_escaped_names(tmp_path: Path) -> None:
    sink = FilesSink(tmp_path, "data/000000-0", 4000)
    places = fill(sink)
    stored = {name: path.read_bytes() for name, path in sink.finish()}
    for key, place in zip(KEYS, places, strict=True):
        assert stored[f"{place.shard}/{place.member}"] == f"audio {key}".encode()
        assert json.loads(stored[f"data/000000-0/{escape(key)}.json"]) == {"key": key}


def test_a_shard_that_is_given_up_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    sink = TarSink(tmp_path, "data/000000-00000000")
    sink.add("a", "flac", io.BytesIO(b"a" * 99), b"{}")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    sink.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("container", ["tar", "files"])
def test_names_that_differ_in_case_alone_are_kept_apart(tmp_path: Path, container: Container) -> None:
    sink = open_sink(container, tmp_path, "data/000000-00000000", 4000)
    keys = ["ab", "AB", "aB", "%c3", "%C3", "x" * 250, "X" * 250]
    members = [sink.add(escape(key), "flac", io.BytesIO(b"a"), b"{}").member for key in keys]
    assert len({member.lower() for member in members}) == len(keys)
    assert [unescape(member.removesuffix(".flac")) for member in members] == keys
    assert max(len(part) for member in members for part in member.split("/")) < 210
    sink.close()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=150), st.integers(0, 8**12))
def test_a_header_is_the_one_that_tarfile_makes(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.size = 0o444, size
    assert header(name, size) == member.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("sizes", [[0], [512, 1], [10240 - 3 * 512], [70_000, 3]])
def test_a_tar_is_the_one_that_tarfile_makes(tmp_path: Path, sizes: list[int]) -> None:
    sink, wanted = TarSink(tmp_path, "data/000000-0"), io.BytesIO()
    with tarfile.open(fileobj=wanted, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"{number}.flac")
            member.mode, member.size = 0o444, size
            tar.addfile(member, io.BytesIO(b"a" * size))
            sink.add(str(number), "flac", io.BytesIO(b"a" * size), None)
    ((_, path),) = sink.finish()
    assert path.read_bytes() == wanted.getvalue()
