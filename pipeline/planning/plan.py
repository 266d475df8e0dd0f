"""The plan: what is to be made, what is already there, and why. Pure: reads nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Job
from pipeline.events import Reason
from pipeline.output.layout import shard_name
from pipeline.output.records import Failure, ShardId, Source
from pipeline.planning.assignment import assign, refusals_of
from pipeline.planning.commit_index import CommitIndex, CommittedShard
from pipeline.planning.decide import Decision, decide
from pipeline.planning.fingerprint import ingredients_of, is_reusable, shard_fingerprint, why_made, why_repacked
from pipeline.planning.memory import MemoryNeed
from pipeline.stores.base import Catalogue, Utterance, Utterances

Key = TypeVar("Key")
_SHOWN = 3


@dataclass(frozen=True)
class ShardTask(ShardId):
    """One shard to make: all that a worker gets besides the job. It says where mels are, and holds none.

    Args:
        number, fingerprint, revision, texts: the identity of the shard; see ShardId.
        utterances: the utterances, in the order in which they go into the shard.
        condemned: key -> reason, of utterances that are not tried any more.
        meta: key -> JSON object, of utterances for which the job's list has metadata.
        copied_from: name of the commit whose audio is copied, as far as its mels are those of now; empty if all audio
            is decoded.
    """

    utterances: Utterances
    condemned: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
    copied_from: str = ""


@dataclass(frozen=True)
class PlannedShard(ShardId):
    """One shard of the plan.

    Args:
        number, fingerprint, revision, texts: the identity of the shard; see ShardId.
        members: `[utterances] int64`, positions in the catalogue.
        seconds: duration of the audio in it, from the frame counts [s].
        reason: why it is to be made; empty if it is there.
        failed: number of utterances that are quarantined in it, if it is there.
        texts_changed: number of its utterances whose metadata has changed.
        copied_from: name of the commit whose audio is copied; empty if all of it is decoded.
        decoded: number of its utterances whose audio is decoded from mels; that of the others is there, or copied.
        decoded_seconds: duration of the audio that is decoded [s].
    """

    members: NDArray[np.int64]
    seconds: float
    reason: str
    failed: int = 0
    texts_changed: int = 0
    copied_from: str = ""
    decoded: int = 0
    decoded_seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Args:
        todo: shards to make.
        done: shards that are committed as they should be.
        refused: failures of utterances that cannot be made, as their listing already shows.
        utterances: number of utterances in the store: those of `todo` and `done`, and the refused.
        read_bytes: size of the decoded chunks that making `todo` reads.
        wanted_bytes: size of the mels of `todo`, as float32.
        memory: the memory that the run takes.
    """

    todo: tuple[PlannedShard, ...]
    done: tuple[PlannedShard, ...]
    refused: tuple[Failure, ...]
    utterances: int
    read_bytes: int
    wanted_bytes: int
    memory: MemoryNeed

    @property
    def shards_to_decode(self) -> tuple[PlannedShard, ...]:
        """The shards of `todo` with audio that is decoded from mels. All audio of the others is copied."""
        return tuple(shard for shard in self.todo if shard.decoded)

    @property
    def repacked(self) -> int:
        """Number of shards whose audio is all copied, since only texts changed."""
        return len(self.todo) - len(self.shards_to_decode)

    @property
    def unchanged(self) -> int:
        """Number of utterances in `shards_to_decode` whose audio is copied, since their mels did not change."""
        return sum(len(shard.members) - shard.decoded for shard in self.shards_to_decode)

    @property
    def texts_changed(self) -> int:
        """Number of utterances of `todo` whose metadata has changed."""
        return sum(shard.texts_changed for shard in self.todo)

    @property
    def seconds(self) -> float:
        """Duration of the audio to decode [s]."""
        return sum(shard.decoded_seconds for shard in self.shards_to_decode)

    @property
    def read_amplification(self) -> float:
        """Number of bytes read for each byte wanted; 0.0 if there is nothing to do."""
        return self.read_bytes / self.wanted_bytes if self.wanted_bytes else 0.0

    def tasks(
        self,
        catalogue: Catalogue,
        shards: Iterable[PlannedShard] | None = None,
        listed: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[ShardTask]:
        """The tasks of `todo`, or of some of its shards, made one at a time.

        Args:
            catalogue: the catalogue that was planned for.
            shards: the shards to give tasks for; None for all of `todo`.
            listed: key -> JSON object, the metadata that the job's list has for utterances.
        """
        for shard in self.todo if shards is None else shards:
            utterances = catalogue.select(shard.members)
            meta = {key: listed[key] for key in utterances.keys if key in listed} if listed else {}
            yield ShardTask(
                shard.number,
                shard.fingerprint,
                utterances,
                revision=shard.revision,
                texts=shard.texts,
                meta=meta,
                copied_from=shard.copied_from,
            )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "utterances": self.utterances,
            "todo": [
                {
                    "shard": s.name,
                    "utterances": len(s.members),
                    "seconds": round(s.seconds, 3),
                    "reason": s.reason,
                    "repacked": not s.decoded,
                    "vocoded": s.decoded,
                }
                for s in self.todo
            ],
            "done": [
                {"shard": s.name, "utterances": len(s.members), "seconds": round(s.seconds, 3), "failed": s.failed}
                for s in self.done
            ],
            "refused": [{"key": failure.key, "reason": failure.reason} for failure in self.refused],
            "texts_changed": self.texts_changed,
            "shards_repacked": self.repacked,
            "shards_vocoded": len(self.shards_to_decode),
            "utterances_copied": self.unchanged,
            "hours_to_make": self.seconds / 3600,
            "read_amplification": self.read_amplification,
            "driver_bytes": self.memory.driver,
            "worker_bytes": self.memory.worker,
            "shared_bytes": self.memory.shared,
            "first_bytes": self.memory.first,
        }


def reasons(shards: Iterable[PlannedShard]) -> tuple[Reason, ...]:
    """Why shards are to be made, the most common reason first."""
    sharing: dict[str, list[PlannedShard]] = {}
    for shard in shards:
        sharing.setdefault(shard.reason, []).append(shard)
    found = (
        Reason(words, len(all_), sum(len(each.members) for each in all_), tuple(each.name for each in all_[:_SHOWN]))
        for words, all_ in sharing.items()
    )
    return tuple(sorted(found, key=lambda reason: -reason.shards))


def plan_shards(
    catalogue: Catalogue,
    job: Job,
    commits: CommitIndex,
    stale: Mapping[str, str],
    chunk_bytes: Callable[[Utterance, Utterance], int],
    memory: Callable[[Iterable[int]], MemoryNeed],
    texts_of: Callable[[Iterable[int]], str] = lambda members: "",
) -> Plan:
    """The plan for a catalogue, given what is committed.

    Utterances that a commit holds keep their shard. The others are cut, in the store's order, into runs of about
    `shard_seconds`; a run also ends where the next utterance has a shard. Runs get the smallest free numbers. So if a
    first run was interrupted, planning again gives the same shards.

    Args:
        catalogue: the store's utterances.
        job: the job to plan.
        commits: all commits of the output, indexed by this catalogue.
        stale: name of a commit -> why its shard is to be made again though nothing has changed.
        chunk_bytes: gives the size of the chunks that hold all rows from one utterance to another.
        memory: gives the memory that shards with some numbers of utterances take.
        texts_of: gives the `texts` of a shard with the utterances at some positions; see ShardId.
    """
    newest = _newest(commits.shards, lambda shard: shard.number, lambda shard: (shard.generation, shard.name))
    alike: dict[tuple[int, str], list[CommittedShard]] = {}
    for shard in commits.shards:
        alike.setdefault((shard.number, shard.fingerprint), []).append(shard)
    names = {shard.name for shard in commits.shards}
    refusals = refusals_of(catalogue, job)
    shards = assign(catalogue, job, commits, frozenset(newest), refusals)
    ingredients = ingredients_of(job)
    todo, done = [], []
    read = wanted = 0
    for number in sorted(shards):
        members = shards[number]
        fingerprint = shard_fingerprint(catalogue, members, ingredients)
        old, changed = newest.get(number), int(commits.changed[members].sum())
        decision = decide(
            alike.get((number, fingerprint), ()),
            stale,
            partial(texts_of, members.tolist()),
            partial(why_made, old, len(members), changed, ingredients, job.elsewhere),
            partial(why_repacked, old, len(members), ingredients.sidecar),
            old.name if old is not None and changed < len(members) and is_reusable(old, ingredients, stale) else "",
        )
        planned = _planned(number, fingerprint, members, job.mel.seconds(_frames(catalogue, members)), decision, names)
        if not decision.reason:
            done.append(planned)
            continue
        decoded = _to_decode(decision, members, commits)
        frames = _frames(catalogue, decoded)
        wanted += frames * job.mel.n_mels * 4
        read += _read_bytes(catalogue, decoded, chunk_bytes)
        texts = old.texts_changed if old is not None else 0
        todo.append(
            replace(planned, texts_changed=texts, decoded=len(decoded), decoded_seconds=job.mel.seconds(frames))
        )
    refused = tuple(_failure(catalogue[index], job, reason) for index, reason in sorted(refusals.items()))
    need = memory(len(each.members) for each in todo)
    return Plan(tuple(todo), tuple(done), refused, len(catalogue), read, wanted, need)


def _to_decode(decision: Decision, members: NDArray[np.int64], commits: CommitIndex) -> NDArray[np.int64]:
    """Those of a shard's utterances whose audio is not copied, `[utterances] int64`."""
    if not decision.copied_from:
        return members
    return members[commits.changed[members]] if decision.partly else members[:0]


def _frames(catalogue: Catalogue, members: NDArray[np.int64]) -> int:
    return int(catalogue.frames[members].sum())


def _planned(
    number: int, fingerprint: str, members: NDArray[np.int64], seconds: float, decision: Decision, names: Set[str]
) -> PlannedShard:
    revision, texts = decision.revision, decision.texts
    while decision.reason and shard_name(number, fingerprint, revision, texts) in names:
        revision += 1  # another shard has the name, by chance
    return PlannedShard(
        number,
        fingerprint,
        members,
        seconds,
        decision.reason,
        decision.failed,
        copied_from=decision.copied_from,
        revision=revision,
        texts=texts,
    )


def _newest(
    shards: Iterable[CommittedShard], key: Callable[[CommittedShard], Key], age: Callable[[CommittedShard], Any]
) -> dict[Key, CommittedShard]:
    """The newest of the commits with each key."""
    newest: dict[Key, CommittedShard] = {}
    for shard in shards:
        known = newest.setdefault(key(shard), shard)
        if age(shard) > age(known):
            newest[key(shard)] = shard
    return newest


def _failure(utterance: Utterance, job: Job, reason: str) -> Failure:
    source = Source(job.config.input.public_store, utterance.where, utterance.digest)
    return Failure(utterance.key, source, "BadMelError", reason)


def _read_bytes(
    catalogue: Catalogue, members: NDArray[np.int64], chunk_bytes: Callable[[Utterance, Utterance], int]
) -> int:
    breaks = np.flatnonzero(np.diff(members) != 1) + 1
    runs = np.split(members, breaks) if len(members) else []
    return sum(chunk_bytes(catalogue[int(run[0])], catalogue[int(run[-1])]) for run in runs)
