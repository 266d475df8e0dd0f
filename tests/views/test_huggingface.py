"""Tars with a card, in a folder of their own and in the output itself; `make test-readers` has datasets read them."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.corpora import every_byte, rows
from support.exports import job_of, meta_of, tree, write_metas

from pipeline.errors import ConfigError, StorageError
from pipeline.jobs.run import run
from pipeline.output.audit import verify
from pipeline.output.garbage import find_garbage
from pipeline.output.status import read_status
from pipeline.storage import LocalStorage
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.run import export

Output = Callable[..., Path]
CARD = ExportOptions("huggingface")


def settings(card: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(card.read_text().split("---\n")[1]))


def files_of(card: Path) -> dict[str, Any]:
    return {each["split"]: each["path"] for each in settings(card)["configs"][0]["data_files"]}


def test_a_folder_has_the_tars_of_now_and_a_card_with_all_fields(exported: Output, tmp_path: Path) -> None:
    target = tmp_path / "hf"
    export(str(exported()), str(target), CARD)
    assert files_of(target / "README.md") == {"train": "data/train-*.tar"}
    shards = dict.fromkeys(row["shard"] for row in rows(exported()))
    assert [path.resolve() for path in sorted((target / "data").iterdir())] == [exported() / name for name in shards]
    columns = {each["name"]: each for each in settings(target / "README.md")["dataset_info"]["features"]}
    assert list(columns) == ["flac", "json", "__key__", "__url__"]
    told = {each["name"]: each for each in columns["json"]["struct"]}
    assert list(told["meta"]["struct"][0]) == ["name", "dtype"]
    assert {each["name"] for each in told["meta"]["struct"]} == set(rows(exported())[0]["meta"])


def test_splits_and_urls(exported: Output, tmp_path: Path) -> None:
    split = parse_split("train=0.6,dev=0.4")
    export(str(exported()), str(tmp_path / "new"), ExportOptions("huggingface", split=split, audio=True))
    assert files_of(tmp_path / "new" / "README.md") == {name: f"data/{name}-*.tar" for name in ("train", "dev")}
    export(str(exported()), str(tmp_path / "urls"), ExportOptions("huggingface", base="https://example.org/audio"))
    shards = dict.fromkeys(row["shard"] for row in rows(exported()))
    assert files_of(tmp_path / "urls" / "README.md") == {
        "train": [f"https://example.org/audio/{name}" for name in shards]
    }
    assert set(tree(tmp_path / "urls")) == {"README.md", "melmill-export.json"}


def test_a_card_in_the_output_names_the_tars_of_now_and_is_known_to_verify_and_gc(own_output: Path) -> None:
    (own_output / "README.md").write_text("# Mine\n")
    assert verify(str(own_output)).others == ("README.md",)
    report = export(str(own_output), str(own_output), CARD)
    assert report.made
    assert files_of(own_output / "README.md")["train"] == list(dict.fromkeys(row["shard"] for row in rows(own_output)))
    assert "# Mine\n" in (own_output / "README.md").read_text()
    found = verify(str(own_output))
    assert (found.findings, found.others) == ((), ())
    assert find_garbage(str(own_output)).others == ()
    before = every_byte(own_output)
    assert not export(str(own_output), str(own_output), CARD).made
    assert every_byte(own_output) == before


def test_status_says_which_exports_are_out_of_date(own_output: Path, tmp_path: Path) -> None:
    targets = {"": own_output, "folder": tmp_path / "hf", "gone": tmp_path / "gone"}
    for target in targets.values():
        export(str(own_output), str(target), CARD)

    def ages() -> dict[str, str]:
        return {each.note.target.rpartition("/")[2]: each.age for each in read_status(str(own_output)).exports}

    assert ages() == {"": "up to date", "hf": "up to date", "gone": "up to date"}
    metas = [meta_of(number) for number in range(24)]
    metas[3]["text"] = "corrected"
    write_metas(tmp_path, metas)
    run(job_of(tmp_path))
    shutil.rmtree(targets["gone"])
    assert ages() == {"": "out of date", "hf": "out of date", "gone": "gone"}
    export(str(own_output), str(targets["folder"]), CARD)
    assert ages() == {"": "out of date", "hf": "up to date"}
    export(str(own_output), str(own_output), CARD)
    assert ages() == {"": "up to date", "hf": "up to date"}
    assert verify(str(own_output)).findings == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ExportOptions("webdataset"),
            "an export needs a folder of its own, not that of the output. Only --to huggingface",
        ),
        (ExportOptions("huggingface", audio=True), "without --audio and --base"),
        (ExportOptions("huggingface", where="duration > 1"), "Pass --audio to write new tars"),
    ],
)
def test_what_cannot_be_in_the_output_is_refused(own_output: Path, options: ExportOptions, said: str) -> None:
    before = every_byte(own_output)
    with pytest.raises(ConfigError, match=re.escape(said)):
        export(str(own_output), str(own_output), options)
    assert every_byte(own_output) == before


def test_an_output_that_cannot_be_written_is_exported_without_a_note(
    own_output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(storage: LocalStorage, name: str, source: Any) -> None:
        raise StorageError(f"writing {name}: Read-only file system")

    monkeypatch.setattr(LocalStorage, "replace", refused)
    report = export(str(own_output), str(tmp_path / "hf"), CARD)
    assert (report.made, report.noted) == (True, False)
    assert read_status(str(own_output)).exports == ()
    with pytest.raises(StorageError, match="Read-only"):
        export(str(own_output), str(own_output), CARD)


def test_an_output_with_all_kinds_of_sidecars_has_features_that_fit(exported: Output, tmp_path: Path) -> None:
    for kind, columns in (("none", ["flac", "__key__", "__url__"]), ("plain", ["flac", "json", "__key__", "__url__"])):
        export(str(exported(sidecar=kind)), str(tmp_path / kind), CARD)
        features = settings(tmp_path / kind / "README.md")["dataset_info"]["features"]
        assert [each["name"] for each in features] == columns
