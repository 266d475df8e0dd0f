"""What a job costs that makes nothing, by the number of its utterances; and what reading an output again costs.

Plans, publications and gc work on made-up rows; see `made_up`. Runs and `verify` are real, with a vocoder that costs
nothing.
"""

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.bench import made_up
from tools.bench.corpora import Corpus, change, free_vocoder
from tools.bench.corpora import store as real_store
from tools.bench.measuring import Row, Usage, added, command, costs

SIZES = (1_000, 10_000, 100_000, 1_000_000)
REAL_SIZES = (1_000, 10_000, 100_000)
MEAN_SECONDS = 0.35
CHANGED = 100
"""Mels that are changed of the largest real corpus."""
NOTHING, PUBLICATION = "nothing to do", "publication"


def rows(folder: Path, rounds: int, largest: int) -> Iterator[Row]:
    """A row for each operation and size.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
        largest: largest number of made-up utterances; of real ones a tenth.
    """
    folder.mkdir(parents=True)
    vocoder = free_vocoder(folder / "free.onnx")
    for size in (each for each in SIZES if each <= largest):
        yield from _of_made_up(folder / f"{size}", size, vocoder, rounds)
    real = [each for each in REAL_SIZES if each <= max(largest // 10, 10_000)]
    yield from _of_real(folder / "real", real, vocoder, rounds)


def _of_made_up(folder: Path, size: int, vocoder: str, rounds: int) -> list[Row]:
    print(f"scale: {size} made-up utterances", file=sys.stderr)
    folder.mkdir()
    mels, out = made_up.store(folder / "mels.zarr", size), folder / "audio"
    new = made_up.job_file(folder / "new.yaml", mels, folder / "new", vocoder)
    job = made_up.job_file(folder / "job.yaml", mels, out, vocoder)
    made_up.commit_all(job)
    command("run", str(job))  # publishes
    operations: dict[str, Callable[[], Usage]] = {
        "plan, new output": lambda: command("plan", str(new)),
        "plan, all made": lambda: command("plan", str(job)),
        NOTHING: lambda: command("run", str(job)),
        "retry, nothing failed": lambda: command("retry", str(out)),
        "gc, nothing superseded": lambda: command("gc", str(out)),
        PUBLICATION: lambda: _published(job, out),
    }
    found = {name: Row(f"{name}, {size} utterances", "melmill") for name in operations}
    for _ in range(rounds):
        for name, operation in operations.items():
            _add(found[name], operation())
    shutil.rmtree(folder)
    alone = added(found[PUBLICATION].what, found[PUBLICATION], found[NOTHING], 1)  # it plans before it publishes
    alone.memory.extend(found[PUBLICATION].memory)
    return [*(row for name, row in found.items() if name != PUBLICATION), alone]


def _published(job: Path, out: Path) -> Usage:
    made_up.publish_again(out)
    return command("run", str(job))


def _of_real(folder: Path, sizes: list[int], vocoder: str, rounds: int) -> list[Row]:
    """Runs in one process, and `verify`; of an utterance, by what a corpus adds to the next smaller one.

    The largest corpus is made once more after some of its mels have changed.
    """
    folder.mkdir()
    corpora = [real_store(folder / f"{size}.zarr", "short", MEAN_SECONDS * size) for size in sizes]
    runs, verifies = ([Row("", "melmill", audio_seconds=each.seconds) for each in corpora] for _ in range(2))
    again = Row(f"a run after {CHANGED} of {corpora[-1].utterances} mels have changed", "melmill")
    for _ in range(rounds):
        for corpus, run, verify in zip(corpora, runs, verifies, strict=True):
            print(f"scale: {corpus.utterances} real utterances", file=sys.stderr)
            shutil.rmtree(folder / "audio", ignore_errors=True)
            _add(run, _run(corpus, folder / "audio", vocoder))
            _add(verify, command("verify", str(folder / "audio")))
        change(corpora[-1], CHANGED)
        _add(again, _run(corpora[-1], folder / "audio", vocoder))
    again.compared["x the cost of its first run"] = costs(again, runs[-1])
    shutil.rmtree(folder)
    of_utterances = (_of_an_utterance("one process", corpora, runs), _of_an_utterance("verify", corpora, verifies))
    return [*itertools.chain(*of_utterances), again]


def _run(corpus: Corpus, out: Path, vocoder: str) -> Usage:
    arguments = ("--store", str(corpus.path), "--out", str(out), "--vocoder", vocoder)
    return command("run", *arguments, "--scheduler", "synchronous")


def _add(row: Row, taken: Usage) -> None:
    row.cpu.append(taken.cpu)
    row.wall.append(taken.wall)
    row.memory.append(taken.memory)


def _of_an_utterance(what: str, corpora: list[Corpus], measured: list[Row]) -> list[Row]:
    found = []
    for smaller, larger, less, more in zip(corpora, corpora[1:], measured, measured[1:], strict=False):
        count = larger.utterances - smaller.utterances
        row = added(f"{what}, an utterance of 0.35 s among {larger.utterances}", more, less, count, MEAN_SECONDS)
        row.memory.extend(more.memory)
        found.append(row)
    for row in found[1:]:
        row.compared[f"x the cost among {corpora[1].utterances}"] = [
            ours / theirs for ours, theirs in zip(row.cpu, found[0].cpu, strict=True)
        ]
    return found
