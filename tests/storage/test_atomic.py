import os
import stat
from pathlib import Path

import pytest

from pipeline.storage.atomic import atomic_write, put_in_place


def test_a_file_appears_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"one", b"two"):
        with atomic_write(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"one"
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_the_umask_decides_who_may_use_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "file") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_what_fails_while_it_is_written_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def stopped() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_taken_is_refused_if_it_may_not_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def late() -> None:
        with atomic_write(path, replace=False) as file:
            file.write(b"late")
            path.write_bytes(b"first")  # another process is quicker

    with pytest.raises(FileExistsError, match="file"):
        late()
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_beside_is_overwritten(tmp_path: Path) -> None:
    path, beside = tmp_path / "0", tmp_path / "0.new"
    beside.write_bytes(b"half, and longer than the whole")
    with atomic_write(path, beside=beside) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert not beside.exists()


@pytest.mark.parametrize("replace", [True, False])
def test_the_content_is_synced_before_the_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def seen(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "target").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    (tmp_path / "file").write_bytes(b"x")
    assert put_in_place(tmp_path / "file", tmp_path / "target", replace)
    assert synced == [(str(tmp_path / "file"), False), (str(tmp_path), True)]
