"""How much memory a job takes, before any work. Pure. All figures are upper bounds, measured on Linux."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.config import ClusterConfig, Job, memory_bytes
from pipeline.errors import ConfigError
from pipeline.stores import Catalogue, MelStore
from pipeline.stores.mel_array import AHEAD_BYTES
from pipeline.stores.zarr_arrays import KEPT_BYTES
from pipeline.vocoders import PIECES, Vocoder

_MIB = 2**20
_WORKER_BASE = 168 * _MIB
"""A worker that has imported everything, with Dask and the compiler, and decoded nothing."""
_DRIVER_BASE = 240 * _MIB
"""The same with a scheduler and the command line."""
_PER_UTTERANCE = 160
"""Columns of the catalogue with a key of 30 bytes, their place in the plan, and what sorting them takes [bytes]."""
_PER_CONNECTION = _MIB // 2
"""What a scheduler holds for each worker."""
_PER_TASK_UTTERANCE = 320
"""An utterance in a task, which driver and scheduler hold twice for a moment [bytes]."""
_PER_ROW = 6144
"""A row of a shard that is being made, with its share of the commit record [bytes]."""
_SPOOL = 16 * _MIB
"""Encoded audio of an utterance beyond this is in a file."""
_READ = KEPT_BYTES + 4 * AHEAD_BYTES
"""Decoded chunks that a store keeps for the next read, and rows that it reads ahead: as Zarr gives them, joined, as
float32, and those of the read before."""
_COMPILING = 24 * _MIB


@dataclass(frozen=True)
class MemoryNeed:
    """The memory that a job takes [bytes].

    Args:
        driver: this process with the plan, and with the scheduler if it is ours.
        worker: a worker process, without what it shares with others.
        shared: what the workers of a machine share.
        first: what the process takes besides that is the first on its machine, until it has made what all share.
        decoding: the part of `worker` that is not the same for all jobs.
    """

    driver: int
    worker: int
    shared: int
    first: int
    decoding: int

    def on_a_machine(self, cluster: ClusterConfig) -> int:
        """The memory that a run takes on one of its machines, for kinds without a driver there: that with workers."""
        match cluster.kind:
            case "synchronous":
                return self.driver + max(self.first, self.decoding) + self.shared
            case "local":
                return self.driver + max(self.first, cluster.worker_count() * self.worker) + self.shared
            case _:
                return cluster.workers_of_a_machine() * self.worker + self.first + self.shared


def memory_need(job: Job, store: MelStore, catalogue: Catalogue, vocoder: Vocoder, sizes: Iterable[int]) -> MemoryNeed:
    """The memory that a job takes.

    Args:
        job: the job.
        store: its store.
        catalogue: the store's utterances.
        vocoder: its vocoder.
        sizes: number of utterances of each shard that is to be made.
    """
    config = job.config
    threads = config.cluster.threads_per_worker
    largest = max(sizes, default=0)
    window = (config.vocoder.window or vocoder.window) + sum(vocoder.halo)
    longest = catalogue[int(catalogue.frames.argmax())]
    rate = config.output.sample_rate or job.mel.sample_rate
    spool = min(_SPOOL, 4 * int(job.mel.seconds(longest.frames) * rate))
    chunks = 2 * store.chunk_bytes(longest, longest) if longest.frames else 0  # decoded, and as they are stored
    decoding = vocoder.memory(window * (config.vocoder.batch or 1)) + chunks + spool + largest * _PER_ROW
    if config.vocoder.device != "cpu":
        rows = 2 if config.vocoder.refinements else 1  # the net's own waveform waits, too
        decoding += 4 * PIECES * rows * vocoder.samples(window)  # float32 waveforms that wait to be encoded
    read = min(_READ, 4 * 4 * job.mel.n_mels * int(catalogue.frames.sum()))
    workers = config.cluster.worker_count()
    in_flight = 2 * max(1, workers) * threads
    return MemoryNeed(
        driver=_DRIVER_BASE
        + len(catalogue) * _PER_UTTERANCE
        + workers * _PER_CONNECTION
        + in_flight * largest * _PER_TASK_UTTERANCE,
        worker=_WORKER_BASE + read + threads * decoding,
        shared=vocoder.shared_memory,
        first=_COMPILING + 3 * vocoder.shared_memory // 2,
        decoding=read + threads * decoding,
    )


def check_memory(need: MemoryNeed, cluster: ClusterConfig) -> None:
    """Refuse a job that takes more memory on a machine than it may.

    Raises:
        ConfigError: if it takes more than `cluster.memory_limit`.
    """
    if cluster.memory_limit is None:
        return
    limit, total = memory_bytes(cluster.memory_limit), need.on_a_machine(cluster)
    if total > limit:
        raise ConfigError(
            f"the job takes up to {total / _MIB:.0f} MiB on a machine, more than cluster.memory_limit, "
            f"{cluster.memory_limit} ({limit / _MIB:.0f} MiB): the driver {need.driver / _MIB:.0f} MiB, each worker "
            f"{need.worker / _MIB:.0f} MiB, {need.shared / _MIB:.0f} MiB that workers share, and "
            f"{need.first / _MIB:.0f} MiB until the first has made that. Take fewer workers, a smaller vocoder.window "
            "or another vocoder, or raise the limit"
        )
