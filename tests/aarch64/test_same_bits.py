"""64-bit ARM, emulated by qemu, computes the bits of this machine, and passes the kernels' own tests.

`make test-aarch64` installs a Python of that processor and its packages into build/aarch64.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.kernel_bits import CASES, digest
from support.kernels import TARGETS
from support.paths import ROOT, TESTS

_PLACE = ROOT / "build" / "aarch64"
FILES = ["test_function.py", "test_emulated_fma.py"]
"""Files in tests/kernels whose tests run there, too. Only tests that start no processes can: a list, not a pattern."""


def on_arm(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python on the emulated processor, with nothing of this machine's processor in its path."""
    root = _PLACE / "root"
    return subprocess.run(
        ["qemu-aarch64", "-L", str(root), str(root / "usr/bin/python3.11"), *words],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, TESTS, _PLACE / "site"))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MELMILL_CACHE": str(folder / "cache"),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = on_arm(tmp_path_factory.mktemp("arm"), "-m", "support.kernel_bits")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@cache
def ours(case: str) -> str:
    return digest(case, TARGETS[0])


def test_it_is_another_processor_with_kernels_of_its_own(found: dict[str, Any]) -> None:
    assert found["machine"] == "aarch64"
    assert found["target"].endswith("(128-bit vectors)")


@pytest.mark.parametrize("case", CASES)
def test_its_bits_are_ours(found: dict[str, Any], case: str) -> None:
    assert found["digests"][case] == ours(case)


@pytest.mark.parametrize("name", FILES)
def test_the_tests_of_kernels_pass_there(name: str, tmp_path: Path) -> None:
    # Without conftest.py, which imports onnxruntime, since qemu 7.2 crashes when that is imported.
    options = ["--noconftest", "-p", "support.no_deadline", "-p", "no:cacheprovider", "-q"]
    done = on_arm(tmp_path, "-m", "pytest", *options, f"tests/kernels/{name}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
