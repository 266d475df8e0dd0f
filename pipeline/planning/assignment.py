"""Which shard each utterance belongs to, and which belong to none since they cannot be made. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Set

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Job
from pipeline.planning.commit_index import CommitIndex
from pipeline.stores.base import Catalogue


def assign(
    catalogue: Catalogue, job: Job, commits: CommitIndex, numbers: Set[int], refused: Iterable[int]
) -> dict[int, NDArray[np.int64]]:
    """The shards of a plan: number of each -> `[utterances] int64`, positions of its utterances, ascending.

    Args:
        catalogue: the store's utterances.
        job: the job to plan.
        commits: all commits of the output.
        numbers: numbers of shards that commits have.
        refused: positions of the utterances that cannot be made.
    """
    wanted = np.ones(len(catalogue), np.bool_)
    wanted[list(refused)] = False
    housed = np.flatnonzero(wanted & (commits.home >= 0))
    number_of = np.array([shard.number for shard in commits.shards], np.int64)
    its_number = number_of[commits.home[housed]]
    order = np.argsort(its_number, kind="stable")
    its_number = its_number[order]
    first = np.flatnonzero(np.diff(its_number, prepend=-1))
    shards = dict(zip(its_number[first].tolist(), np.split(housed[order], first[1:]), strict=False))
    runs = _runs(np.flatnonzero(wanted & (commits.home < 0)), housed, catalogue, job)
    free = (number for number in range(len(numbers) + len(runs)) if number not in numbers)
    shards.update(zip(free, runs, strict=False))
    return shards


def _runs(new: NDArray[np.int64], housed: NDArray[np.int64], catalogue: Catalogue, job: Job) -> list[NDArray[np.int64]]:
    """The positions of utterances that have no shard, cut into runs for new shards.

    Args:
        new: `[utterances] int64`, the positions, ascending.
        housed: positions of the utterances that have a shard, ascending; no run goes past one of them.
        catalogue: the store's utterances.
        job: the job, whose `shard_seconds` says how long a run is.
    """
    seconds = job.config.output.shard_seconds
    assert seconds is not None, "`prepare` has resolved it"
    target = math.ceil(seconds * job.mel.sample_rate / job.mel.hop_length)  # frames
    parted = np.append(np.flatnonzero(np.diff(np.searchsorted(housed, new)) > 0) + 1, len(new))
    before = np.cumsum(catalogue.frames[new]) - catalogue.frames[new]  # frames of all new utterances before each
    cuts: list[int] = []
    at = 0
    while at < len(new):
        full = np.searchsorted(before, before[at] + target)
        at = min(int(full), int(parted[np.searchsorted(parted, at, side="right")]))
        cuts.append(at)
    return [run for run in np.split(new, cuts) if len(run)]


def refusals_of(catalogue: Catalogue, job: Job) -> dict[int, str]:
    """Position of each utterance that cannot be made, as its listing shows -> why."""
    limit = job.config.input.max_utterance_seconds
    too_long = np.flatnonzero(catalogue.frames > limit * job.mel.sample_rate / job.mel.hop_length)
    return {
        int(i): f"it lasts {job.mel.seconds(int(catalogue.frames[i])):.1f} s, more than "
        f"input.max_utterance_seconds, {limit:g} s"
        for i in too_long
    } | dict(catalogue.faults)
