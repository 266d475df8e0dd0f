"""index.json names the current shards, and nothing else, in the format of wids."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.corpora import assert_whole, objects, rows, tiny_vocoder
from support.pages import PAGES
from support.shard_readers import ShardListDataset, WebDataset

from pipeline.audio.member_names import DistinctNames, escape
from pipeline.config import JobConfig
from pipeline.errors import ConfigError, InterruptedRunError, StorageError
from pipeline.jobs.run import plan, run
from pipeline.output.audit import verify
from pipeline.output.garbage import collect_garbage
from pipeline.output.layout import INDEX, MANIFEST, PUBLISHED, PUBLISHING
from pipeline.output.records import sealed, unsealed
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture
def out(job: Build) -> Path:
    run(job())
    return Path(job().output.url)


def index(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / INDEX).read_text()))


def test_wids_finds_each_utterance_of_the_manifest_once_and_in_its_order(out: Path) -> None:
    dataset = ShardListDataset(str(out / INDEX))
    assert [unquote(sample["__key__"]) for sample in dataset.samples] == [row["key"] for row in rows(out)]
    assert len(dataset) == 24
    assert index(out)["name"] == "audio"
    assert "files" not in index(out)
    assert len(index(out)["shardlist"]) > 3


def unquoted(page: str) -> Callable[[dict[str, str]], str]:
    """The line of a page that turns `__key__` back, as a function of a sample."""
    (line,) = re.findall(r"^ +key = (.*)$", PAGES[page].read_text(), re.MULTILINE)
    return eval(f"lambda sample: {line}", {"unquote": unquote})  # type: ignore[no-any-return]  # noqa: S307


@given(st.text(min_size=1, max_size=300))
@example("ru/voice.1")
@example("__init__")
@example("100%25")
def test_the_line_in_the_docs_turns_the_key_of_a_sample_back(key: str) -> None:
    names = DistinctNames()
    for name in (names.distinct(escape(key)), names.distinct(escape(key))):
        found = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", f"{name}.flac")  # webdataset's base_plus_ext
        assert found is not None
        assert unquoted("reference/files")({"__key__": found[1]}) == key


def test_after_a_regeneration_the_index_names_the_new_shards_alone(job: Build, out: Path, tmp_path: Path) -> None:
    before = objects(out)
    run(job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1))))
    shards = [each["url"] for each in index(out)["shardlist"]]
    assert set(shards) == {row["shard"] for row in rows(out)} == set(objects(out)) - set(before)
    found = list(WebDataset([f"{out}/{each}" for each in shards]))
    assert sorted(unquote(sample["__key__"]) for sample in found) == sorted(row["key"] for row in rows(out))


def test_of_files_it_names_the_audio_files(job: Build) -> None:
    config = job(output__container="files")
    run(config)
    out = Path(config.output.url)
    found = index(out)
    assert found["shardlist"] == []
    assert [(each["key"], each["file"], each["filesize"]) for each in found["files"]] == [
        (row["key"], f"{row['shard']}/{row['member']}", row["bytes"]) for row in rows(out)
    ]
    assert all((out / each["file"]).stat().st_size == each["filesize"] for each in found["files"])
    with pytest.raises(AssertionError, match="No shards found"):
        ShardListDataset(str(out / INDEX))


def test_shards_without_audio_are_not_in_it(job: Build, store: Path) -> None:
    import numpy as np
    import zarr

    mel: Any = zarr.open_group(str(store), mode="r+")["mel"]
    mel[:] = np.nan
    run_anyway = job(quality__max_failure_rate=1, quality__give_up_after=0, input__check_values=False)
    run(run_anyway)
    out = Path(run_anyway.output.url)
    assert_whole(out, 24, failed=24)
    assert index(out)["shardlist"] == []


def test_an_index_that_is_lost_is_published_again_and_nothing_is_made(job: Build, out: Path) -> None:
    before = (out / INDEX).read_bytes()
    (out / INDEX).unlink()
    assert plan(job()).publication_due == "index.json is gone"
    assert run(job()).made_seconds == 0
    assert (out / INDEX).read_bytes() == before
    assert run(job()).run_id == ""


def without_index(out: Path) -> None:
    """As an early melmill published it."""
    for name in (PUBLISHED, PUBLISHING):
        plain = unsealed((out / name).read_bytes())
        plain["files"] = [each for each in plain["files"] if each["name"] != INDEX]
        (out / name).write_text(json.dumps(sealed(plain)))
    (out / INDEX).unlink()


def test_an_output_without_index_is_whole_and_the_next_run_publishes_one(job: Build, out: Path) -> None:
    before = (out / INDEX).read_bytes()
    without_index(out)
    assert verify(str(out)).findings == ()
    assert collect_garbage(str(out)).garbage == ()
    assert plan(job()).publication_due == "it was published by an earlier melmill, which wrote no index.json"
    assert run(job()).made_seconds == 0
    assert (out / INDEX).read_bytes() == before
    assert run(job()).run_id == ""


@pytest.mark.parametrize("content", ["mine", "[]", '{"wids_version": 2, "shardlist": []}', '{"wids_version": 1}'])
def test_a_file_of_that_name_that_no_run_wrote_is_not_overwritten(job: Build, out: Path, content: str) -> None:
    without_index(out)
    (out / INDEX).write_text(content)
    for refuse in (plan, run):
        with pytest.raises(ConfigError, match=r"audio/index\.json is where .* holds something else: .* Move that file"):
            refuse(job())
    assert collect_garbage(str(out)).garbage == ()
    assert (out / INDEX).read_text() == content


def test_nor_is_it_where_no_run_has_been_yet(job: Build) -> None:
    other = Path(job().output.url).parent / "new"
    other.mkdir()
    (other / INDEX).write_text("mine")
    with pytest.raises(ConfigError, match=r"index\.json"):
        run(job(output__url=str(other)))
    assert {path.name: path.read_text() for path in other.iterdir()} == {INDEX: "mine"}


def test_gc_keeps_what_the_index_of_a_stopped_publication_names(
    job: Build, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commits may be older than those of the publication before."""
    first = index(out)
    run(job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1))))
    replace = LocalStorage.replace

    def stopping(self: LocalStorage, name: str, source: Path | bytes) -> None:
        if name == MANIFEST:
            raise InterruptedRunError("stopped")
        replace(self, name, source)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "replace", stopping)
        with pytest.raises(InterruptedRunError):
            run(job())
    assert index(out) == first
    assert collect_garbage(str(out)).garbage == ()
    assert len(ShardListDataset(str(out / INDEX))) == 24
    assert verify(str(out)).findings == ()
    run(job())
    assert_whole(out, 24)


def test_gc_deletes_nothing_while_the_index_cannot_be_read(out: Path) -> None:
    (out / INDEX).write_text("{")
    with pytest.raises(StorageError, match=r"index\.json .* cannot be read: .* Delete index\.json, then run again"):
        collect_garbage(str(out))
