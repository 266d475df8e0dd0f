"""Events of a run as a whole, or of one part of a job."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.events.base import Event, Reason


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins.

    Args:
        run_id: identifier of this run.
        output: URL or path of the output.
        shards: number of shards to make.
        utterances: number of utterances to make.
        seconds: duration of the audio to make [s].
        workers: number of worker processes, as far as it is known at the start.
        reasons: why these shards are made, the most common reason first; empty if all shards are there and only the
            manifest is published.
        texts_changed: number of utterances whose metadata has changed.
        repacked: number of shards whose audio is copied, since only texts changed; the others are vocoded.
    """

    run_id: str
    output: str
    shards: int
    utterances: int
    seconds: float
    workers: int
    reasons: tuple[Reason, ...] = ()
    texts_changed: int = 0
    repacked: int = 0


@dataclass(frozen=True)
class ContractDoubted(Event):
    """The store's values neither contradict its contract nor confirm all of it.

    Args:
        words: text that says what could not be judged, and why.
    """

    words: str


@dataclass(frozen=True)
class NativeKernelsUnused(Event):
    """The vocoder's net is run by onnxruntime, since the native kernels, which are faster, cannot run it.

    Args:
        words: why they cannot, as text.
    """

    words: str


@dataclass(frozen=True)
class MetadataListed(Event):
    """A list of metadata was read.

    Args:
        words: number of utterances that it has metadata for, as text.
    """

    words: str


@dataclass(frozen=True)
class MetadataConverted(Event):
    """A field of the metadata is written as text, since not every utterance has it with the same type.

    Args:
        words: text that says in how many rows it has which type.
    """

    words: str


@dataclass(frozen=True)
class PublicationDue(Event):
    """No shard needs to be made, but the manifest must be published.

    Args:
        reason: why it is published.
    """

    reason: str


@dataclass(frozen=True)
class OtherProcessor(Event):
    """Shards of this output were made on another kind of processor, so samples of new ones may differ slightly.

    Not told where nothing but kernels and codecs makes the samples, which are then the same on every processor.

    Told once for each kind of processor: the output remembers them.

    Args:
        processor: the kind of processor that makes shards now.
        earlier: the kinds of processors that made shards of this output before.
    """

    processor: str
    earlier: tuple[str, ...]


@dataclass(frozen=True)
class WorkersAwaited(Event):
    """The run has no worker and waits for one. Told once a minute.

    Args:
        seconds: time without a worker [s].
        limit: time after which the run gives up [s].
        reason: text of the batch system, or advice.
    """

    seconds: float
    limit: float
    reason: str


@dataclass(frozen=True)
class WorkersCounted(Event):
    """The number of workers of a Dask cluster, when the first one is there, and whenever it has changed.

    Args:
        workers: number of worker processes.
        threads: number of their threads: each makes a shard.
        dashboard: address of the page on which Dask shows its workers; empty if there is no such page.
    """

    workers: int
    threads: int
    dashboard: str


@dataclass(frozen=True)
class RunStopping(Event):
    """Ctrl-C or SIGTERM came. What is in flight may finish; nothing new begins.

    Args:
        grace: time that shards in flight may take to finish [s].
    """

    grace: float


@dataclass(frozen=True)
class Logged(Event):
    """A library, or melmill itself, logged a warning or worse in this process. Secrets are taken out.

    Args:
        level: WARNING, ERROR or CRITICAL.
        logger: name of the logger.
        words: the message, with a traceback if it has one.
    """

    level: str
    logger: str
    words: str


@dataclass(frozen=True)
class RunFailed(Event):
    """The run ended with an error. What was committed is kept.

    Args:
        error: name of the error's class.
        message: text that says what is wrong, where, and what to do.
        exit_code: exit code of the command.
    """

    error: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class PartFinished(Event):
    """A part of a job has nothing left to make. It publishes now, if no other part is at work.

    Args:
        run_id: identifier of this part's run.
        part: index of the part and number of parts, `2/8`.
        made_seconds: duration of the audio that this part made [s].
        elapsed: wall-clock time of this part [s].
    """

    run_id: str
    part: str
    made_seconds: float
    elapsed: float


@dataclass(frozen=True)
class SupersededNeeded(Event):
    """Superseded shards are needed again. Their objects are read now, and damaged shards are made again.

    Args:
        shards: number of them.
        bytes: size of their objects.
    """

    shards: int
    bytes: int


@dataclass(frozen=True)
class SupersededDeleted(Event):
    """Superseded shards were deleted, as `output.superseded: delete` says.

    Args:
        shards: number of them.
        bytes: size of their objects.
    """

    shards: int
    bytes: int


@dataclass(frozen=True)
class RunFinished(Event):
    """The manifest is published, or there was nothing to do.

    Args:
        run_id: identifier of this run; empty if there was nothing to do.
        utterances: number of rows in the manifest.
        failed: number of rows in failures.jsonl.
        seconds: duration of the audio in the manifest [s].
        made_seconds: duration of the audio that this run made [s].
        elapsed: wall-clock time of this run [s].
        repacked: number of shards whose audio this run copied, since only texts had changed.
    """

    run_id: str
    utterances: int
    failed: int
    seconds: float
    made_seconds: float
    elapsed: float
    repacked: int = 0
