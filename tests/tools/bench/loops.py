"""An utterance of a whole job, from the store to the shard: the loops that people write, and melmill.

The length of a job is chosen so that a round takes some minutes with each vocoder. Each figure is of one utterance:
what a job of four shards takes more than one of two, so neither has the start of processes in it, which varies by less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.bench.corpora import Corpus, Kind, free_vocoder, store
from tools.bench.loop_works import WORKERS
from tools.bench.measuring import Contender, Group, Row, added, alternated, costs

HIFIGAN, LIFT, FREE = "hifigan-universal", "lift", "a vocoder that costs nothing"
SHARD_SECONDS: dict[tuple[str, Kind], float] = {
    (HIFIGAN, "speech"): 20,
    (HIFIGAN, "short"): 10,
    (LIFT, "speech"): 300,
    (LIFT, "short"): 200,
    (FREE, "speech"): 2400,
    (FREE, "short"): 800,
}
"""Vocoder and kind of utterances -> length of a shard [s]."""
LENGTHS = {"speech": "3 s", "short": "0.35 s"}

TORCH, ONNXRUNTIME = "a loop with PyTorch", "a loop with onnxruntime"
CAREFUL, BAG = "a careful loop with digests", f"dask.bag, {WORKERS} processes"
WEBDATASET = f"webdataset in a pool, {WORKERS} processes"
ONE_PROCESS, ONE_PLAIN = "melmill, one process", "melmill, one process, no mel distance"
LOCAL, LOCAL_PLAIN = f"melmill, {WORKERS} workers", f"melmill, {WORKERS} workers, no mel distance"
JOBS = {ONE_PROCESS: ("0", "yes"), ONE_PLAIN: ("0", "no"), LOCAL: ("2", "yes"), LOCAL_PLAIN: ("2", "no")}
"""Name -> number of workers, and whether mel distances are measured."""


@dataclass(frozen=True)
class _Case:
    """A vocoder on a kind of utterances, with a corpus of two shards and one of four."""

    vocoder: str
    kind: Kind
    short: Corpus
    long: Corpus

    @property
    def what(self) -> str:
        return f"an utterance of {LENGTHS[self.kind]}, {self.vocoder}"


def rows(folder: Path, rounds: int, free: bool) -> Iterator[Row]:
    """A row for each way of writing an utterance, by vocoder and kind of utterances.

    Args:
        folder: an empty folder for stores.
        rounds: number of rounds.
        free: whether with the vocoder that costs nothing, or with the others.
    """
    for (vocoder, kind), seconds in SHARD_SECONDS.items():
        if (vocoder == FREE) != free:
            continue
        place = folder / f"{vocoder.partition(' ')[0]}-{kind}"
        place.mkdir(parents=True)
        name = free_vocoder(place / "free.onnx") if vocoder == FREE else vocoder
        short, long = (store(place / f"{shards}.zarr", kind, shards * seconds) for shards in (2, 4))
        yield from _rows(_Case(vocoder, kind, short, long), name, seconds, place, rounds)


def _rows(case: _Case, name: str, shard_seconds: float, place: Path, rounds: int) -> list[Row]:
    both = (case.short, case.long)
    groups = [
        Group(f"{case.what}: {each.utterances}", each.seconds, _contenders(each, name, shard_seconds)) for each in both
    ]
    measured = alternated(groups, place, rounds)
    count = case.long.utterances - case.short.utterances
    length = (case.long.seconds - case.short.seconds) / count
    half = len(measured) // 2
    found = [
        added(case.what, more, less, count, length) for less, more in zip(measured[:half], measured[half:], strict=True)
    ]
    by = {row.by: row for row in found}
    for row in found:
        if row.by != CAREFUL:
            row.compared["x the cost of the careful loop"] = costs(row, by[CAREFUL])
        if row.by in (LOCAL, LOCAL_PLAIN):
            alone = by[ONE_PROCESS if row.by == LOCAL else ONE_PLAIN]
            row.compared["x the cost of one process"] = costs(row, alone)
    return found


def _contenders(corpus: Corpus, vocoder: str, shard_seconds: float) -> list[Contender]:
    given, shard = (str(corpus.path), vocoder), str(shard_seconds)
    pieces: dict[str, tuple[str, ...]] = {}
    if vocoder == HIFIGAN:
        pieces[TORCH] = ("torch_loop", *given)
    if vocoder != LIFT:  # whose net is not all of it
        pieces[ONNXRUNTIME] = ("onnxruntime_loop", *given)
    pieces[CAREFUL] = ("careful_loop", *given, shard)
    pieces[BAG] = ("dask_bag", *given, shard)
    pieces[WEBDATASET] = ("webdataset_pool", *given, shard)
    for by, settings in JOBS.items():
        pieces[by] = ("melmill_job", *given, shard, *settings)
    return [Contender(by, piece, same=False) for by, piece in pieces.items()]
