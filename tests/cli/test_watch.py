"""`melmill status --watch`: shown again when it changes, until the run ends or Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.terminals import on_terminal

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.output.layout import STATUS
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture
def out(job: Build) -> Path:
    run(job())
    return Path(job().output.url)


def watched(out: Path, *more: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipeline", "status", str(out), "--watch", *more]
    command = ["env", "--default-signal=INT", *command]  # a shell's background jobs ignore it
    environment = {**os.environ, "TERM": "xterm"}
    return subprocess.Popen(command, bufsize=0, stdout=stdout, stderr=subprocess.PIPE, env=environment)


def tell(out: Path, plain: dict[str, object], **changes: object) -> None:
    LocalStorage(out).replace(STATUS, json.dumps({**plain, **changes}).encode())


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_pipe_gets_the_status_whenever_it_changes_until_the_run_ends(out: Path, more: tuple[str, ...]) -> None:
    plain = json.loads((out / STATUS).read_text())
    tell(out, plain, state="running", left=61)
    with LocalStorage(out).lock(f"run {plain['run_id']} on here"), watched(out, *more) as process:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        tell(out, plain, state="finished")
        rest, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    if more:
        assert json.loads(first)["state"] == "running"
        assert json.loads(rest.splitlines()[-1])["state"] == "finished"
    else:
        assert first == "state      running\n"
        assert b"0:01:01 left" in rest
        assert b"\nstate      finished\n" in rest
    assert b"\x1b" not in rest


def test_ctrl_c_ends_it_without_a_word(out: Path) -> None:
    plain = json.loads((out / STATUS).read_text())
    tell(out, plain, state="running")
    with LocalStorage(out).lock(f"run {plain['run_id']} on here"), watched(out) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (0, b"")


def test_a_terminal_shows_the_last_status_in_the_place_of_the_one_before(out: Path) -> None:
    plain = json.loads((out / STATUS).read_text())
    tell(out, plain, state="running")
    ours, theirs = pty.openpty()
    with LocalStorage(out).lock(f"run {plain['run_id']} on here"), watched(out, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"manifest " not in shown:
            shown += os.read(ours, 65536)
        height = shown.count(b"\n") + (not shown.endswith(b"\n"))
        ended = threading.Timer(0, tell, (out, plain))
        ended.start()
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass
        assert process.wait(60) == 0
    os.close(ours)
    assert f"\x1b[{height}F\x1b[J".encode() + b"state      finished" in shown


def test_a_run_that_has_ended_is_shown_once(out: Path) -> None:
    shown = on_terminal("status", out, "--watch", columns=60)
    assert shown.code == 0
    assert shown.drawn[0] == "state      finished"
    assert max(map(len, shown.drawn)) < 60
