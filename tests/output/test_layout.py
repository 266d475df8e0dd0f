"""Names on disk: what is made is parsed back, and nothing else is taken for a name of melmill's."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.audio.containers import open_sink
from pipeline.audio.member_names import escape
from pipeline.output.layout import (
    COMMITS,
    DATA,
    FAILURES,
    JOB,
    MANIFEST,
    STALE,
    commit_of,
    commit_path,
    is_shard_name,
    marked_commit,
    path_apart,
    shard_name,
    shard_of,
    shard_path,
    stale_path,
)
from pipeline.storage import PRIVATE

PIPELINE = Path(pipeline.__file__).parent
SHARD = "000123-1a2b3c4d"
OBJECTS = {
    "data/000123-1a2b3c4d.tar": SHARD,
    "data/1234567-1a2b3c4d.tar": "1234567-1a2b3c4d",  # the millionth shard and those after it
    "data/000123-1a2b3c4d-5e6f7a8b.tar": SHARD,  # made beside a damaged one
    "data/000123-1a2b3c4d/anna.flac": SHARD,
    "data/000123-1a2b3c4d/anna-5e6f7a8b.flac": SHARD,
    "data/000123-1a2b3c4d/a%2Fb/c.json": SHARD,  # a long key, cut into folders
    "data/000123-1a2b3c4d/line\nbreak.wav": SHARD,
    "data/000123-1a2b3c4d": None,  # the folder itself is no object
    "data/000123-1a2b3c4d/": None,
    "data/000123-1a2b3c4d.tar.bak": None,
    "data/000123-1a2b3c4d.tar\n": None,
    "data/000123-1a2b3c4d.tarx": None,
    "data/000123-1a2b3c4d.zip": None,
    "data/000123-1a2b3c4d-5e6f7a8b/anna.flac": None,  # no attempt makes a folder apart
    "data/000123-1a2b3c4d-5e6f7a8.tar": None,
    "data/000123-1A2B3C4D.tar": None,
    "data/00123-1a2b3c4d.tar": None,
    "data/٠٠٠١٢٣-1a2b3c4d.tar": None,  # digits, but not ASCII
    "data/000123.tar": None,
    "data/notes.txt": None,
    "data/sub/000123-1a2b3c4d.tar": None,
    "other/000123-1a2b3c4d.tar": None,
    "000123-1a2b3c4d.tar": None,
    "manifest.jsonl": None,
    "": None,
}


@pytest.mark.parametrize(("path", "shard"), OBJECTS.items(), ids=repr)
def test_the_shard_of_an_object_is_read_off_its_name(path: str, shard: str | None) -> None:
    assert shard_of(path) == shard


numbers = st.integers(0, 10**9)
fingerprints = st.text("0123456789abcdef", min_size=32, max_size=32)
names = st.builds(shard_name, numbers, fingerprints, st.integers(0, 99))


@given(names, st.text(), st.sampled_from(["flac", "wav", "json"]), fingerprints)
def test_every_name_that_melmill_gives_is_parsed_back(name: str, key: str, extension: str, attempt: str) -> None:
    assert is_shard_name(name)
    for path in (f"{shard_path(name)}.tar", f"{shard_path(name)}/{escape(key)}.{extension}"):
        assert shard_of(path) == shard_of(path_apart(path, attempt)) == name
    assert commit_of(commit_path(name)) == marked_commit(stale_path(name)) == name
    assert commit_of(stale_path(name)) is marked_commit(commit_path(name)) is shard_of(commit_path(name)) is None


@pytest.mark.parametrize("container", ["tar", "files"])
def test_objects_have_the_names_that_sinks_give(tmp_path: Path, container: str) -> None:
    with open(tmp_path / "encoded", "w+b") as encoded:
        sink = open_sink(container, tmp_path, shard_path(SHARD), 4096)  # type: ignore[arg-type]
        sink.add("anna", "flac", encoded, b"{}")
        made = sink.finish()
    assert made
    assert all(shard_of(name) == SHARD for name, _ in made)


@pytest.mark.parametrize(("folder", "parsed"), [(COMMITS, commit_of), (STALE, marked_commit)])
def test_only_a_record_has_the_name_of_one(folder: str, parsed: Callable[[str], str | None]) -> None:
    assert parsed(f"{folder}/{SHARD}.json") == SHARD
    for name in ("notes.txt", "000001.json", f"{SHARD}.json.new", f"sub/{SHARD}.json", f"{SHARD}.json\n", SHARD):
        assert parsed(f"{folder}/{name}") is None
    assert parsed(f"{SHARD}.json") is None


def test_each_name_is_written_down_in_one_place() -> None:
    """Messages may hold a name; a string that is one, or begins as a path of an object does, is that of the layout."""
    found = {
        path.relative_to(PIPELINE).as_posix()
        for path in PIPELINE.rglob("*.py")
        if path.parent.name not in ("tensor_files", "formats")  # others have a folder data/, too: PyTorch, Hugging Face
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value in (MANIFEST, FAILURES, JOB, PRIVATE) or node.value.startswith(f"{DATA}/"))
    }
    assert found == {"output/layout.py", "storage/base.py"}
