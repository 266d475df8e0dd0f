import errno
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.storage_tests import Open, StorageTests, content

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.storage import PRIVATE, SCRATCH, LocalStorage, open_storage


class TestLocal(StorageTests):
    """In a folder."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return lambda: LocalStorage(tmp_path / "out")


class TestMemory(StorageTests):
    """In an object store, which fsspec's store in memory stands for: tests/storage/conftest.py."""


def race(root: str, number: int, start: "multiprocessing.synchronize.Barrier", wins: "multiprocessing.Queue") -> None:
    start.wait()
    wins.put((number, LocalStorage(Path(root)).put_if_absent("data/object", str(number).encode() * 1000)))


def test_of_eight_racing_processes_one_wins_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, wins = context.Barrier(8), context.Queue()
    racers = [context.Process(target=race, args=(str(tmp_path), n, start, wins)) for n in range(8)]
    for racer in racers:
        racer.start()
    results = [wins.get() for _ in racers]
    for racer in racers:
        racer.join()
    wins.close()
    wins.join_thread()
    (winner,) = [number for number, won in results if won]
    assert content(LocalStorage(tmp_path), "data/object") == str(winner).encode() * 1000


def test_every_write_is_synced_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that survives a power cut, as the operating system saw it."""
    calls: list[tuple[str, str]] = []
    real_fsync, real_link, real_replace = os.fsync, os.link, os.replace

    def seen_fsync(descriptor: int) -> None:
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def seen_link(source: Path, target: Path) -> None:
        calls.append(("name", str(source)))
        real_link(source, target)

    def seen_replace(source: Path, target: Path) -> None:
        calls.append(("name", str(source)))
        real_replace(source, target)

    storage = LocalStorage(tmp_path)
    storage.put_if_absent("data/first", b"makes the folders")
    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    monkeypatch.setattr(os, "replace", seen_replace)
    (tmp_path / "source").write_bytes(b"x")
    for write, source in itertools.product((storage.put_if_absent, storage.replace), (b"x", tmp_path / "source")):
        calls.clear()
        write("data/object", source)
        named = next(i for i, (what, _) in enumerate(calls) if what == "name")
        assert ("fsync", calls[named][1]) in calls[:named]
        assert ("fsync", str(tmp_path / "data")) in calls[named:]
        storage.delete("data/object")


@pytest.mark.parametrize(
    ("hours", "age"),
    [(0.0, r"for 0:00:0\d"), (3.5, r"for 3:30:0\d"), (50.0, r"for 2 days, 2:00:0\d"), (-24.0, "just now")],
)
def test_a_second_run_is_told_for_how_long_and_a_clock_that_is_off_matters_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float, age: str
) -> None:
    with LocalStorage(tmp_path).lock("run 1 on here"):
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
        with pytest.raises(OwnedError, match=rf"run 1 on here, {age}\. Wait"), LocalStorage(tmp_path).lock("run 2"):
            pass


@pytest.mark.parametrize(
    ("left", "told"), [("", "it has just begun"), ("run 0 on there", "run 0 on there"), ("a\nb", "a")]
)
def test_a_lock_that_says_nothing_of_its_age_is_a_lock(tmp_path: Path, left: str, told: str) -> None:
    with LocalStorage(tmp_path).lock("run 1"):
        (tmp_path / PRIVATE / "run.lock").write_text(left)
        with pytest.raises(OwnedError, match=rf": {told}\. Wait"), LocalStorage(tmp_path).lock("run 2"):
            pass


def test_a_lock_whose_file_cannot_be_written_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=r"run\.lock: No space left.*make room"), LocalStorage(tmp_path).lock("run"):
        pass


def test_an_object_that_cannot_be_read_to_its_end_is_a_storage_error(tmp_path: Path) -> None:
    """As on a network file system that goes away: the object opens and then fails."""
    with pytest.raises(StorageError, match="reading /proc/self/mem: Input/output error"):
        content(LocalStorage(Path("/proc/self")), "mem")


def test_the_lock_of_a_killed_run_does_not_block_the_next(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipeline.storage import LocalStorage\n"
        "with LocalStorage(Path(sys.argv[1])).lock('dead'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OwnedError), LocalStorage(tmp_path).lock("live"):
            pass
        holder.send_signal(signal.SIGKILL)
    with LocalStorage(tmp_path).lock("live"):
        pass


def test_the_lock_clears_what_dead_runs_left_half_written(tmp_path: Path) -> None:
    left = tmp_path / SCRATCH / "dead" / "shard.tar"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    with LocalStorage(tmp_path).lock("live"):
        assert not left.exists()


def test_the_lock_clears_what_its_own_dropped_workers_left_half_written(tmp_path: Path) -> None:
    left = tmp_path / SCRATCH / "dropped"
    with LocalStorage(tmp_path).lock("live"):
        left.mkdir(parents=True)
    assert not left.exists()


def test_who_holds_the_output_can_be_asked_without_being_in_the_way(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.holder() is None
    assert not list(tmp_path.iterdir())
    with storage.lock("run 1 on here"):
        assert (storage.holder() or "").startswith("run 1 on here, for 0:00:0")
        (tmp_path / PRIVATE / "run.lock").write_text("")
        assert storage.holder() == "it has just begun"
    assert storage.holder() is None


def test_of_parts_that_share_an_output_the_last_is_told(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with storage.share("part 1 on here"), storage.share("part 2 on there"):
        assert (storage.holder() or "").startswith("part 2 on there, for 0:00:0")
        with pytest.raises(OwnedError, match="part 2 on there"), storage.lock("run 1"):
            pass


def ask(root: str, asked: "multiprocessing.synchronize.Event", stop: "multiprocessing.synchronize.Event") -> None:
    while not stop.is_set():
        LocalStorage(Path(root)).holder()
        asked.set()


def test_whoever_asks_all_the_time_keeps_no_run_from_beginning(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    asked, stop = context.Event(), context.Event()
    asker = context.Process(target=ask, args=(str(tmp_path), asked, stop))
    with LocalStorage(tmp_path).lock("first"):
        asker.start()
        asked.wait()
    for _ in range(300):
        with LocalStorage(tmp_path).lock("run"):
            pass
    stop.set()
    asker.join()


def test_what_is_deleted_is_gone_durably_and_its_empty_folders_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    for name in ("data/1/a/b", "data/1/c", "data/2"):
        storage.put_if_absent(name, b"x")
    synced: list[str] = []
    real_fsync = os.fsync

    def seen_fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    for name in ("data/1/a/b", "data/1/c", "data/1/c", "data/3"):
        storage.delete(name)
    assert synced == [str(tmp_path / "data" / name) for name in ("1/a", "1")] + [str(tmp_path / "data")]
    assert list((tmp_path / "data").rglob("*")) == [tmp_path / "data" / "2"]


def test_a_folder_that_another_attempt_has_emptied_and_removed_is_made_again(tmp_path: Path) -> None:
    one, other = LocalStorage(tmp_path), LocalStorage(tmp_path)
    one.put_if_absent("data/a/x", b"x")
    other.delete("data/a/x")
    assert not (tmp_path / "data").exists()
    assert one.put_if_absent("data/a/y", b"y")
    assert list(one.list("data")) == ["data/a/y"]


def test_an_output_below_a_file_is_a_storage_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/out.*a part of this path is a file") as caught:
        LocalStorage(tmp_path / "file" / "out").replace("x", b"")
    assert caught.value.exit_code == 6


def test_an_output_that_melmill_cannot_write_to_is_refused() -> None:
    with pytest.raises(ConfigError, match="ftp:// is not supported"):
        open_storage("ftp://host/audio")


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    assert open_storage(f"file://{tmp_path}").url == str(tmp_path)
