"""Contenders take turns, round by round, so that a busy machine slows all of them alike."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.paths import ROOT, TESTS

_GLANCE = 0.02
"""The memory of a command is looked at so often [s]."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        what: the work.
        by: what does it.
        cpu: CPU time of each round [s].
        wall: wall-clock time of each round [s].
        audio_seconds: length of the audio that was worked on [s]; 0 if that does not matter.
        compared: for each comparison, such as "x the speed of onnxruntime", its value in each round.
        largest_difference: largest difference of a value from the first contender of its group, which makes the same;
            None if there is nothing to compare.
        memory: largest resident memory of its first process, in each round [bytes]; empty if it was not measured.
    """

    what: str
    by: str
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    audio_seconds: float = 0.0
    compared: dict[str, list[float]] = field(default_factory=dict)
    largest_difference: float | None = None
    memory: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Contender:
    """Something that does a piece of work in a process of its own.

    Args:
        by: what does it, for the table.
        piece: name of the piece in `tools.bench.works`, and its arguments.
        environment: its variables.
        rivals: the contenders that it is compared with, by their `by`; those of other groups as `what: by`.
        same: whether it makes what the group's first contender makes.
    """

    by: str
    piece: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()
    same: bool = True


@dataclass(frozen=True)
class Group:
    """Contenders that do the same work on audio of the same length [s]."""

    what: str
    audio_seconds: float
    contenders: Sequence[Contender]


class Process:
    """A process of `tools.bench.works` that is ready to work.

    Args:
        piece: name of the piece, and its arguments.
        environment: variables beside those of this process.
    """

    def __init__(self, piece: Sequence[str], environment: Mapping[str, str] = {}) -> None:
        paths = os.pathsep.join([str(TESTS), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.works", *piece],
            env={**os.environ, **ONE_THREAD, **environment, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._piece = " ".join(piece)
        self.times = int(self.answer()["times"])
        """How many times the work is done when it is told to run."""

    def order(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._piece}: the process ended with {self._process.wait()}; see above")
        return dict(json.loads(line))

    def run(self) -> dict[str, float]:
        """CPU and wall-clock time of the work [s]."""
        self.order("run")
        return self.answer()

    def result(self, path: Path) -> NDArray[np.float32]:
        self.order(f"result {path}")
        self.answer()
        return np.asarray(np.load(path))

    def proportional_memory(self) -> int:
        """Memory of the process, where what several share counts for each by its share (PSS) [bytes]."""
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def process(piece: Sequence[str], environment: Mapping[str, str] = {}) -> Iterator[Process]:
    """A `Process` that ends with the context."""
    started = Process(piece, environment)
    try:
        yield started
    finally:
        started.close()


def alternated(groups: Sequence[Group], folder: Path, rounds: int) -> list[Row]:
    """A row for each contender. All take turns in each round.

    Args:
        groups: the work, with its contenders.
        folder: an empty folder for results.
        rounds: number of rounds.
    """
    rows, processes = [], []
    with contextlib.ExitStack() as stack:
        for group in groups:
            wanted: NDArray[np.float32] | None = None
            for contender in group.contenders:
                print(f"starting {group.what}, {contender.by}", file=sys.stderr)
                started = stack.enter_context(process(contender.piece, contender.environment))
                difference = None
                if contender.same:
                    found = started.result(folder / "result.npy")
                    wanted = found if wanted is None else wanted
                    difference = float(np.abs(found - wanted).max())
                is_first = contender is group.contenders[0]
                processes.append(started)
                rows.append(
                    Row(
                        group.what,
                        contender.by,
                        audio_seconds=group.audio_seconds,
                        largest_difference=None if is_first else difference,
                    )
                )
        for done in range(rounds):
            print(f"round {done + 1} of {rounds}", file=sys.stderr)
            for row, each in zip(rows, processes, strict=True):
                times = each.run()
                row.cpu.append(times["cpu"])
                row.wall.append(times["wall"])
    contenders = [contender for group in groups for contender in group.contenders]
    for row, contender in zip(rows, contenders, strict=True):
        row.compared.update(_compared(row, contender, rows))
    return rows


def _compared(row: Row, contender: Contender, rows: Sequence[Row]) -> dict[str, list[float]]:
    found = {}
    for rival in contender.rivals:
        what, _, by = rival.rpartition(": ")
        (other,) = (each for each in rows if each.what == (what or row.what) and each.by == by)
        found[f"x the speed of {what or by}"] = speeds(row, other)
    return found


def speeds(row: Row, other: Row) -> list[float]:
    """How many times as fast a row is as another for the same audio, by CPU time, in each round."""
    scale = row.audio_seconds / other.audio_seconds if row.audio_seconds else 1.0
    return [scale * theirs / ours for ours, theirs in zip(row.cpu, other.cpu, strict=True)]


def costs(row: Row, other: Row) -> list[float]:
    """How many times the CPU time of another a row takes for the same work, in each round."""
    return [1 / speed for speed in speeds(row, other)]


def added(what: str, more: Row, less: Row, count: float, audio_seconds: float = 0.0) -> Row:
    """What one unit of work takes, by what a longer piece of work adds to a shorter one: the start is in neither.

    Args:
        what: the unit.
        more: the longer piece of work.
        less: the shorter piece.
        count: number of units that the longer one has more.
        audio_seconds: length of the audio of a unit [s].
    """
    cpu, wall = (
        [(a - b) / count for a, b in zip(longer, shorter, strict=True)]
        for longer, shorter in ((more.cpu, less.cpu), (more.wall, less.wall))
    )
    return Row(what, more.by, cpu, wall, audio_seconds)


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Args:
        cpu: CPU time of all of its processes [s].
        wall: wall-clock time [s].
        memory: largest resident memory of its first process [bytes].
    """

    cpu: float
    wall: float
    memory: int


def command(*arguments: str, environment: Mapping[str, str] = {}) -> Usage:
    """Runs `melmill` with these arguments.

    Args:
        arguments: the command's arguments.
        environment: variables beside those of this process.
    """
    line, memory = [sys.executable, "-m", "pipeline", *arguments], 0
    begun = time.perf_counter()
    started = subprocess.Popen(
        line, env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), **environment}, stdout=subprocess.DEVNULL
    )
    while os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        memory = max(memory, peak_memory(started.pid))
        time.sleep(_GLANCE)
    _, status, usage = os.wait4(started.pid, 0)
    wall = time.perf_counter() - begun
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0, f"{' '.join(line)}: exit code {started.returncode}; see above"
    return Usage(usage.ru_utime + usage.ru_stime, wall, memory)


def peak_memory(process: int | str) -> int:
    """Largest resident memory that a process has had [bytes]; 0 if it has ended.

    What `wait4` says of it would be no less than the memory of the process that started it.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def to_dict(row: Row) -> dict[str, Any]:
    """A row for JSON, with the fields that say something, and numbers of four digits."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, list):
            return [short(each) for each in value]
        return {key: short(each) for key, each in value.items()} if isinstance(value, dict) else value

    return {key: short(value) for key, value in vars(row).items() if value or value == 0.0}
