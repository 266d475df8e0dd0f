"""What kernels are compiled for, and where there can be none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.forbidden_code import NOT_HERE
from support.paths import TESTS

import pipeline
from pipeline.errors import ConfigError
from pipeline.kernels import target
from pipeline.kernels.target import Target, available, host, named, required

_TRIPLE = "x86_64-unknown-linux-gnu"


def test_the_target_is_this_machine_unless_another_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELMILL_KERNELS", raising=False)
    assert available() == host() == required("lift")
    monkeypatch.setenv("MELMILL_KERNELS", "x86-64")
    assert available() == named("x86-64")
    assert named("x86-64").name == "x86-64 (128-bit vectors, no fused multiply-add)"


def test_kernels_that_are_off_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_KERNELS", "off")
    assert available() == "MELMILL_KERNELS is off"
    with pytest.raises(
        ConfigError, match=r"lift is compiled when it is used.*not possible here: MELMILL_KERNELS is off"
    ):
        required("lift")


def test_a_processor_that_is_not_known_or_not_this_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_KERNELS", "i486")
    with pytest.raises(ConfigError, match=r"'i486' is not one of off, haswell, .*x86-64"):
        available()
    with pytest.raises(ValueError, match="i486 is not one of haswell"):
        named("i486")
    monkeypatch.setenv("MELMILL_KERNELS", "skylake-avx512")
    monkeypatch.setattr(target.llvm, "get_host_cpu_features", lambda: {"avx2": True, "fma": True, "avx512f": False})
    with pytest.raises(ConfigError, match="cannot run code for skylake-avx512, which has avx512f, avx512bw"):
        available()


@pytest.mark.parametrize(
    ("triple", "has", "lanes", "slow"),
    [
        (_TRIPLE, ["avx512f", "avx2", "fma"], 16, False),
        (_TRIPLE, ["avx2", "fma"], 8, False),
        (_TRIPLE, ["avx2"], 4, True),
        (_TRIPLE, [], 4, True),
        ("aarch64-unknown-linux-gnu", [], 4, False),
        ("riscv64-unknown-linux-gnu", [], None, None),
    ],
)
def test_each_kind_of_processor_has_a_target(triple: str, has: list[str], lanes: int | None, slow: bool | None) -> None:
    found = target._target(triple, "some", "", dict.fromkeys(has, True))
    assert (found and found.lanes, found and found.slow) == (lanes, slow)


def test_a_machine_without_kernels_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "host", lambda: None)
    monkeypatch.delenv("MELMILL_KERNELS", raising=False)
    assert "no kernels for this kind of processor" in str(available())


@pytest.mark.parametrize("how", ["seccomp", "mdwe"])
def test_where_compiled_code_is_forbidden_that_is_said_and_no_process_crashes(how: str) -> None:
    program = (
        "from pipeline.kernels.target import available, host\n"
        "from support.small_kernels import Scaling, scaled\n"
        "print(available())\n"
        "try:\n"
        "    scaled(Scaling(2.0), host())\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    path = os.pathsep.join([str(Path(pipeline.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, "-m", "support.forbidden_code", how, sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode == NOT_HERE:
        pytest.skip(f"this kernel has no {how}")
    assert done.returncode == 0, (done.returncode, done.stderr)
    reason, error = done.stdout.splitlines()
    assert reason.startswith("this system lets no process run code that it has compiled itself (")
    assert "cannot allocate executable memory" in error


def test_a_target_says_what_it_is() -> None:
    assert Target(_TRIPLE, "znver4", "", 16, 12, 2).name == "znver4 (512-bit vectors)"


def test_a_target_has_bfloat16_where_its_instructions_say_so() -> None:
    assert named("znver4").bfloat16
    assert not named("skylake-avx512").bfloat16
    assert not named("haswell").bfloat16
    assert Target(_TRIPLE, "znver5", "+avx512f,+avx512bf16", 16, 12, 2).bfloat16
    assert not Target(_TRIPLE, "znver4", "+avx512f,-avx512bf16", 16, 12, 2).bfloat16
