"""What a run looks like on a terminal, in a pipe, in a CI, and in a narrow window: by the bytes that it writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminals import Shown, on_terminal

BAR = re.compile(r"^[━╸╺ ]*[━╸╺]")
"""The beginning of a line with the bar."""


@pytest.fixture
def words(store: Path, vocoder_path: Path) -> list[object]:
    """A run; its output is `audio` in the current folder."""
    return ["run", "--store", store, "--out", "audio", "--vocoder", vocoder_path, "--set", "output.shard_seconds=10"]


def bars(shown: Shown) -> list[str]:
    return [line for line in shown.drawn if BAR.match(line)]


@pytest.mark.parametrize(("columns", "workers"), [(60, 0), (80, 2), (120, 0)])
def test_on_a_terminal_the_first_line_says_what_is_made_and_the_bar_fits(
    words: list[object], tmp_path: Path, columns: int, workers: int
) -> None:
    where = ("--workers", workers) if workers else ("--scheduler", "synchronous")
    shown = on_terminal(*words, *where, columns=columns, folder=tmp_path)
    assert shown.code == 0, shown.raw
    lines = [line for line in shown.drawn if not BAR.match(line)]
    shards = len(list((tmp_path / "audio" / "data").iterdir()))
    assert re.fullmatch(rf"run \S+: 24 utterances, 0\.8 min, in {shards} shards to \S+/audio", lines[0])
    assert re.fullmatch(rf"  {shards} shards: new \(.*\)", lines[1])
    drawn = bars(shown)
    assert max(map(len, drawn)) <= columns
    whole = [line for line in drawn if "24 of 24" in line]
    assert whole
    told = ", 2 workers" if workers else ""
    assert re.search(rf"24 of 24, [\d.]+ x real time, \d:\d\d:\d\d left{told}", whole[-1])
    assert BAR.match(whole[-1])[0].count("━") >= 8  # type: ignore[index]
    assert any("0.8 min of 0.8 min" in line for line in whole) == (columns >= 80)
    assert shown.coloured


def test_without_colours_a_terminal_gets_none(words: list[object], tmp_path: Path) -> None:
    shown = on_terminal(*words, "--scheduler", "synchronous", folder=tmp_path, NO_COLOR="1")
    assert shown.code == 0, shown.raw
    assert shown.redrawn
    assert not shown.coloured
    assert "24 of 24" in bars(shown)[-1]


@pytest.mark.parametrize("variables", [{"CI": "1"}, {"CI": "true"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_whose_lines_are_kept_gets_lines(
    words: list[object], tmp_path: Path, variables: dict[str, str]
) -> None:
    shown = on_terminal(*words, "--scheduler", "synchronous", folder=tmp_path, **variables)
    assert shown.code == 0, shown.raw
    assert not shown.redrawn
    assert not shown.coloured
    assert shown.drawn[0].startswith("run ")
    assert shown.drawn[-1] == "to look at it: melmill report audio"


def test_in_a_pipe_results_are_on_standard_output_and_there_are_no_controls(
    words: list[object], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pipeline", *map(str, words), "--scheduler", "synchronous"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "TERM": "xterm"}, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stderr.startswith(b"run ")
    assert done.stdout.startswith(b"done in ")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert (again.stdout, again.stderr) == (b"nothing to do: audio already holds 24 utterances, 0.8 min\n", b"")


def test_the_other_bars_fit_a_narrow_window(mels: Path, tmp_path: Path) -> None:
    pack = ["pack", mels, "mels.zarr", "--mel", "hifigan-22k", "--workers", 1]
    run = ["run", "--store", "mels.zarr", "--out", "audio", "--vocoder", "griffin-lim", "--scheduler", "synchronous"]
    for words, told in ((pack, "24 of 24 files"), (run, "24 of 24"), (["verify", "audio"], "24 of 24 utterances read")):
        shown = on_terminal(*words, columns=60, folder=tmp_path)
        assert shown.code == 0, shown.raw
        assert max(map(len, bars(shown))) <= 60
        assert told in bars(shown)[-1]


def test_a_quiet_run_says_nothing_and_a_verbose_one_names_each_shard(words: list[object], tmp_path: Path) -> None:
    quiet = on_terminal(*words, "--scheduler", "synchronous", "-q", folder=tmp_path)
    assert (quiet.code, quiet.raw.count(b"\n"), b"the audio does not match its mels" in quiet.raw) == (0, 1, True)
    again = [*words, "--scheduler", "synchronous", "--subtype", "PCM_24"]
    verbose = on_terminal(*again, "-v", folder=tmp_path, columns=200)
    shards = [line for line in verbose.drawn if re.match(r"shard \S+: \d+ utterances?, 0\.\d min, [\d.]+ KiB$", line)]
    assert len(shards) == len(list((tmp_path / "audio" / "data").iterdir())) / 2  # the others are superseded
    assert b"contradict each other" in on_terminal(*words, "-q", "-v", folder=tmp_path).raw
