"""Exports as tars: by links, by URL, and new ones; webdataset itself reads them."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webdataset
from support.corpora import rows
from support.exports import HOSTILE_KEYS, job_of, meta_of, write_metas
from support.member_keys import unescape
from support.shard_readers import ShardListDataset

from pipeline.errors import ConfigError
from pipeline.jobs.run import run
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.run import export

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # webdataset leaves tars open

Output = Callable[..., Path]
Sample = dict[str, Any]


def listed(target: Path, split: str = "train") -> list[str]:
    return (target / f"{split}.txt").read_text().splitlines()


def index(target: Path, split: str = "train") -> list[dict[str, Any]]:
    plain = json.loads((target / f"{split}.json").read_text())
    assert plain["wids_version"] == 1
    return list(plain["shardlist"])


def read(target: Path, split: str = "train") -> list[Sample]:
    """What webdataset makes of the list."""
    urls = [str(target / name) for name in listed(target, split)]
    return list(webdataset.WebDataset(urls, shardshuffle=False))


def assert_same(samples: list[Sample], wanted: list[dict[str, Any]]) -> None:
    """Every utterance, in order, with its PCM and its metadata."""
    assert [unescape(each["__key__"]) for each in samples] == [row["key"] for row in wanted]
    for sample, row in zip(samples, wanted, strict=True):
        text = json.loads(sample["json"])
        assert {name: text[name] for name in ("key", "text", "speaker", "language", "meta")} == {
            name: row[name] for name in ("key", "text", "speaker", "language", "meta")
        }
        assert len(sample["flac"]) == row["bytes"]


@pytest.mark.parametrize("audio", [True, False])
def test_webdataset_reads_every_utterance_in_order(exported: Output, tmp_path: Path, audio: bool) -> None:
    out, target = exported(), tmp_path / "tars"
    export(str(out), str(target), ExportOptions("webdataset", audio=audio))
    assert_same(read(target), rows(out))
    braces = f"{target}/train-{{000000..{len(listed(target)) - 1:06d}}}.tar"
    assert_same(list(webdataset.WebDataset(braces, shardshuffle=False)), rows(out))
    assert all((target / name).is_symlink() != audio for name in listed(target))
    assert [each["url"] for each in index(target)] == listed(target)
    for each in index(target):
        assert (target / each["url"]).stat().st_size == each["filesize"]


@pytest.mark.parametrize("audio", [True, False])
def test_wids_reads_every_utterance_by_number(exported: Output, tmp_path: Path, audio: bool) -> None:
    target = tmp_path / "tars"
    with pytest.raises(ConfigError, match=r"cannot say 1 utterance, .*'xxx.*which wids does not read"):
        export(str(exported()), str(target), ExportOptions("wids", audio=audio))
    export(str(exported()), str(target), ExportOptions("webdataset", audio=audio))  # it has the same index
    found = ShardListDataset(str(target / "train.json")).samples
    assert_same([{name.removeprefix("."): value for name, value in each.items()} for each in found], rows(exported()))


def test_new_tars_have_the_very_bytes_of_the_audio(exported: Output, tmp_path: Path) -> None:
    target = tmp_path / "tars"
    options = ExportOptions("webdataset", audio=True, renamed=(("spk", "speaker"),))
    export(str(exported()), str(target), options)
    for sample, row in zip(read(target), rows(exported()), strict=True):
        with (exported() / row["shard"]).open("rb") as file:
            file.seek(row["offset"])
            assert sample["flac"] == file.read(row["bytes"])
        told = json.loads(sample["json"])
        assert told["speaker"] == told["meta"]["speaker"] == row["meta"]["spk"]
        assert "spk" not in told["meta"]


def test_files_become_tars(exported: Output, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"24 utterances.* and 19 more: .*--audio writes tars"):
        export(str(exported("files")), str(tmp_path / "tars"), ExportOptions("webdataset"))
    export(str(exported("files")), str(tmp_path / "tars"), ExportOptions("webdataset", audio=True))
    assert_same(read(tmp_path / "tars"), rows(exported("files")))


@pytest.mark.parametrize("where", ["s3://bucket/audio", "https://example.org/a%20b/audio/"])
def test_tars_by_url_are_not_linked(exported: Output, tmp_path: Path, where: str) -> None:
    target = tmp_path / "tars"
    export(str(exported()), str(target), ExportOptions("webdataset", base=where))
    urls = [f"{where.rstrip('/')}/{name}" for name in dict.fromkeys(row["shard"] for row in rows(exported()))]
    assert [each["url"] for each in index(target)] == urls
    opened = [f"pipe:aws s3 cp '{url}' -" for url in urls] if where.startswith("s3") else urls
    assert listed(target) == opened
    assert not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"where": "duration > 1"}, r"with --where duration > 1: .*Pass --audio"),
        ({"renamed": (("spk", "speaker"),)}, r"with --map: .*Pass --audio"),
        ({"split": parse_split("train=0.5,dev=0.5")}, r"with --split by key: .*or --by shard"),
    ],
)
def test_what_needs_new_tars_says_so(exported: Output, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        export(str(exported()), str(tmp_path / "tars"), ExportOptions("webdataset", **options))
    assert list(tmp_path.iterdir()) == []


def test_splits_by_shard_link_whole_tars_and_by_key_write_new_ones(exported: Output, tmp_path: Path) -> None:
    split = parse_split("train=0.6,dev=0.4")
    for name, options in (("linked", {"by": "shard"}), ("new", {"audio": True})):
        target = tmp_path / name
        export(str(exported()), str(target), ExportOptions("webdataset", split=split, **options))
        found = {part: [unescape(each["__key__"]) for each in read(target, part)] for part in ("train", "dev")}
        assert Counter(found["train"] + found["dev"]) == Counter(HOSTILE_KEYS)
        assert found["train"]
        assert found["dev"]
        order = [row["key"] for row in rows(exported())]
        assert all(keys == sorted(keys, key=order.index) for keys in found.values())


def test_a_seed_shuffles_the_lists_the_same_way_each_time(exported: Output, tmp_path: Path) -> None:
    lists = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None)):
        export(str(exported()), str(tmp_path / name), ExportOptions("webdataset", shuffle=seed))
        lists.append(listed(tmp_path / name))
        assert [each["url"] for each in index(tmp_path / name)] == lists[-1]
    assert lists[0] == lists[1] != lists[2]
    assert sorted(lists[0]) == sorted(lists[2]) == lists[3]


def test_superseded_shards_are_never_listed(own_output: Path, tmp_path: Path) -> None:
    run(job_of(tmp_path, subtype="PCM_24"))
    assert len(list((own_output / "data").iterdir())) == 2 * len({row["shard"] for row in rows(own_output)})
    export(str(own_output), str(tmp_path / "tars"), ExportOptions("webdataset"))
    assert_same(read(tmp_path / "tars"), rows(own_output))


def test_only_the_tars_that_changed_are_written_again(own_output: Path, tmp_path: Path) -> None:
    target = tmp_path / "tars"
    options = ExportOptions("webdataset", audio=True)
    assert export(str(own_output), str(target), options).reused == 0
    before = {name: (target / name).stat().st_ino for name in listed(target)}
    metas = [meta_of(number) for number in range(len(HOSTILE_KEYS))]
    metas[3]["text"] = "corrected"
    write_metas(tmp_path, metas)
    run(job_of(tmp_path))
    report = export(str(own_output), str(target), options)
    assert_same(read(target), rows(own_output))
    after = {name: (target / name).stat().st_ino for name in listed(target)}
    assert report.reused == len(before) - 1 == sum(inode in before.values() for inode in after.values())


def test_tars_without_json_are_exported_with_a_note(exported: Output, tmp_path: Path) -> None:
    out = exported(sidecar="none")
    report = export(str(out), str(tmp_path / "tars"), ExportOptions("webdataset"))
    assert any("hold audio alone" in note for note in report.receipt.notes)
    assert all("json" not in sample for sample in read(tmp_path / "tars"))
    report = export(str(out), str(tmp_path / "new"), ExportOptions("webdataset", audio=True))
    assert not any("hold audio alone" in note for note in report.receipt.notes)
    assert_same(read(tmp_path / "new"), rows(out))


def test_tars_with_earlier_texts_are_refused_by_their_keys(exported: Output, tmp_path: Path) -> None:
    """As of an output of an early melmill, which published other texts than its tars have."""
    out = Path(shutil.copytree(exported(), tmp_path / "audio"))
    text = (out / "manifest.jsonl").read_text()
    (out / "manifest.jsonl").write_text(text.replace("Satz 3:", "Satz drei:"))
    for name in ("published.json", "publishing.json"):
        (out / "_melmill" / name).unlink()
    with pytest.raises(ConfigError, match=rf"cannot say 1 utterance, .*'{HOSTILE_KEYS[3]}': .*earlier metadata"):
        export(str(out), str(tmp_path / "tars"), ExportOptions("webdataset"))
    export(str(out), str(tmp_path / "tars"), ExportOptions("webdataset", audio=True))
    assert_same(read(tmp_path / "tars"), rows(out))
