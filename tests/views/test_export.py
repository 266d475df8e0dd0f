"""`export` as a whole, in one simple format: what it writes, when it writes, and what it never does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import rows
from support.exports import HOSTILE_KEYS, job_of, meta_of, tree, write_metas

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.jobs.run import run
from pipeline.output.layout import RECEIPT
from pipeline.storage.whole_folder import WholeFolder
from pipeline.views.formats import audiofolder
from pipeline.views.options import ExportOptions
from pipeline.views.receipt import Receipt
from pipeline.views.run import export

Output = Callable[..., Path]
FOLDER = ExportOptions("audiofolder", audio=True)


@pytest.fixture(autouse=True)
def _lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists stay lists: a table needs pyarrow, which is an extra; see tests/views/extras."""
    monkeypatch.setattr(audiofolder, "_looks_like_time", lambda value: False)


def lines(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / split / "metadata.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize("audio", [True, False])
def test_every_utterance_is_there_in_order_with_its_bytes(
    exported: Output, tmp_path: Path, container: str, audio: bool
) -> None:
    out = exported(container)
    options = ExportOptions("audiofolder", audio=audio)
    if container == "tar" and not audio:
        with pytest.raises(ConfigError, match="are in tars"):
            export(str(out), str(tmp_path / "folder"), options)
        assert list(tmp_path.iterdir()) == []
        return
    report = export(str(out), str(tmp_path / "folder"), options)
    assert (report.receipt.counts["utterances"], report.receipt.counts["of"]) == (24, 24)
    found = lines(tmp_path / "folder")
    assert [each["key"] for each in found] == [row["key"] for row in rows(out)]
    assert {each["key"] for each in found} == set(HOSTILE_KEYS)
    for line, row in zip(found, rows(out), strict=True):
        path = tmp_path / "folder" / "train" / line["file_name"]
        assert path.is_symlink() == (not audio)
        name = row["shard"] if row["shard"].endswith(".tar") else f"{row['shard']}/{row['member']}"
        content = (out / name).read_bytes()[row["offset"] :][: row["bytes"]]
        assert path.read_bytes() == content
        assert line["pcm_sha256"] == row["pcm_sha256"]
        meta = meta_of(HOSTILE_KEYS.index(line["key"]))
        assert line["text"] == (meta["text"] or "")
        assert line["meta_duration"] == "long"
        assert (line["age"], line["gain"], line["ok"], line["tags"]) == tuple(
            meta[name] for name in ("age", "gain", "ok", "tags")
        )
        assert line["late"] == meta.get("late", "")
    assert {tuple(line) for line in found} == {tuple(found[0])}


def test_an_export_again_writes_nothing_until_something_changes(own_output: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    assert export(str(own_output), str(target), FOLDER).made
    before, inode = tree(target), target.stat().st_ino
    assert not export(str(own_output), str(target), FOLDER).made
    assert (tree(target), target.stat().st_ino) == (before, inode)
    metas = [meta_of(number) for number in range(len(HOSTILE_KEYS))]
    metas[3]["text"] = "corrected"
    write_metas(tmp_path, metas)
    run(job_of(tmp_path))
    report = export(str(own_output), str(target), FOLDER)
    assert report.made
    assert [line["text"] for line in lines(target) if line["key"] == HOSTILE_KEYS[3]] == ["corrected"]
    assert report.receipt.output["manifest"] != json.loads(bytes.fromhex(before[RECEIPT]))["output"]["manifest"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def test_audio_that_is_there_already_is_not_copied_again(own_output: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    export(str(own_output), str(target), FOLDER)
    before = {path.relative_to(target): path.stat().st_ino for path in target.rglob("*.flac")}
    metas = [meta_of(number) for number in range(len(HOSTILE_KEYS))]
    metas[3]["text"] = "corrected"
    write_metas(tmp_path, metas)
    run(job_of(tmp_path))
    export(str(own_output), str(target), FOLDER)
    after = {path.relative_to(target): path.stat().st_ino for path in target.rglob("*.flac")}
    changed = [path for path in after if after[path] != before.get(path)]
    shard = next(row["shard"] for row in rows(own_output) if row["key"] == HOSTILE_KEYS[3])
    assert 0 < len(changed) < len(after)
    assert {path.parent.name for path in changed if "xxxx" not in path.name} == {Path(shard).stem}


def edit(receipt: Path) -> None:
    """As of an export that was made of something else."""
    receipt.write_text(re.sub('"made_of": "(?=[0-9a-f])', '"made_of": "0', receipt.read_text()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda target: next(target.rglob("*.flac")).unlink(),
        lambda target: (target / "train" / "metadata.jsonl").write_text("{}\n"),
        lambda target: edit(target / RECEIPT),
    ],
)
def test_what_is_missing_or_cut_is_made_again(exported: Output, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    target = tmp_path / "folder"
    export(str(exported()), str(target), FOLDER)
    whole = tree(target)
    damage(target)
    assert export(str(exported()), str(target), FOLDER).made
    assert {name: each for name, each in tree(target).items() if name != RECEIPT} == {
        name: each for name, each in whole.items() if name != RECEIPT
    }


@pytest.mark.parametrize(
    ("name", "inside"), [("notes.txt", ""), ("train/feats.scp", ""), ("train/split8/1/text", "train/split8/")]
)
def test_files_of_others_are_never_deleted(exported: Output, tmp_path: Path, name: str, inside: str) -> None:
    target = tmp_path / "folder"
    export(str(exported()), str(target), FOLDER)
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds {inside or name}, which the export did not write"):
        export(str(exported()), str(target), ExportOptions("audiofolder", audio=True, renamed=(("spk", "speaker"),)))
    assert (target / name).read_text() == "mine"


def test_a_folder_that_no_export_has_written_is_refused(exported: Output, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds a\.txt, and no export of melmill"):
        export(str(exported()), str(tmp_path / "mine"), FOLDER)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="is a file"):
        export(str(exported()), str(tmp_path / "file"), FOLDER)
    assert (tmp_path / "file").read_text() == (tmp_path / "mine" / "a.txt").read_text() == "mine"


@pytest.mark.parametrize("place", [".", "export", "data/export", ".."])
def test_an_export_in_or_around_the_output_is_refused(exported: Output, place: str) -> None:
    with pytest.raises(ConfigError, match="an export needs a folder of its own"):
        export(str(exported()), str(exported() / place), FOLDER)


def test_an_object_store_is_no_place_for_an_export(exported: Output) -> None:
    with pytest.raises(ConfigError, match="an object store cannot replace all files of an export at once"):
        export(str(exported()), "s3://bucket/folder", FOLDER)


def test_what_is_no_published_output_is_refused(exported: Output, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no melmill output"):
        export(str(tmp_path / "empty"), str(tmp_path / "folder"), FOLDER)
    copy = Path(shutil.copytree(exported(), tmp_path / "audio"))
    (copy / "manifest.jsonl").unlink()
    with pytest.raises(ConfigError, match="no run has published there yet"):
        export(str(copy), str(tmp_path / "folder"), FOLDER)
    export(str(exported()), str(tmp_path / "folder"), FOLDER)
    with pytest.raises(ConfigError, match="holds no melmill output"):
        export(str(tmp_path / "folder"), str(tmp_path / "again"), FOLDER)


def test_a_manifest_that_was_changed_is_refused(exported: Output, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(exported(), tmp_path / "audio"))
    text = (copy / "manifest.jsonl").read_text()
    (copy / "manifest.jsonl").write_text(text.replace("Satz 3", "Satz 4"))
    with pytest.raises(StorageError, match="not as it was published"):
        export(str(copy), str(tmp_path / "folder"), FOLDER)
    (copy / "_melmill" / "published.json").unlink()
    (copy / "_melmill" / "publishing.json").unlink()
    (copy / "manifest.jsonl").write_text(text[:-20])
    with pytest.raises(StorageError, match=r"line 24 of .* is not a valid row"):
        export(str(copy), str(tmp_path / "folder"), FOLDER)
    assert not (tmp_path / "folder").exists()


def test_two_exports_to_one_folder_at_once_are_one(exported: Output, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with WholeFolder(target, "an export"), pytest.raises(OwnedError, match="another process is making an export in"):
        export(str(exported()), str(target), FOLDER)
    assert export(str(exported()), str(target), FOLDER).made


def test_links_stay_valid_if_output_and_export_are_moved_together(exported: Output, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    shutil.copytree(exported("files"), tmp_path / "here" / "audio")
    options = ExportOptions("audiofolder")
    export(str(tmp_path / "here" / "audio"), str(tmp_path / "here" / "folder"), options)
    os.rename(tmp_path / "here", tmp_path / "there")
    target = tmp_path / "there" / "folder"
    assert all((target / "train" / line["file_name"]).is_file() for line in lines(target))
    assert not export(str(tmp_path / "there" / "audio"), str(target), options).made


def test_the_receipt_says_of_what_and_nothing_of_the_maker(exported: Output, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    export(str(exported()), str(target), ExportOptions("audiofolder", audio=True, renamed=(("spk", "speaker"),)))
    receipt = Receipt.of(target)
    assert receipt is not None
    assert os.path.realpath(target / receipt.output["url"]) == os.path.realpath(exported())
    assert receipt.options["renamed"] == {"spk": "speaker"}
    assert {each.name for each in receipt.files} == {"README.md", "train/metadata.jsonl"}
    assert receipt.folders["train"] == 1 + len({row["shard"] for row in rows(exported())})


@pytest.mark.parametrize(
    "change",
    [
        {"shard": "../../etc/passwd"}, {"shard": "/etc/passwd"}, {"shard": "data/000001-1a2b3c4d/..", "member": "x"},
        {"shard": "data/000001-1a2b3c4d", "member": "../../../etc/passwd"}, {"member": "../../up.flac"},
    ],
)  # fmt: skip
def test_a_row_whose_names_lead_elsewhere_is_refused(exported: Output, tmp_path: Path, change: dict[str, str]) -> None:
    """As of an output of somebody else, whose digests are of no help."""
    out = Path(shutil.copytree(exported(), tmp_path / "audio"))
    changed = [{**row, **change} if at == 2 else row for at, row in enumerate(rows(out))]
    (out / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    for name in ("published.json", "publishing.json"):
        (out / "_melmill" / name).unlink()
    with pytest.raises(StorageError, match=r"line 3 of .*its audio is said to be at"):
        export(str(out), str(tmp_path / "folder"), FOLDER)
    assert not (tmp_path / "folder").exists()


KILLED = """
import os, signal, sys
from pipeline.views.formats.webdataset import Webdataset
from pipeline.views.options import ExportOptions
from pipeline.views.run import export

Webdataset.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
export(sys.argv[1], sys.argv[2], ExportOptions("webdataset", audio=True, shuffle=1))
"""


def test_an_export_that_is_killed_leaves_the_one_before_and_the_next_one_tidies_up(
    exported: Output, tmp_path: Path
) -> None:
    target = tmp_path / "tars"
    export(str(exported()), str(target), ExportOptions("webdataset"))
    before = tree(target)
    done = subprocess.run([sys.executable, "-c", KILLED, str(exported()), str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert tree(target) == before
    assert len(list(tmp_path.iterdir())) == 2
    assert export(str(exported()), str(target), ExportOptions("webdataset", shuffle=1)).made
    assert list(tmp_path.iterdir()) == [target]
