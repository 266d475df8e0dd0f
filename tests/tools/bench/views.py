"""What it costs to export an output, to report on it and to compare it with another, by the number of its utterances.

On made-up rows with metadata; see `made_up`. No audio is read for an export that leaves it where it is. The clips of a
report cannot be read, so a report of real audio takes some seconds more, however long it is.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.bench import made_up
from tools.bench.corpora import free_vocoder
from tools.bench.measuring import Row, Usage, added, command, costs

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MOST_FILES = 100_000
"""Largest number of utterances that are files of their own."""
IN_TARS = ("webdataset", "wids", "parquet", "lhotse", "nemo-tarred", "kaldi")
IN_FILES = ("nemo", "audiofolder")
REPORT, COMPARISON = "report", "report --compare"


def rows(folder: Path, rounds: int, largest: int) -> Iterator[Row]:
    """Rows for each operation: an utterance, by what a corpus adds to the next smaller one, or a whole page.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
        largest: largest number of utterances.
    """
    folder.mkdir(parents=True)
    vocoder, smaller, before = free_vocoder(folder / "free.onnx"), 0, dict[str, Row]()
    first: dict[str, Row] = {}
    for size in (each for each in SIZES if each <= largest):
        print(f"views: {size} utterances", file=sys.stderr)
        found = _measured(folder / f"{size}", size, vocoder, rounds)
        for name, row in found.items():
            if name in (REPORT, COMPARISON):
                yield row
            elif name in before:
                one = _of_an_utterance(name, size, row, before[name], size - smaller)
                if name in first:
                    one.compared[f"x the cost {first[name].what.partition(', ')[2]}"] = costs(one, first[name])
                first.setdefault(name, one)
                yield one
        smaller, before = size, found


def _measured(folder: Path, size: int, vocoder: str, rounds: int) -> dict[str, Row]:
    folder.mkdir()
    mels, target = made_up.store(folder / "mels.zarr", size, described=True), folder / "target"

    def output(name: str, container: str) -> str:
        out = folder / name
        job = made_up.job_file(folder / f"{name}.json", mels, out, vocoder, container=container)
        made_up.commit_all(job, described=True)
        command("run", str(job))  # publishes
        return str(out)

    def exported(out: str, to: str) -> Callable[[], Usage]:
        return lambda: command("export", out, "--to", to, str(target))

    a, b = output("a", "tar"), output("b", "tar")
    operations = {to: exported(a, to) for to in IN_TARS}
    if size <= MOST_FILES:
        files = output("files", "files")
        operations |= {to: exported(files, to) for to in IN_FILES}
    operations[REPORT] = lambda: command("report", a, str(target))
    operations[COMPARISON] = lambda: command("report", "--compare", a, b, str(target))
    found = {name: Row(f"{name}, {size} utterances", "melmill") for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            taken, row = operation(), found[name]
            row.cpu.append(taken.cpu)
            row.wall.append(taken.wall)
            row.memory.append(taken.memory)
            if name in (REPORT, COMPARISON):
                page = (target / "index.html").stat().st_size / 1e6
                row.compared.setdefault("MB is the size of the page", []).append(page)
            shutil.rmtree(target)
    shutil.rmtree(folder)
    return found


def _of_an_utterance(to: str, size: int, more: Row, less: Row, count: int) -> Row:
    row = added(f"export --to {to}, an utterance among {size}", more, less, count)
    row.memory.extend(more.memory)
    return row
