"""How numbers, reasons and long lists are printed for people."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pipeline.events import Reason
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.output.superseded import Superseded

LINES_SHOWN = 20
_NAMES_SHOWN = 5


def write_line(stream: TextIO, line: str) -> None:
    """Print one line. If that fails, because the log's disk is full, the work continues."""
    with contextlib.suppress(OSError):
        print(line, file=stream, flush=True)


def print_some(lines: Sequence[str], stream: TextIO | None = None) -> None:
    """Print the first lines of a list that may have a million, and how many more there are."""
    for line in lines[:LINES_SHOWN]:
        print(line, file=stream or sys.stdout)
    if len(lines) > LINES_SHOWN:
        print(f"... and {len(lines) - LINES_SHOWN} more", file=stream or sys.stdout)


def superseded_line(beside: Superseded, output: str) -> str:
    """A line about superseded shards, with the command that deletes them."""
    them = "it" if beside.shards == 1 else "them"
    amount = f"{counted(beside.shards, 'shard')}, {size(beside.bytes)}"
    return f"superseded {amount}: melmill gc {shlex.quote(output)} --yes deletes {them}"


def needed_again_line(shards: int, size: str = "") -> str:
    """A line about superseded shards that are needed again, with the size of their objects if it is known."""
    amount = f", {size}," if size else ""
    if shards == 1:
        return f"1 superseded shard{amount} is needed again: the run reads it before it publishes it"
    return f"{shards} superseded shards{amount} are needed again: the run reads them before it publishes them"


def others_line(names: Sequence[str]) -> str:
    """A line about other people's files in an output, with the first of their names.

    >>> others_line(["README.md", "plots/"])
    'melmill did not write README.md, plots/, and leaves them alone'
    """
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"melmill did not write {', '.join(names[:_NAMES_SHOWN])}{more}, and leaves them alone"


def reason_line(reason: Reason) -> str:
    """A reason why shards are to be made, with their number and their first names."""
    names = ", ".join(reason.first) + (", ..." if reason.shards > len(reason.first) else "")
    return f"{counted(reason.shards, 'shard')}: {reason.words} ({names})"


def refined_words(times: float) -> str:
    """What follows the name of a runtime whose waveforms are refined so many times; nothing for 0.

    >>> refined_words(0.5), refined_words(1), refined_words(0)
    (', refined 0.5 times', ', refined 1 time', '')
    """
    return f", refined {times:g} {'time' if times == 1 else 'times'}" if times else ""


def texts_line(changed: int, repacked: int, vocoded: int) -> str | None:
    """What changed texts cost; None if they cost nothing.

    >>> texts_line(24, 4, 0)
    '24 texts changed: 4 shards are repacked, 0 vocoded'
    """
    if not repacked and not changed:
        return None
    told = f"{counted(changed, 'text')} changed: " if changed else ""
    return f"{told}{counted(repacked, 'shard is', 'shards are')} repacked, {vocoded} vocoded"


def made_line(seconds: float, repacked: int, elapsed: float = 0.0) -> str:
    """What a run or a part of a job has made, after its subject.

    Args:
        seconds: duration of the audio that was vocoded [s].
        repacked: number of shards whose audio was copied.
        elapsed: wall-clock time that it took [s]; 0.0 if no speed is to be told.

    >>> made_line(90, 2, 10), made_line(0, 4, 10)
    ('repacked 2 shards, made 1.5 min, 9.0 x real time', 'repacked 4 shards, vocoded nothing')
    """
    made = f"made {hours(seconds)}" if seconds else "vocoded nothing"
    speed = f", {seconds / elapsed:.1f} x real time" if seconds and elapsed else ""
    return f"repacked {counted(repacked, 'shard')}, {made}{speed}" if repacked else f"{made}{speed}"


def hours(seconds: float) -> str:
    """An amount of audio for people.

    >>> hours(90), hours(5400)
    ('1.5 min', '1.50 h')
    """
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def duration(seconds: float) -> str:
    """A stretch of time for people.

    >>> duration(4000)
    '1:06:40'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def size(count: float) -> str:
    """A number of bytes for people.

    >>> size(3_500_000)
    '3.3 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
