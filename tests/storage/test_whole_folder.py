"""A folder is replaced whole: whoever looks sees the old one or the new one, whenever a process dies."""

import os
import threading
from pathlib import Path

import pytest
from support.exports import tree

from pipeline.errors import OwnedError, StorageError
from pipeline.storage import whole_folder
from pipeline.storage.whole_folder import WholeFolder, check_folder


def put(target: Path, **files: str) -> None:
    with WholeFolder(target, "a test") as whole:
        for name, text in files.items():
            (whole.path / name).write_text(text)
        whole.put_in_place()


def texts(target: Path) -> dict[str, str]:
    return {name: bytes.fromhex(text).decode() for name, text in tree(target).items()}


@pytest.fixture(params=["exchange", "renames"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "renames":
        monkeypatch.setattr(whole_folder, "_exchanged", lambda one, other: False)


@pytest.mark.usefixtures("_way")
def test_the_new_folder_takes_the_place_of_the_old_one_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a" / "folder"
    put(target, one="1", two="2")
    put(target, two="zwei")
    assert texts(target) == {"two": "zwei"}
    assert [each.name for each in target.parent.iterdir()] == ["folder"]


def test_without_put_in_place_everything_is_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with WholeFolder(target, "a test") as whole:
        (whole.path / "half").write_text("1")
    assert list(tmp_path.iterdir()) == []
    put(target, one="1")
    with pytest.raises(KeyError), WholeFolder(target, "a test") as whole:  # noqa: PT012
        (whole.path / "half").write_text("1")
        raise KeyError
    assert texts(target) == {"one": "1"}
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    put(target, one="1")
    left = tmp_path / ".folder.melmill-new"
    (left / "a" / "b").mkdir(parents=True)
    (left / "file").write_text("half")
    put(target, two="2")
    assert texts(target) == {"two": "2"}
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_process_that_died_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    put(target, one="1")
    os.rename(target, tmp_path / ".folder.melmill-old")
    with WholeFolder(target, "a test"):
        assert texts(target) == {"one": "1"}
    assert texts(target) == {"one": "1"}


@pytest.mark.usefixtures("_way")
def test_readers_always_see_a_whole_folder(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader on a busy machine may miss the instant between two renames; so it is looked at after each, too."""
    if "renames" in request.node.name:
        pytest.skip("there is an instant without the folder")
    target = tmp_path / "folder"
    put(target, a="0", b="0")
    seen, done, rename, away = set(), threading.Event(), Path.rename, []

    def renamed(path: Path, to: Path) -> Path:
        found = rename(path, to)
        away.append(not target.exists())
        return found

    monkeypatch.setattr(Path, "rename", renamed)

    def look() -> None:
        while not done.is_set():
            descriptor = os.open(target, os.O_RDONLY)
            try:
                found = []
                for name in ("a", "b"):
                    file = os.open(name, os.O_RDONLY, dir_fd=descriptor)
                    found.append(os.read(file, 10))
                    os.close(file)
                seen.add(tuple(found))
            except FileNotFoundError:  # the old folder, which is being deleted
                pass
            finally:
                os.close(descriptor)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 60):
        put(target, a=str(number), b=str(number))
    done.set()
    thread.join()
    assert all(one == other for one, other in seen)
    assert not any(away)


def test_only_one_process_is_at_work(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    put(target, one="1")
    with WholeFolder(target, "a test") as whole:
        with pytest.raises(OwnedError, match=rf"another process is making a test in {target}"):
            put(target, two="2")
        (whole.path / "three").write_text("3")
        whole.put_in_place()
        with pytest.raises(OwnedError):  # until the old folder is deleted
            put(target, two="2")
    put(target, four="4")
    assert texts(target) == {"four": "4"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    put(tmp_path / "folder", one="1")
    (tmp_path / "link").symlink_to("folder")
    put(tmp_path / "link", two="2")
    assert (tmp_path / "link").is_symlink()
    assert texts(tmp_path / "folder") == {"two": "2"}


def test_a_place_that_cannot_be_written_is_an_error_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"writing /proc/\.folder\.melmill-new: .* \(check the p"):
        put(Path("/proc/folder"), one="1")
    (tmp_path / "file").write_text("1")
    with pytest.raises(StorageError, match="is a file"):
        check_folder(tmp_path / "file")
    check_folder(tmp_path)
    check_folder(tmp_path / "new")
