"""`melmill doctor`: what there is to work with, and what is not as fast as it can be."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import small_kernels
from support.forbidden_code import NOT_HERE
from support.paths import TESTS
from support.small_kernels import Scaling, scaled
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app
from pipeline.kernels import recipe
from pipeline.kernels.target import Target, host, named
from pipeline.workshop import installation


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; speeds are measured once, with griffin-lim."""
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path))
    monkeypatch.delenv("MELMILL_KERNELS", raising=False)
    monkeypatch.setattr(installation, "VOCODERS", ("griffin-lim",))
    monkeypatch.setattr(installation, "_PATIENCE", 0.0001)
    monkeypatch.setattr(recipe, "_loaded", {})
    return tmp_path / "kernels"


def doctor(code: int = 0) -> dict[str, str]:
    """The lines of the command, by their first word; of several with one word, the last."""
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == code, done.output
    return {line[:10].strip(): line[11:] for line in done.stdout.splitlines()}


def test_it_says_what_is_compiled_for_what_and_how_fast_it_is(folder: Path) -> None:
    ours = host()
    assert ours is not None
    for factor in (2.0, 3.0):
        scaled(Scaling(factor), ours)
    said = doctor()
    assert re.search(r"python 3\.\d+\.\d+, melmill .*llvmlite \d+\.\d+.*, llvm \d+", said["versions"])
    assert re.fullmatch(rf"{ours.cpu}, \d+ cores", said["processor"])
    assert said["kernels"] == f"for {ours.name}"
    assert re.fullmatch(rf"{folder}, [1-9]\d* files, [\d.]+ [KM]iB|{folder}, [1-9]\d* files, \d+ B", said["cache"])
    assert "Scaling (2)" in said["compiled"]
    assert said["compiled"].startswith(f"for {ours.name}: ")
    assert re.fullmatch(r"mel_distance [\d.]+ x real time", said["speed"])


def test_json_has_all_of_it() -> None:
    scaled(Scaling(4.0), host() or named("x86-64"))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found: dict[str, Any] = json.loads(done.stdout)
    ours = host()
    assert ours is not None
    assert {"recipe": "Scaling(factor=4.0)", "target": ours.name} in found["cache"]["code"]
    names = {"versions", "processor", "cores", "kernels", "kernels_problem", "cache", "speeds"}
    assert set(found) == names
    assert {each["name"]: each["times_real_time"] > 1 for each in found["speeds"]} == {
        "griffin-lim": True,
        "mel_distance": True,
    }


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (
            named("x86-64"),
            "for x86-64 (128-bit vectors, no fused multiply-add): fused multiply-adds are emulated, which is slow",
        ),
        ("it is forbidden", "none: it is forbidden. What has another way takes it: HiFi-GAN runs in onnxruntime"),
    ],
)
def test_it_says_what_is_not_as_fast_as_it_can_be_and_why(
    target: Target | str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "available", lambda: target)
    assert doctor()["kernels"].startswith(line)


def test_a_cache_that_cannot_be_used_is_said_with_the_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert doctor()["cache"].startswith(f"{folder} cannot be used: {folder} has mode 777, so others could put code")
    monkeypatch.setenv("MELMILL_CACHE", "/proc/nowhere")
    assert doctor()["cache"].startswith("/proc/nowhere/kernels cannot be used: No such file or directory")
    monkeypatch.delenv("MELMILL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert doctor()["cache"] == "none: no home folder is known. Set MELMILL_CACHE to a folder that you can write"


def test_a_vocoder_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "VOCODERS", ("nothing-like-it",))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 2
    assert "speed      nothing-like-it cannot be used: no vocoder is named 'nothing-like-it'" in done.stdout


def test_a_processor_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_KERNELS", "i486")
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 2


def test_to_look_at_kept_code_is_no_use_of_it(folder: Path) -> None:
    ours = host()
    assert ours is not None
    scaled(Scaling(3.0), ours)
    (file,) = folder.iterdir()
    a_day_ago = int(time.time()) - 86400  # not so long that it is removed as one that nobody uses
    os.utime(file, (a_day_ago, a_day_ago))
    doctor()
    assert file.stat().st_mtime == a_day_ago
    assert small_kernels.emitted


def test_where_compiled_code_is_forbidden_it_says_so_and_hifigan_still_runs(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(pipeline.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-m", "support.forbidden_code", "seccomp", sys.executable, "-m", "pipeline", "doctor"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode == NOT_HERE:
        pytest.skip("this kernel has no filters of system calls")
    assert "kernels    none: this system lets no process run code that it has compiled itself" in done.stdout
    assert re.search(r"^speed      hifigan-universal [\d.]+ x real time$", done.stdout, re.MULTILINE)
    assert done.returncode in (0, 2), done.stderr  # 2 where a vocoder has no other way
