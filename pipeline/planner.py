"""Plan: what is to be made, what is already there, and why. Pure: reads nothing, writes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Job
from pipeline.records import Failure, Ingredients, ShardRecord, Source, shard_name
from pipeline.stores.base import Catalogue, Utterance

FORMAT_VERSION = 1
"""Part of every fingerprint: raised when the same inputs no longer give the same output."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to be made: all that a worker is sent besides the job. Names and row ranges, never arrays.

    Args:
        number: of the shard.
        fingerprint: digest over everything that its samples depend on, as hexadecimal.
        utterances: in the order in which they go into the shard.
        condemned: key -> reason, of those that are not to be tried any more.
    """

    number: int
    fingerprint: str
    utterances: tuple[Utterance, ...]
    condemned: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Number and fingerprint, as in object names."""
        return shard_name(self.number, self.fingerprint)


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
    """

    number: int
    fingerprint: str
    members: NDArray[np.int64]
    seconds: float
    reason: str
    failed: int = 0

    @property
    def name(self) -> str:
        """Number and fingerprint, as in object names."""
        return shard_name(self.number, self.fingerprint)


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
    """

    number: int
    fingerprint: str
    generation: int
    ingredients: Ingredients
    digests: Mapping[str, str]
    failed: int = 0

    @classmethod
    def of(cls, record: ShardRecord) -> CommittedShard:
        """The planner's view of a record."""
        digests = {row.key: row.source.digest for row in record.rows}
        digests |= {failure.key: failure.source.digest for failure in record.failures}
        return cls(
            record.shard, record.fingerprint, record.generation, record.ingredients, digests, len(record.failures)
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
            yield ShardTask(shard.number, shard.fingerprint, tuple(catalogue[int(i)] for i in shard.members))

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
    newest, there = _newest(committed)
    refused = _refused(catalogue, job)
    shards = _assign(catalogue, job, newest, {failure.key for failure in refused})
    ingredients = ingredients_of(job)
    todo, done = [], []
    read = wanted = 0
    for number in sorted(shards):
        members = np.asarray(shards[number], np.int64)
        fingerprint, again = _revised(number, _fingerprint(catalogue, members, ingredients), stale)
        seconds = job.source.seconds(int(catalogue.frames[members].sum()))
        if (number, fingerprint) in there:
            done.append(PlannedShard(number, fingerprint, members, seconds, "", there[number, fingerprint]))
            continue
        reason = again or _why(catalogue, members, ingredients, newest.get(number))
        todo.append(PlannedShard(number, fingerprint, members, seconds, reason))
        wanted += int(catalogue.frames[members].sum()) * job.source.n_mels * 4
        read += _read_bytes(catalogue, members, chunk_bytes)
    return Plan(tuple(todo), tuple(done), refused, len(catalogue), read, wanted, worker_bytes)


def ingredients_of(job: Job) -> Ingredients:
    """What the shards of this job are made with, besides their mels."""
    output = job.config.output
    return Ingredients(
        vocoder=job.vocoder_digest,
        contract=json.dumps(job.source.to_dict(), sort_keys=True),
        output=f"{output.container} {output.codec} {output.subtype}",
    )


def _newest(committed: Iterable[CommittedShard]) -> tuple[dict[int, CommittedShard], dict[tuple[int, str], int]]:
    """The newest commit of each shard, and of every commit how many utterances are quarantined in it."""
    newest: dict[int, CommittedShard] = {}
    there = {}
    for commit in committed:
        there[commit.number, commit.fingerprint] = commit.failed
        known = newest.get(commit.number)
        if known is None or (commit.generation, commit.fingerprint) > (known.generation, known.fingerprint):
            newest[commit.number] = commit
    return newest, there


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


def _fingerprint(catalogue: Catalogue, members: NDArray[np.int64], ingredients: Ingredients) -> str:
    digest = hashlib.blake2b(digest_size=16)
    head = [FORMAT_VERSION, ingredients.vocoder, ingredients.contract, ingredients.output]
    digest.update(json.dumps(head).encode())
    for index in members.tolist():
        key = str(catalogue.keys[index]).encode("utf-8", "surrogatepass")
        digest.update(len(key).to_bytes(8, "little") + key + bytes(catalogue.digests[index]))
    return digest.hexdigest()


def _revised(number: int, fingerprint: str, stale: Mapping[str, str]) -> tuple[str, str]:
    """The fingerprint of a shard's newest revision, and why the one before it is stale; empty if there is none.

    What is marked stale is made again beside what there is, under a fingerprint of its own, as a changed mel would be.
    """
    reason = ""
    while (mark := stale.get(shard_name(number, fingerprint))) is not None:
        reason = mark
        fingerprint = hashlib.blake2b(f"again {fingerprint}".encode(), digest_size=16).hexdigest()
    return fingerprint, reason


def _why(catalogue: Catalogue, members: NDArray[np.int64], ingredients: Ingredients, old: CommittedShard | None) -> str:
    """Why a shard is to be made, in words."""
    if old is None:
        return "new"
    digests = {str(catalogue.keys[i]): bytes(catalogue.digests[i]).hex() for i in members.tolist()}
    changed = sum(old.digests.get(key, digest) != digest for key, digest in digests.items())
    removed = sum(key not in digests for key in old.digests)
    added = sum(key not in old.digests for key in digests)
    reasons = []
    if changed:
        reasons.append(f"{changed} of {len(digests)} mels changed")
    if removed:
        reasons.append(f"{removed} of {len(old.digests)} utterances left")
    if added:
        reasons.append(f"{added} utterances came")
    if old.ingredients.vocoder != ingredients.vocoder:
        reasons.append(f"vocoder {old.ingredients.vocoder[:8]} -> {ingredients.vocoder[:8]}")
    if old.ingredients.output != ingredients.output:
        reasons.append(f"output {old.ingredients.output} -> {ingredients.output}")
    if old.ingredients.contract != ingredients.contract:
        reasons.append("the mel contract changed")
    return "; ".join(reasons) or "the order of its utterances changed"


def _read_bytes(
    catalogue: Catalogue, members: NDArray[np.int64], chunk_bytes: Callable[[Utterance, Utterance], int]
) -> int:
    breaks = np.flatnonzero(np.diff(members) != 1) + 1
    runs = np.split(members, breaks)
    return sum(chunk_bytes(catalogue[int(run[0])], catalogue[int(run[-1])]) for run in runs)
