"""Terminals and locales of other encodings than UTF-8: what cannot be shown is escaped, the rest is as elsewhere."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support.corpora import SPEC, rows
from support.packs import pack_npy

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}
TERMINALS = {
    "C": ("ascii", C_LOCALE),
    "ascii": ("ascii", {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}),
    "latin-1": ("latin-1", {"PYTHONIOENCODING": "latin-1:strict"}),
    "cp1252": ("cp1252", {"PYTHONIOENCODING": "cp1252:strict", **C_LOCALE}),
}
"""Name -> the encoding, and the variables that set it."""
GOOD, BAD = "caf\u00e9 \u65e5\u672c", "kaputt \u0416"


def melmill(*words: object, code: int = 0, **environment: str) -> tuple[bytes, bytes]:
    """Standard output and error of a command that must end with this exit code."""
    arguments = [sys.executable, "-m", "pipeline", *map(str, words)]
    done = subprocess.run(arguments, capture_output=True, env={**_plain(), **environment}, timeout=120)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout, done.stderr


def _plain() -> Mapping[str, str]:
    """The environment without what decides about encodings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PYTHONIO", "PYTHONUTF8"))}
    return {**ours, "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, mels: Path) -> Path:
    """A folder of two mels whose names are not ASCII; the values of one are no mel."""
    folder = tmp_path_factory.mktemp("names")
    shutil.copy(sorted(mels.rglob("*.npy"))[0], folder / f"{GOOD}.npy")
    np.save(folder / f"{BAD}.npy", np.full((80, 60), np.nan, np.float32))
    return folder


@pytest.fixture(scope="module")
def named_store(recordings: Path) -> Path:
    pack_npy(str(recordings), str(recordings / "mels.zarr"), SPEC, workers=1)
    return recordings / "mels.zarr"


def escaped(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "backslashreplace")


@pytest.mark.parametrize("name", ["C", "latin-1", "cp1252"])
def test_each_command_prints_what_it_can_and_escapes_the_rest(named_store: Path, tmp_path: Path, name: str) -> None:
    encoding, environment = TERMINALS[name]
    out = tmp_path / "\u00f6ut \u65e5"
    job = ["--store", named_store, "--out", out, "--vocoder", "griffin-lim", "--scheduler", "synchronous"]
    said, _ = melmill("run", *job, **environment)
    assert escaped(f" in {GOOD}", encoding) in said
    assert escaped(out.name, encoding) in said
    assert [row["key"] for row in rows(out)] == [GOOD]
    assert escaped("finished", encoding) in melmill("status", out, **environment)[0]
    assert escaped(out.name, encoding) in melmill("verify", out, **environment)[0]
    if name != "C":
        return
    assert escaped(out.name, encoding) in melmill("gc", out, **environment)[0]
    assert json.loads(melmill("status", out, "--json", **environment)[0])["state"] == "finished"
    melmill("plan", *job, **environment)
    melmill("inspect", named_store, **environment)
    (out / rows(out)[0]["shard"]).unlink()
    assert escaped(out.name, encoding) in b"".join(melmill("verify", out, code=10, **environment))
    _, lines = melmill("run", *job, "--subtype", "PCM_24", "--log-json", **environment)
    assert {json.loads(line)["event"] for line in lines.splitlines()} >= {"RunStarted", "RunFinished"}
    said, error = melmill("run", tmp_path / "\u65e5.yaml", code=2, **environment)
    assert escaped("\u65e5.yaml", encoding) in error


def test_what_the_command_line_gets_wrong_is_escaped() -> None:
    for words in (["run", "--b\u00f6gus"], ["--b\u00f6gus"], ["\u65e5"], ["vocoder", "b\u00f6gus"]):
        for encoding, environment in (TERMINALS["ascii"], TERMINALS["latin-1"]):
            _, error = melmill(*words, code=2, **environment)
            assert escaped(words[-1], encoding) in error


@pytest.mark.parametrize("name", ["C", "cp1252"])
def test_keys_are_those_of_utf_8_whatever_the_locale_is(recordings: Path, tmp_path: Path, name: str) -> None:
    _, environment = TERMINALS[name]
    store, out = tmp_path / "\u65e5.zarr", tmp_path / "out"
    pack = ["pack", recordings, store, "--from", "npy", "--mel", "hifigan-22k", "--workers", 1]
    assert escaped(BAD, TERMINALS[name][0]) in melmill(*pack, code=3, **environment)[1]
    job = ["--store", store, "--out", out, "--vocoder", "griffin-lim"]
    job += ["--workers", 1] if name == "C" else ["--scheduler", "synchronous"]
    melmill("run", *job, **environment)
    assert [row["key"] for row in rows(out)] == [GOOD]
    assert melmill("run", *job)[0].startswith(b"nothing to do")  # nor in UTF-8


def test_the_bar_of_a_terminal_is_shown_in_ascii(named_store: Path, tmp_path: Path) -> None:
    words = ["run", "--store", named_store, "--out", tmp_path / "out \u65e5", "--vocoder", "griffin-lim"]
    words += ["--scheduler", "synchronous"]
    ours, theirs = pty.openpty()
    environment = {**_plain(), **TERMINALS["ascii"][1], "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, words)], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # the terminal's other end is closed
            pass
        process.communicate()
    os.close(ours)
    assert process.returncode == 0, shown
    assert shown.isascii()
    assert b"1 of 1, " in shown
    assert b"out \\u65e5" in shown
