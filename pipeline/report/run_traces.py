"""How runs went, from what commits and run records say: who made which shard when, and what was begun again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from pipeline.events import Stages
from pipeline.output.records import ShardMaking
from pipeline.output.run_records import RunRecord
from pipeline.report.figures import bin_edges
from pipeline.report.page_data.runs import RetryShown, RunTrace, Throughput, WorkerLane
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput

_MOST_RUNS = 20
_MOST_LANES = 200
_MOST_SPANS = 20_000
"""Number of shards whose work is shown, of all runs together: about a megabyte of a page."""


@dataclass(frozen=True)
class TracedShard:
    """What is told of a shard: the little that is kept of each commit.

    Args:
        name: name of its commit.
        generation: number of the run that made it.
        made: number of its utterances that were made.
        failed: number of its utterances that were quarantined.
        making: how it was made; None if its commit does not say it.
    """

    name: str
    generation: int
    made: int
    failed: int
    making: ShardMaking | None


def traced_shards(output: PublishedOutput) -> tuple[TracedShard, ...]:
    """The shards of an output's last publication; all shards if it is not known which these are.

    Raises:
        StorageError: if a commit cannot be read.
    """
    wanted = frozenset(output.publication.commits) if output.publication is not None else None
    return tuple(
        TracedShard(head.name, head.generation, head.made, head.failed, head.making)
        for head in output.ledger.heads()
        if wanted is None or head.name in wanted
    )


@dataclass
class _Made:
    """The shards of a publication that one run made."""

    generation: int
    record: RunRecord | None = None
    shards: list[TracedShard] = field(default_factory=list)


def run_traces(
    shards: Iterable[TracedShard],
    records: Mapping[str, RunRecord],
    seconds: Mapping[str, float],
    texts: PrivateTexts,
) -> tuple[RunTrace, ...]:
    """The runs that made the shards of a publication, the last first.

    Args:
        shards: shards of the publication.
        records: identifier of a run -> its record.
        seconds: name of a commit -> duration of its audio [s].
        texts: takes private things out of reasons.
    """
    runs: dict[str | int, _Made] = {}
    for shard in shards:
        run = shard.making.run_id if shard.making is not None else shard.generation
        runs.setdefault(run, _Made(shard.generation, records.get(str(run)))).shards.append(shard)
    newest = sorted(runs.items(), key=lambda each: (each[1].generation, str(each[0])), reverse=True)
    found, left = [], _MOST_SPANS
    for run, made in newest[:_MOST_RUNS]:
        found.append(_trace(run if isinstance(run, str) else None, made, seconds, texts, left))
        left = max(0, left - len(made.shards))
    return tuple(found)


_Timed = tuple[TracedShard, ShardMaking]


def _trace(
    run_id: str | None, made: _Made, seconds: Mapping[str, float], texts: PrivateTexts, most_spans: int
) -> RunTrace:
    record, shards = made.record, made.shards
    timed = [(shard, shard.making) for shard in shards if shard.making is not None]
    began = min((making.began for _, making in timed), default=0.0)
    if record is not None:
        began = min(began, datetime.fromisoformat(record.started).timestamp()) if timed else began
    ended = max((making.ended for _, making in timed), default=0.0)
    stages = sum((making.stages for _, making in timed), Stages())
    lanes = _lanes(timed, began, most_spans)
    retries = record.retries if record is not None else ()
    return RunTrace(
        run_id=run_id,
        generation=made.generation,
        state=record.outcome if record is not None else None,
        started=record.started if record is not None else _time(began) if timed else None,
        elapsed=record.elapsed if record is not None else ended - began if timed else None,
        shards=len(shards),
        utterances=sum(shard.made for shard in shards),
        seconds=sum(seconds.get(shard.name, 0.0) for shard in shards),
        failed=sum(shard.failed for shard in shards),
        copied=sum(making.stages.decode == 0 and shard.made > 0 for shard, making in timed),
        stages=dataclasses.asdict(stages) if timed else None,
        throughput=_throughput(timed, seconds, began) if timed else None,
        workers=lanes[:_MOST_LANES] if timed else None,
        workers_total=len(lanes) if timed else None,
        retries=tuple(RetryShown(each.seconds, each.shard, texts.shown(each.reason)) for each in retries)
        if record is not None
        else None,
        retries_total=record.retries_total if record is not None else None,
    )


def _lanes(timed: Sequence[_Timed], began: float, most: int) -> tuple[WorkerLane, ...]:
    """What each worker did, in the order in which they began; of the first shards, at most so many."""
    spans: dict[str, list[tuple[float, float, str, int]]] = {}
    for shard, making in sorted(timed, key=lambda each: each[1].began)[:most]:
        span = round(making.began - began, 2), round(making.ended - began, 2), shard.name, shard.failed
        spans.setdefault(making.worker, []).append(span)
    return tuple(WorkerLane(f"worker {number}", tuple(each)) for number, each in enumerate(spans.values(), 1))


def _throughput(timed: Sequence[_Timed], seconds: Mapping[str, float], began: float) -> Throughput:
    """Audio over time. That of a shard is spread evenly over the time that it took."""
    starts = np.array([making.began - began for _, making in timed])
    ends = np.maximum([making.ended - began for _, making in timed], starts + 1e-3)
    audio = np.array([seconds.get(shard.name, 0.0) for shard, _ in timed])
    edges = bin_edges(0.0, float(ends.max()))
    made = [float(audio @ np.clip((edge - starts) / (ends - starts), 0.0, 1.0)) for edge in edges.tolist()]
    return Throughput(float(edges[1] - edges[0]), tuple(np.round(np.diff(made), 3).tolist()))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
