"""Every error that melmill raises on purpose, with its exit code.

    MelmillError                 1
    ├── ConfigError              2  the command line, the job file or a mel contract is wrong
    │   ├── StoreError           2  the input is not a mel store, or cannot be read without guessing
    │   └── CheckpointError      2  a checkpoint is not valid, wants to run code, or does not match its config
    ├── ContractError            4  the store's mel contract does not fit the vocoder's
    ├── OwnedError               5  another run owns this output, or won the race for it
    ├── StorageError             6  storage failed: full, denied, unreachable
    │   ├── LostRecordError      6  a commit record is lost
    │   ├── DamagedRecordError   6  a commit record is not valid, or was changed
    │   └── ClusterError         6  the Dask scheduler or its workers cannot be reached
    │       └── CardError        6  a CUDA card fails, or has no memory left
    ├── TooManyFailuresError     7  more utterances were quarantined than max_failure_rate allows
    │   └── HopelessRunError     7  the first utterances all failed in the same way
    ├── ClippedError             7  more samples were clipped than max_clipped_rate allows
    ├── InterruptedRunError     75  stopped by Ctrl-C or SIGTERM; run again to resume
    ├── UnfinishedError         75  some shards are not made yet, and nobody is at work on them
    └── UtteranceError           3  one utterance cannot be made; it is quarantined and the others are made
        ├── MissingChunkError    3  a Zarr chunk, or an inner chunk of a shard, is not there
        ├── CorruptChunkError    3  a Zarr chunk does not decode
        ├── BadMelError          3  NaN, infinity or an impossible value, a wrong width, no frames, too many
        ├── VocoderError         3  the vocoder fails on it
        └── WorkerLostError      3  every worker that made it died or hung

A message says what is wrong, with the values, where it is, and what to do. It holds no secret of a URL. All errors can
be sent to another process: an error is rebuilt from its message alone.
"""

from __future__ import annotations

from typing import ClassVar

from pipeline.redaction import redacted


class MelmillError(Exception):
    """Base of all errors that melmill raises on purpose. Its message holds no secret of a URL, and can be printed."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message).encode("utf-8", "backslashreplace").decode())


class ConfigError(MelmillError):
    """The command line, the job file or a mel contract is wrong."""

    exit_code = 2


class StoreError(ConfigError):
    """The input is not a mel store, or cannot be read without guessing."""


class CheckpointError(ConfigError):
    """A checkpoint is damaged, is not a torch file, or holds more than tensors in plain containers."""


class ContractError(MelmillError):
    """The store's mel contract does not fit the vocoder's, or is not known."""

    exit_code = 4


class OwnedError(MelmillError):
    """Another run owns this output, or won the race for it."""

    exit_code = 5


class StorageError(MelmillError):
    """Storage failed: full, denied or unreachable. What was committed is kept."""

    exit_code = 6


class LostRecordError(StorageError):
    """A commit record that must be there is not."""


class DamagedRecordError(StorageError):
    """A commit record is not valid, has another version, or was changed after it was written."""


class ClusterError(StorageError):
    """The Dask scheduler or its workers cannot be reached."""


class CardError(ClusterError):
    """A CUDA card fails, or has no memory left. No utterance is to blame."""


class TooManyFailuresError(MelmillError):
    """More utterances were quarantined than `quality.max_failure_rate` allows."""

    exit_code = 7


class HopelessRunError(TooManyFailuresError):
    """The first utterances all failed in the same way. The run was stopped, since it cannot succeed."""


class ClippedError(MelmillError):
    """More samples were clipped than `quality.max_clipped_rate` allows. The manifest is published."""

    exit_code = 7


class InterruptedRunError(MelmillError):
    """Ctrl-C or SIGTERM stopped the run. Run it again to resume."""

    exit_code = 75


class UnfinishedError(MelmillError):
    """Some shards are not made yet, and nobody is at work on them. Run the job or its parts again to resume."""

    exit_code = 75


class UtteranceError(MelmillError):
    """One utterance cannot be made. It is quarantined with this message; the others are made."""

    exit_code = 3


class MissingChunkError(UtteranceError):
    """A Zarr chunk, or an inner chunk of a shard, is not there."""


class CorruptChunkError(UtteranceError):
    """A Zarr chunk does not decode."""


class BadMelError(UtteranceError):
    """A mel holds NaN, infinity or a value that no mel has, or it has a wrong width, no frames or too many."""


class VocoderError(UtteranceError):
    """The vocoder fails on a mel, or gives a waveform whose length is not the one that it promised."""


class WorkerLostError(UtteranceError):
    """Every worker that made the utterance died or hung, also when it made this utterance alone."""
