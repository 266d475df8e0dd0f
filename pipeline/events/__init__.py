"""What happens in a run, as small frozen values.

Workers and the driver emit events; progress bars, logs and metrics listen. `base` has what all events share, `runs` and
`shards` have the events. `stopwatch` measures stages, `tally` adds events up, `prometheus` writes them for a monitor.
Nothing here decides anything, and nothing here knows Dask, stores or outputs.
"""

from pipeline.events.base import Event, Listener, Reason, Stages
from pipeline.events.runs import (
    ContractDoubted,
    Logged,
    MetadataConverted,
    MetadataListed,
    NativeKernelsUnused,
    OtherProcessor,
    PartFinished,
    PublicationDue,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopping,
    SupersededDeleted,
    SupersededNeeded,
    WorkersAwaited,
    WorkersCounted,
)
from pipeline.events.shards import (
    ShardAbandoned,
    ShardCommitted,
    ShardRetried,
    ShardStarted,
    ShardTakenOver,
    UtterancesMade,
)

__all__ = [
    "ContractDoubted",
    "Event",
    "Listener",
    "Logged",
    "MetadataConverted",
    "MetadataListed",
    "NativeKernelsUnused",
    "OtherProcessor",
    "PartFinished",
    "PublicationDue",
    "Reason",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "RunStopping",
    "ShardAbandoned",
    "ShardCommitted",
    "ShardRetried",
    "ShardStarted",
    "ShardTakenOver",
    "Stages",
    "SupersededDeleted",
    "SupersededNeeded",
    "UtterancesMade",
    "WorkersAwaited",
    "WorkersCounted",
]
