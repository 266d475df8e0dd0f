"""Hostile keys stay where they are put, none takes another's place, and each comes back: as path, in tar and in JSON.

There is no HTML page yet; when there is, the same keys go through it.
"""

import io
import json
import posixpath
import shutil
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpora import SPEC, digests, rows
from support.faults.places import Place, rmtree
from support.faults.scale import trials
from support.member_keys import unescape
from support.packs import pack_npy

from pipeline.audio.member_names import escape
from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.output.audit import verify
from pipeline.storage import LocalStorage
from pipeline.stores.keys import MAX_KEY_BYTES

KEYS = trials(10_000, 300)
BATCH = min(KEYS, 500)
FRAMES = 2
PARTS = (
    "..", ".", "", "~", "a", "A", "con", "NUL", "C:", "\\\\host", "-rf", "__x__", "%2F", "%", "data", "_melmill",
    "job.json", "manifest.jsonl", "x.tar", "a.flac", "a.json", "\0", "\n", "\u202e", "\ufeff", "é", "e\u0301", "ключ",
    "🎤", "x" * 199, "x" * 200, "x" * 201, "x" * 255, "<script>", "'\"&", "$(id)", "*", " ",
)  # fmt: skip
HOSTILE = st.one_of(
    st.text(st.characters(codec=None), max_size=60),
    st.text("./\\%_~-: \0\n\r\t*?\"<>|'&;`$#@!+=aA0", max_size=30),
    st.text("%0123456789ABCDEFabcdef", max_size=12),
    st.text("aAbBzZ", min_size=1, max_size=5),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("/".join),
    st.builds(str.__mul__, st.sampled_from(["x", "/", ".", "ы", "🎤", "../"]), st.integers(1, 1500)),
)


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Keys by hypothesis, the same in every run, each once."""
    found: dict[str, None] = {}

    @settings(max_examples=KEYS * 5 // 4, derandomize=True, database=None)
    @given(HOSTILE)
    def collect(key: str) -> None:
        found[key] = None

    collect()
    assert len(found) >= KEYS
    return list(found)[:KEYS]


@pytest.fixture(scope="module")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Gives a ragged store of so many utterances of two frames, each another; the first ones are always the same."""

    @cache
    def made(count: int) -> Path:
        folder = tmp_path_factory.mktemp("tiny")
        rng = np.random.default_rng(0)
        (folder / "mels").mkdir()
        for index in range(count):
            np.save(folder / "mels" / f"{index:04d}.npy", rng.uniform(-9, 0, (SPEC.n_mels, FRAMES)).astype(np.float32))
        pack_npy(str(folder / "mels"), str(folder / "mels.zarr"), SPEC, workers=1)
        return folder / "mels.zarr"

    return made


@pytest.fixture(scope="module")
def convert(
    tiny_store: Callable[[int], Path],
    vocoder_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    new_place: Callable[[], Place],
) -> Callable[..., Place]:
    """Gives the output of a run on a tiny store with these keys; the others keep theirs."""

    def build(keys: list[str], container: str, count: int = BATCH) -> Place:
        folder, outputs = tmp_path_factory.mktemp("hostile"), new_place()
        shutil.copytree(tiny_store(count), folder / "mels.zarr")
        group: Any = zarr.open_group(str(folder / "mels.zarr"), mode="r+")
        group["keys"][: len(keys)] = np.array(keys, np.dtypes.StringDType())
        run(
            JobConfig.build(
                {
                    "input": {"store": str(folder / "mels.zarr")},
                    "vocoder": {"name": str(vocoder_path)},
                    "output": {"url": str(outputs / "audio"), "container": container, "shard_seconds": 3.0},
                    "cluster": {"kind": "synchronous"},
                    "quality": {"max_failure_rate": 1, "mel_distance": False},
                }
            )
        )
        assert [path.name for path in outputs.iterdir()] == ["audio"]
        shutil.rmtree(folder)
        return outputs / "audio"

    return build


@pytest.fixture(scope="module")
def reference(convert: Callable[..., Place]) -> list[str]:
    """PCM digests by item."""
    made = digests(convert([], "tar"))
    return [made[key] for key in sorted(made)]


def test_every_name_stays_in_its_place_and_comes_back(keys: list[str]) -> None:
    names = {escape(key): key for key in keys}
    assert len(names) == len(keys)
    for name, key in names.items():
        path = posixpath.join("data", name + ".flac")
        assert posixpath.normpath(path) == path
        assert name.isascii()
        assert name.isprintable()
        assert all(0 < len(part) <= 250 and part not in (".", "..") for part in path.split("/"))
        assert unescape(name) == key
        assert json.loads(json.dumps({"key": key}).encode())["key"] == key or not storable(key)


def storable(key: str) -> bool:
    """Whether a Zarr store can hold the key: it is Unicode without surrogates."""
    return key.isascii() or not any(0xD800 <= ord(character) < 0xE000 for character in key)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_hostile_keys_go_through_a_run(
    keys: list[str], reference: list[str], convert: Callable[..., Place], container: str
) -> None:
    hostile = [key for key in keys if storable(key)]
    for start in range(0, len(hostile), BATCH):
        batch = hostile[start : start + BATCH]
        out = convert(batch, container)
        good = {
            key: reference[item]
            for item, key in enumerate(batch)
            if 0 < len(key.encode()) <= MAX_KEY_BYTES and (container == "tar" or has_room(out, key))
        }
        assert verify(str(out)).findings == ()
        others = {f"{item:04d}" for item in range(len(batch), BATCH)}
        assert {key: digest for key, digest in digests(out).items() if key not in others} == good
        assert {row["key"] for row in rows(out, "failures.jsonl")} == set(batch) - set(good)
        check = check_tars if container == "tar" else check_files
        check(out)
        rmtree(out.parent)


def has_room(out: Place, key: str) -> bool:
    """Whether an object store takes the name of its file; folders of tests take any."""
    name = f"{str(out).partition('://')[2].partition('/')[2]}/data/000000-0123abcd/{escape(key)}.flac"
    return isinstance(out, Path) or len(name.encode()) <= 1024 - 16  # which melmill keeps for what it may add


def check_tars(out: Place) -> None:
    """Every member stays below the folder in which a tar is extracted, and is of the key that it is named after."""
    for path in sorted((out / "data").iterdir()):
        wanted = {row["member"]: row for row in rows(out) if row["shard"] == f"data/{path.name}"}
        content = path.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for info in tar:
                assert tarfile.data_filter(info, str(out / "extracted")).name == info.name
            assert tar.getnames() == [name for member in wanted for name in (member, sidecar(member))]
            for member, row in wanted.items():
                audio, words = (tar.extractfile(name) for name in (member, sidecar(member)))
                assert audio is not None
                assert words is not None
                assert audio.read() == content[row["offset"] :][: row["bytes"]]
                assert_of_key(member, words.read(), row["key"])


def check_files(out: Place) -> None:
    """Below the folder of each shard there are the files of its rows and no others."""
    found = {str(path.relative_to(out)) for path in (out / "data").rglob("*") if path.is_file()}
    wanted = [f"{row['shard']}/{row['member']}" for row in rows(out)]
    assert found == {*wanted, *map(sidecar, wanted)}
    for row in rows(out):
        assert_of_key(row["member"], (out / row["shard"] / sidecar(row["member"])).read_bytes(), row["key"])


def sidecar(member: str) -> str:
    return member.removesuffix(".flac") + ".json"


def assert_of_key(member: str, words: bytes, key: str) -> None:
    assert unescape(member.removesuffix(".flac")) == key
    assert json.loads(words)["key"] == key


@pytest.fixture
def _blind_to_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage that keeps the case of names and does not heed it, as folders on a Mac or on Windows."""

    def there(storage: LocalStorage, name: str) -> str:
        path = storage.root
        for part in name.split("/"):
            listed = path.iterdir() if path.is_dir() else iter(())
            path = next((each for each in listed if each.name.lower() == part.lower()), path / part)
        return path.relative_to(storage.root).as_posix()

    def blind(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, name, *more: method(self, there(self, name), *more)

    for verb in ("read", "put_if_absent", "replace", "delete"):
        monkeypatch.setattr(LocalStorage, verb, blind(getattr(LocalStorage, verb)))


@pytest.mark.usefixtures("_blind_to_case")
def test_keys_that_differ_in_case_alone_do_not_take_each_others_place(
    reference: list[str], convert: Callable[..., Place]
) -> None:
    batch = ["ab", "AB", "aB", "Ab", "x" * 300, "X" * 300, "%c3", "%C3", "é", "É"]
    out = convert(batch, "files", count=2 * len(batch))
    assert verify(str(out)).findings == ()
    made = digests(out)
    assert [made[key] for key in batch] == reference[: len(batch)]
