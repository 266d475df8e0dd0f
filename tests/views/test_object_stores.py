"""Exports of outputs in an object store, for which fsspec's store in memory stands: by URL, or with copied audio."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support.corpora import rows

from pipeline.errors import ConfigError
from pipeline.output.status import read_status
from pipeline.views.options import ExportOptions
from pipeline.views.run import export

Output = Callable[..., Path]
URL = "gs://bucket/audio"


@pytest.fixture
def stored(exported: Output, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An output at `URL`, and the folder that it is a copy of."""
    store, folder = MemoryFileSystem(), "/exported"
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (store, folder))
    for path in exported().rglob("*"):
        if path.is_file() and "exports" not in path.parts:
            store.pipe_file(f"{folder}/{path.relative_to(exported()).as_posix()}", path.read_bytes())
    yield exported()
    store.rm(folder, recursive=True)


def test_lists_name_the_urls_of_the_tars(stored: Path, tmp_path: Path) -> None:
    export(URL, str(tmp_path / "tars"), ExportOptions("webdataset"))
    urls = [f"{URL}/{name}" for name in dict.fromkeys(row["shard"] for row in rows(stored))]
    assert (tmp_path / "tars" / "train.txt").read_text().splitlines() == urls
    assert [each.age for each in read_status(URL).exports] == ["up to date"]
    assert not export(URL, str(tmp_path / "tars"), ExportOptions("webdataset")).made


def test_audio_is_copied_as_it_is(stored: Path, tmp_path: Path) -> None:
    export(URL, str(tmp_path / "here"), ExportOptions("webdataset", audio=True))
    export(str(stored), str(tmp_path / "there"), ExportOptions("webdataset", audio=True))
    names = (tmp_path / "here" / "train.txt").read_text().splitlines()
    assert names
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    receipt = json.loads((tmp_path / "here" / "melmill-export.json").read_text())
    assert receipt["output"]["url"] == URL


def test_a_card_is_put_into_the_output(stored: Path) -> None:
    assert export(URL, URL, ExportOptions("huggingface")).made
    assert not export(URL, URL, ExportOptions("huggingface")).made
    assert MemoryFileSystem().cat_file("/exported/README.md").startswith(b"---\n")
    assert rows(stored)


def test_a_folder_of_audio_needs_copies(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is in an object store\. Pass --audio"):
        export(URL, str(tmp_path / "folder"), ExportOptions("audiofolder"))
    assert list(tmp_path.iterdir()) == []
    assert rows(stored)
