"""Compiled code and arrays are made once for a machine, wherever they can be kept and believed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import small_kernels
from support.kernels import TARGETS
from support.small_kernels import ARRAY, Scaling, scaled, used

from pipeline.kernels import cache, recipe
from pipeline.kernels.mapped import mapped
from pipeline.kernels.recipe import library

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="plays other users, or mounts")
HOST = TARGETS[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept files, of a process that has loaded nothing yet."""
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "cache"))
    restarted(monkeypatch)
    return tmp_path / "cache" / "kernels"


def restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "_loaded", {})
    monkeypatch.setattr(small_kernels, "emitted", [])
    cache._say_once.cache_clear()


def kept(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*"))


# ---- compiled code


def test_code_is_compiled_once_and_loaded_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scaled(Scaling(2.0), HOST)
    (file,) = kept(folder, "code")
    restarted(monkeypatch)
    monkeypatch.setattr(Scaling, "emit", None)
    assert scaled(Scaling(2.0), HOST).tobytes() == first.tobytes() == np.arange(0, 96, 3, dtype=np.float32).tobytes()
    assert kept(folder, "code") == [file]


def test_one_process_has_one_library_of_a_recipe_for_a_target() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: library(Scaling(2.0), HOST), range(8)))
    assert len({id(each) for each in found}) == len(small_kernels.emitted) == 1


def test_other_parameters_targets_and_sources_are_other_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for nodes of different processors with one home, and two versions of melmill."""
    for factor in (1.0, 2.0):
        for target in TARGETS:
            assert scaled(Scaling(factor), target)[1] == factor + 1
    assert len(kept(folder, "code")) == len(small_kernels.emitted) == 2 * len(TARGETS)
    sources = tmp_path / "sources" / "kernels"
    shutil.copytree(Path(cache.__file__).parent, sources)
    (sources / "values.py").write_text((sources / "values.py").read_text() + "\n")
    monkeypatch.setattr(cache, "__file__", str(sources / "cache.py"))
    cache._sources.cache_clear()
    restarted(monkeypatch)
    scaled(Scaling(1.0), HOST)
    cache._sources.cache_clear()
    assert len(kept(folder, "code")) == 2 * len(TARGETS) + 1


def test_a_recipe_must_say_all_that_it_depends_on() -> None:
    with pytest.raises(AssertionError):
        cache.identity(np.zeros(2000))
    with pytest.raises(AssertionError):
        cache.identity(object())
    assert cache.identity(1, "2") != cache.identity("1", 2)


@pytest.mark.parametrize("damage", ["truncated", "empty", "a bit", "another file"])
def test_a_damaged_file_is_made_again(folder: Path, damage: str) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    first = used(environment)
    (file,) = kept(folder, "code")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "truncated": whole[:middle],
            "empty": b"",
            "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "another file": b"not ours\n" * 100,
        }[damage]
    )
    assert used(environment) == {**first, "computed": 0}  # in a process of its own: LLVM may crash on what is damaged
    assert file.read_bytes() == whole


# ---- arrays


def count(parts: tuple[object, ...], made: list[int]) -> NDArray[np.float32]:
    def make() -> NDArray[np.float32]:
        made.append(1)
        return np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    return mapped(parts, make)


def test_an_array_is_computed_once_and_mapped_after(folder: Path) -> None:
    made: list[int] = []
    found = [count(("model", 1), made), count(("model", 1), made)]
    assert len(made) == len(kept(folder, "array")) == 1
    for each in found:
        assert each.tobytes() == np.arange(24, dtype=np.float32).tobytes()
        assert (each.shape, each.dtype, each.flags.writeable) == ((2, 3, 4), np.float32, False)
        assert each.ctypes.data % 64 == 0
    count(("model", 2), made)
    assert len(made) == len(kept(folder, "array")) == 2


@pytest.mark.parametrize("size", [-4, 4, -96, -4096, -5000])
def test_an_array_that_is_not_whole_is_computed_again(folder: Path, size: int) -> None:
    made: list[int] = []
    count(("model",), made)
    (file,) = kept(folder, "array")
    whole = file.read_bytes()
    file.write_bytes((whole + bytes(4))[: len(whole) + size])
    assert count(("model",), made).tobytes() == np.arange(24, dtype=np.float32).tobytes()
    assert len(made) == 2
    assert file.read_bytes() == whole


def test_an_array_outlives_its_file(folder: Path) -> None:
    array = count(("model",), [])
    (file,) = kept(folder, "array")
    file.unlink()
    assert array[1, 2, 3] == 23


def test_without_a_place_an_array_is_in_memory_and_aligned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "file"))
    for shift in range(4):
        room = np.zeros(400, np.float32)[shift : shift + 256]
        array = mapped(("model",), lambda room=room: room)  # type: ignore[misc]
        assert (array.ctypes.data % 64, array.flags.writeable, array.shape) == (0, False, (256,))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/file/kernels cannot be used, so each process compiles its kernels itself: Not a directory"
    ]


# ---- places


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="melmill-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def once_made(found: dict[str, Any]) -> bool:
    return (found["emitted"], found["computed"], found["mapped"], found["logged"]) == (1, 1, 1, [])


def test_a_second_process_compiles_and_computes_nothing(tmp_path: Path) -> None:
    environment = {"MELMILL_CACHE": str(tmp_path / "cache")}
    first, second = used(environment), used(environment)
    assert once_made(first)
    assert second == {**first, "emitted": 0, "computed": 0}


def test_processes_at_once_all_find_whole_files(folder: Path) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: used(environment), range(4)))
    assert {(each["digest"], each["mapped"], *each["logged"]) for each in found} == {(found[0]["digest"], 1)}
    assert {path.name.partition("-")[0] for path in folder.iterdir()} == {"code", "array"}
    assert len(list(folder.iterdir())) == 2


def refused(found: dict[str, Any], reason: str) -> bool:
    """Whether all was made in memory, with one line that says why."""
    (line,) = found["logged"]
    assert reason in line, line
    return (found["emitted"], found["computed"], found["mapped"]) == (1, 1, 0)


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_a_home_that_cannot_be_written_is_said_in_one_line(home: str) -> None:
    environment = {"HOME": home, "MELMILL_CACHE": "", "XDG_CACHE_HOME": ""}
    assert refused(used(environment), f"{home}/.cache/melmill/kernels cannot be used")


@as_root
@pytest.mark.parametrize(("kilobytes", "fits"), [(4, False), (200, False), (1000, True)])
def test_a_full_disk_leaves_nothing_half_written(place: Path, kilobytes: int, fits: bool) -> None:
    listed = place.with_suffix(".txt")
    mount = f"mount -t tmpfs -o size={kilobytes}k,mode=755 none {place}"
    script = f'{mount} && "$@" && find {place} -type f > {listed}'
    found = used({"MELMILL_CACHE": str(place)}, "unshare", "--mount", "sh", "-c", script, "sh")
    names = {Path(line).name.partition("-")[0] for line in listed.read_text().splitlines()}
    listed.unlink()
    if fits:
        assert once_made(found)
        assert names == {"code", "array"}
    else:
        assert names <= {"code"}
        (line,) = found["logged"]
        assert "No space left on device" in line
        assert (found["computed"], found["mapped"]) == (1, 0)


@as_root
def test_what_a_read_only_folder_holds_is_used(place: Path) -> None:
    """As in an image that was built with its cache."""
    environment = {"MELMILL_CACHE": str(place)}
    first = used(environment)
    script = f'mount --bind -o ro {place} {place} && mount -o remount,bind,ro {place} && "$@"'
    for path in (place / "kernels").iterdir():
        os.utime(path, (0, 0))
    another = ("setpriv", "--reuid=3001", "--regid=2000", "--clear-groups")
    may_start = subprocess.run([*another, sys.executable, "-c", ""], capture_output=True).returncode == 0
    for user in ((), another)[: 1 + may_start]:
        second = used(environment, "unshare", "--mount", "sh", "-c", script, "sh", *user)
        assert second == {**first, "emitted": 0, "computed": 0}
    shutil.rmtree(place / "kernels")
    second = used(environment, "unshare", "--mount", "sh", "-c", script, "sh")
    assert refused(second, "Read-only file system")


# ---- what others may have written


@as_root
@pytest.mark.parametrize("what", ["folder", "files"])
def test_what_another_user_owns_is_refused(place: Path, what: str) -> None:
    environment = {"MELMILL_CACHE": str(place)}
    used(environment)
    for path in [place / "kernels"] if what == "folder" else list((place / "kernels").iterdir()):
        os.chown(path, 3001, 2000)
    found = used(environment)
    assert (found["emitted"], found["computed"], found["mapped"]) == (1, 1, 0)
    assert all("belongs to user 3001" in line for line in found["logged"])
    assert 1 <= len(found["logged"]) <= 2


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("what", ["folder", "files"])
def test_what_others_may_write_is_refused(folder: Path, what: str, mode: int) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    used(environment)
    for path in [folder] if what == "folder" else list(folder.iterdir()):
        path.chmod(path.stat().st_mode | mode)
    found = used(environment)
    assert all("chmod go-w" in line for line in found["logged"])
    assert 1 <= len(found["logged"]) <= 2
    assert found["emitted"] == 1


@pytest.mark.parametrize("what", ["folder", "files"])
def test_symbolic_links_are_refused(folder: Path, tmp_path: Path, what: str) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    used(environment)
    for path in [folder] if what == "folder" else list(folder.iterdir()):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    found = used(environment)
    assert found["emitted"] == 1
    assert all("is a symbolic link" in line for line in found["logged"])
    assert 1 <= len(found["logged"]) <= 2


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(folder: Path) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    used(environment)
    for path in folder.iterdir():
        path.unlink()
        os.mkfifo(path, 0o600)
    assert all("not a regular file" in line for line in used(environment)["logged"])


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_files_are_ours_alone_to_write_whatever_the_umask(folder: Path, umask: int) -> None:
    environment = {"MELMILL_CACHE": str(folder.parent)}
    first = used(environment, "sh", "-c", f'umask {umask:o}; "$@"', "sh")
    assert first["logged"] == []
    assert used(environment)["emitted"] == 0
    for path in (folder, *folder.iterdir()):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644) & ~umask


# ---- it does not grow for ever


def test_files_that_are_not_used_any_more_are_removed_when_one_is_written(folder: Path) -> None:
    scaled(Scaling(2.0), HOST)
    (used_lately,) = kept(folder, "code")
    week, old = time.time() - 7 * 86400, time.time() - 31 * 86400
    for name, used_last in (("code-old", old), (".array-x.killed", week), (".array-y.written", time.time())):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (used_last, used_last))
    os.utime(used_lately, (week, week))
    scaled(Scaling(3.0), HOST)
    names = {path.name for path in folder.iterdir()}
    assert used_lately.name in names
    assert ".array-y.written" in names
    assert len(names) == 3


def test_beyond_a_size_those_go_that_were_not_used_for_longest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    for number in range(4):
        count(("model", number), made)
        (file,) = (path for path in kept(folder, "array") if path.stat().st_mtime > time.time() - 3600)
        os.utime(file, (time.time() - (9 - number) * 10_000,) * 2)
    one = kept(folder, "array")[0].stat().st_size
    monkeypatch.setattr(cache, "_MOST_BYTES", int(3.5 * one))
    count(("model", 0), made)  # so it was used last of the four
    count(("model", 4), made)
    assert len(kept(folder, "array")) == 3
    for number, again in ((0, 0), (3, 0), (4, 0), (1, 1)):
        before = len(made)
        count(("model", number), made)
        assert len(made) - before == again


def test_use_is_marked_once_an_hour(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled(Scaling(2.0), HOST)
    (file,) = kept(folder, "code")
    for ago, marked in ((1000, False), (10_000, True)):
        os.utime(file, (time.time() - ago,) * 2)
        restarted(monkeypatch)
        scaled(Scaling(2.0), HOST)
        assert (time.time() - file.stat().st_mtime < 900) == marked


def test_two_threads_compute_an_array_once(folder: Path) -> None:
    made: list[int] = []
    start = threading.Barrier(4)

    def one(_: int) -> NDArray[np.float32]:
        start.wait()
        return count(("threads",), made)

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(one, range(4)))) == 4
    assert len(made) == 1


def test_of_two_processes_that_compute_at_once_both_map_the_first_file(folder: Path) -> None:
    first = []

    def make() -> NDArray[np.float32]:
        """Meanwhile another process writes the file."""
        assert once_made(used({"MELMILL_CACHE": str(folder.parent)}))
        (file,) = kept(folder, "array")
        first.append(file.stat().st_ino)
        return np.arange(ARRAY, dtype=np.float32)

    array = mapped(("small",), make)
    (file,) = kept(folder, "array")
    maps = Path("/proc/self/maps").read_text().splitlines()
    assert [int(line.split()[4]) for line in maps if str(file) in line] == first
    assert array[-1] == ARRAY - 1


def test_a_folder_of_the_cache_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert once_made(used({"MELMILL_CACHE": str(tmp_path / "a" / "b")}))
    assert len(list((tmp_path / "a" / "b" / "kernels").iterdir())) == 2
