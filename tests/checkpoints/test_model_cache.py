from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from pipeline.checkpoints.model_cache import cached
from pipeline.errors import ConfigError


@pytest.fixture(autouse=True)
def no_cache_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MELMILL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_model_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "chosen"))
    built = []

    def build() -> bytes:
        built.append(1)
        return b"model"

    assert cached("a.onnx", build) == cached("a.onnx", build) == tmp_path / "chosen" / "a.onnx"
    assert built == [1]
    assert (tmp_path / "chosen" / "a.onnx").read_bytes() == b"model"


def test_the_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached("a", bytes) == tmp_path / "home" / ".cache" / "melmill" / "a"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cached("a", bytes) == tmp_path / "home" / ".cache" / "melmill" / "a"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cached("a", bytes) == tmp_path / "xdg" / "melmill" / "a"


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path))

    def build() -> bytes:
        raise ConfigError("no checkpoint")

    with pytest.raises(ConfigError, match="no checkpoint"):
        cached("a", build)
    assert list(tmp_path.iterdir()) == []


def test_a_chosen_folder_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"MELMILL_CACHE: .*file cannot be used"):
        cached("a", lambda: b"model")


def test_without_a_home_a_folder_of_the_process_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file, so that nothing can be made below it")
    path = cached("a", lambda: b"model")
    assert path.read_bytes() == b"model"
    assert os.stat(path.parent).st_mode & 0o077 == 0
    assert cached("b", lambda: b"other").parent == path.parent


def _build_mine(folder: str, start: object, found: object) -> None:
    os.environ["MELMILL_CACHE"] = folder
    start.wait()  # type: ignore[attr-defined]
    path = cached("raced", lambda: bytes([os.getpid() % 256]) * 5_000_000)
    content = path.read_bytes()
    found.put((len(content), len(set(content))))  # type: ignore[attr-defined]


def test_racing_processes_each_find_a_whole_model(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, found = context.Barrier(4), context.Queue()
    racers = [context.Process(target=_build_mine, args=(str(tmp_path / "shared"), start, found)) for _ in range(4)]
    for racer in racers:
        racer.start()
    results = [found.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join()
    assert results == [(5_000_000, 1)] * 4
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["raced"]
