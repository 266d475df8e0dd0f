"""Plan: what is to be made, what is already there, and why. Pure: reads nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Job
from pipeline.fingerprint import ingredients_of, shard_fingerprint, why_stale
from pipeline.records import Failure, Ingredients, ShardRecord, Source, shard_name
from pipeline.stores.base import Catalogue, Utterance


@dataclass(frozen=True)
class ShardTask:
    """One shard to be made: all that a worker is sent besides the job. Names and row ranges, never arrays.

    Args:
        number: of the shard.
        fingerprint: digest over everything that its samples depend on, as hexadecimal.
        utterances: in the order in which they go into the shard.
        condemned: key -> reason, of those that are not to be tried any more.
        revision: how often the same shard was made before.
    """

    number: int
    fingerprint: str
    utterances: tuple[Utterance, ...]
    condemned: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0

    @property
    def name(self) -> str:
        """As in object names: `000123-1a2b3c4d`."""
        return shard_name(self.number, self.fingerprint, self.revision)


@dataclass(frozen=True)
class PlannedShard:
    """One shard of the plan.

    Args:
        number: of the shard.
        fingerprint: as in ShardTask.
        members: `[utterances] int64`, positions in the catalogue.
        seconds: of audio in it, from the frame counts.
        reason: why it is to be made, in words; empty if it is there.
        failed: utterances that are quarantined in it, if it is there.
        revision: how often the same shard was made before.
    """

    number: int
    fingerprint: str
    members: NDArray[np.int64]
    seconds: float
    reason: str
    failed: int = 0
    revision: int = 0

    @property
    def name(self) -> str:
        """As in object names: `000123-1a2b3c4d`."""
        return shard_name(self.number, self.fingerprint, self.revision)


@dataclass(frozen=True)
class CommittedShard:
    """What the plan must know of a commit record: columns, not rows.

    Args:
        number: of the shard.
        fingerprint: it was made under.
        generation: of the run that made it.
        ingredients: it was made with.
        digests: key -> digest of the mel, for every utterance made or quarantined.
        failed: how many of them were quarantined.
        revision: how often the same shard was made before.
    """

    number: int
    fingerprint: str
    generation: int
    ingredients: Ingredients
    digests: Mapping[str, str]
    failed: int = 0
    revision: int = 0

    @property
    def name(self) -> str:
        """Of the commit."""
        return shard_name(self.number, self.fingerprint, self.revision)

    @classmethod
    def of(cls, record: ShardRecord) -> CommittedShard:
        """The planner's view of a record."""
        digests = {row.key: row.source.digest for row in record.rows}
        digests |= {failure.key: failure.source.digest for failure in record.failures}
        return cls(
            number=record.shard,
            fingerprint=record.fingerprint,
            generation=record.generation,
            ingredients=record.ingredients,
            digests=digests,
            failed=len(record.failures),
            revision=record.revision,
        )


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Args:
        todo: shards to be made.
        done: shards that are committed as they should be.
        refused: utterances whose listing already shows that they cannot be made.
        utterances: in the store: those of `todo` and `done`, and the refused.
        read_bytes: decoded chunk bytes that making `todo` reads.
        wanted_bytes: bytes of the mels of `todo`, as float32.
        worker_bytes: memory that a worker needs, estimated.
    """

    todo: tuple[PlannedShard, ...]
    done: tuple[PlannedShard, ...]
    refused: tuple[Failure, ...]
    utterances: int
    read_bytes: int
    wanted_bytes: int
    worker_bytes: int

    @property
    def seconds(self) -> float:
        """Audio to be made [s]."""
        return sum(shard.seconds for shard in self.todo)

    @property
    def read_amplification(self) -> float:
        """Bytes read for each byte wanted; 0.0 if there is nothing to do."""
        return self.read_bytes / self.wanted_bytes if self.wanted_bytes else 0.0

    def tasks(self, catalogue: Catalogue) -> Iterator[ShardTask]:
        """The tasks of `todo`, made one at a time."""
        for shard in self.todo:
            utterances = tuple(catalogue[int(i)] for i in shard.members)
            yield ShardTask(shard.number, shard.fingerprint, utterances, revision=shard.revision)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "utterances": self.utterances,
            "todo": [
                {"shard": s.name, "utterances": len(s.members), "seconds": round(s.seconds, 3), "reason": s.reason}
                for s in self.todo
            ],
            "done": [
                {"shard": s.name, "utterances": len(s.members), "seconds": round(s.seconds, 3), "failed": s.failed}
                for s in self.done
            ],
            "refused": [{"key": failure.key, "reason": failure.reason} for failure in self.refused],
            "hours_to_make": self.seconds / 3600,
            "read_amplification": self.read_amplification,
            "worker_bytes": self.worker_bytes,
        }


def plan_shards(
    catalogue: Catalogue,
    job: Job,
    committed: Iterable[CommittedShard],
    stale: Mapping[str, str],
    chunk_bytes: Callable[[Utterance, Utterance], int],
    worker_bytes: int,
) -> Plan:
    """The plan for a catalogue, given what is committed.

    Utterances that a commit holds keep their shard. The others are cut, in the store's order, into runs of about
    `shard_seconds`, a run ending also where an utterance with a shard stands between; runs take the smallest free
    numbers. So an interrupted first run, planned again, gives the same shards.

    Args:
        catalogue: the store's utterances.
        job: what is to be done with them.
        committed: all commit records of the output.
        stale: name of a commit -> why its shard is to be made again though nothing has changed.
        chunk_bytes: bytes that reading from one utterance to another touches.
        worker_bytes: memory of a worker, for the plan's reader.
    """
    newest, revisions = _newest(committed)
    refused = _refused(catalogue, job)
    shards = _assign(catalogue, job, newest, {failure.key for failure in refused})
    ingredients = ingredients_of(job)
    todo, done = [], []
    read = wanted = 0
    for number in sorted(shards):
        members = np.asarray(shards[number], np.int64)
        fingerprint = shard_fingerprint(catalogue, members, ingredients)
        seconds = job.source.seconds(int(catalogue.frames[members].sum()))
        last = max(revisions.get((number, fingerprint), ()), key=lambda commit: commit.revision, default=None)
        if last is not None and last.name not in stale:
            done.append(PlannedShard(number, fingerprint, members, seconds, "", last.failed, last.revision))
            continue
        if last is not None:
            reason, revision = stale[last.name], last.revision + 1
        else:
            old, revision = newest.get(number), 0
            reason = why_stale(catalogue, members, ingredients, old.digests, old.ingredients) if old else "new"
        todo.append(PlannedShard(number, fingerprint, members, seconds, reason, revision=revision))
        wanted += int(catalogue.frames[members].sum()) * job.source.n_mels * 4
        read += _read_bytes(catalogue, members, chunk_bytes)
    return Plan(tuple(todo), tuple(done), refused, len(catalogue), read, wanted, worker_bytes)


def _newest(
    committed: Iterable[CommittedShard],
) -> tuple[dict[int, CommittedShard], dict[tuple[int, str], list[CommittedShard]]]:
    """The newest commit of each shard; and by number and fingerprint, all revisions."""
    newest: dict[int, CommittedShard] = {}
    revisions: dict[tuple[int, str], list[CommittedShard]] = {}
    for commit in committed:
        revisions.setdefault((commit.number, commit.fingerprint), []).append(commit)
        known = newest.get(commit.number)
        if known is None or (commit.generation, commit.name) > (known.generation, known.name):
            newest[commit.number] = commit
    return newest, revisions


def _refused(catalogue: Catalogue, job: Job) -> tuple[Failure, ...]:
    limit = job.config.input.max_utterance_seconds
    too_long = np.flatnonzero(catalogue.frames > limit * job.source.sample_rate / job.source.hop_length)
    reasons = {
        int(i): f"it lasts {job.source.seconds(int(catalogue.frames[i])):.1f} s, more than "
        f"input.max_utterance_seconds, {limit:g} s"
        for i in too_long
    } | dict(catalogue.faults)
    failures = []
    for index in sorted(reasons):
        utterance = catalogue[index]
        source = Source(job.config.input.public_store, utterance.where, utterance.digest)
        failures.append(Failure(utterance.key, source, "BadMelError", reasons[index]))
    return tuple(failures)


def _assign(
    catalogue: Catalogue, job: Job, newest: Mapping[int, CommittedShard], refused: set[str]
) -> dict[int, list[int]]:
    home: dict[str, int] = {}
    for commit in sorted(newest.values(), key=lambda commit: (commit.generation, commit.number)):
        home.update(dict.fromkeys(commit.digests, commit.number))
    target = job.config.output.shard_seconds * job.source.sample_rate / job.source.hop_length  # frames
    shards: dict[int, list[int]] = {}
    runs: list[list[int]] = [[]]
    frames = 0
    for index, (key, length) in enumerate(zip(catalogue.keys, catalogue.frames.tolist(), strict=True)):
        if key in refused:
            continue
        number = home.get(key)
        if number is not None:
            shards.setdefault(number, []).append(index)
        else:
            runs[-1].append(index)
            frames += length
        if (number is not None or frames >= target) and runs[-1]:
            runs.append([])
            frames = 0
    free = (number for number in range(len(newest) + len(runs)) if number not in newest)
    shards.update(zip(free, filter(None, runs), strict=False))
    return shards


def _read_bytes(
    catalogue: Catalogue, members: NDArray[np.int64], chunk_bytes: Callable[[Utterance, Utterance], int]
) -> int:
    breaks = np.flatnonzero(np.diff(members) != 1) + 1
    runs = np.split(members, breaks)
    return sum(chunk_bytes(catalogue[int(run[0])], catalogue[int(run[-1])]) for run in runs)
