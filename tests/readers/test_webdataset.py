"""webdataset and wids read exports: in order, shuffled, with workers, and each rank its part."""

import json
from pathlib import Path
from typing import Any

import pytest
import webdataset
import wids
from support.corpora import rows
from support.member_keys import unescape
from support.reader_outputs import assert_each_once_an_epoch, encoded_sha256
from torch.utils.data import DataLoader

from pipeline.errors import ConfigError
from pipeline.views.options import ExportOptions
from pipeline.views.run import export


@pytest.fixture(scope="module", params=["tars", "files", "hostile"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An output and its export, with audio in tars of the export."""
    out = request.getfixturevalue(request.param)
    target = tmp_path_factory.mktemp("made") / "tars"
    export(str(out), str(target), ExportOptions("webdataset", audio=True))
    return out, target


def urls(target: Path) -> list[str]:
    return [str(target / name) for name in (target / "train.txt").read_text().splitlines()]


def key_of(sample: dict[str, Any]) -> str:
    return unescape(sample["__key__"])


def assert_same(samples: list[dict[str, Any]], wanted: list[dict[str, Any]], dot: str = "") -> None:
    assert [key_of(each) for each in samples] == [row["key"] for row in wanted]
    for sample, row in zip(samples, wanted, strict=True):
        content = next(sample[f"{dot}{name}"] for name in ("flac", "wav") if f"{dot}{name}" in sample)
        content = content if isinstance(content, bytes) else content.read()
        assert encoded_sha256(content, row["subtype"]) == row["pcm_sha256"]
        told = sample[f"{dot}json"]
        told = json.loads(told if isinstance(told, bytes) else told.read())
        assert (told["key"], told["text"], told["meta"]) == (row["key"], row["text"], row["meta"])


def test_webdataset_reads_every_utterance_in_order(made: tuple[Path, Path]) -> None:
    out, target = made
    assert_same(list(webdataset.WebDataset(urls(target), shardshuffle=False)), rows(out))


def test_wids_reads_every_utterance_by_number(made: tuple[Path, Path]) -> None:
    out, target = made
    if any(len(row["member"]) > 99 for row in rows(out)):
        with pytest.raises(ConfigError, match="which wids does not read"):
            export(str(out), str(target.with_name("wids")), ExportOptions("wids", audio=True))
        target = target.with_name("wids")
        export(str(out), str(target), ExportOptions("wids", audio=True, where="length(key) < 80"))
    found = wids.ShardListDataset(str(target / "train.json"), transformations=[])
    assert_same(
        [found[number] for number in range(len(found))], [row for row in rows(out) if len(row["key"]) < 80], "."
    )


def test_links_are_read_as_tars(tars: Path, tmp_path: Path) -> None:
    export(str(tars), str(tmp_path / "tars"), ExportOptions("webdataset", shuffle=3))
    read = [key_of(each) for each in webdataset.WebDataset(urls(tmp_path / "tars"), shardshuffle=False)]
    assert sorted(read) == sorted(row["key"] for row in rows(tars))
    assert len(wids.ShardListDataset(str(tmp_path / "tars" / "train.json"))) == len(read)


def test_two_workers_and_shuffling_give_each_utterance_once_an_epoch(made: tuple[Path, Path]) -> None:
    out, target = made

    def epoch(number: int) -> list[str]:
        names = urls(target)
        data = webdataset.WebDataset(names, shardshuffle=100, seed=number, empty_check=False).shuffle(100)
        return [key_of(each) for each in DataLoader(data, batch_size=None, num_workers=2)]

    assert_each_once_an_epoch(epoch, [row["key"] for row in rows(out)])


def test_each_rank_reads_its_part(tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(str(tars), str(tmp_path / "tars"), ExportOptions("webdataset"))
    read = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        data = webdataset.WebDataset(
            urls(tmp_path / "tars"), shardshuffle=False, nodesplitter=webdataset.split_by_node, empty_check=False
        )
        read += [key_of(each) for each in data]
    assert sorted(read) == sorted(row["key"] for row in rows(tars))
