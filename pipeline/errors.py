"""Every error that melmill raises on purpose, with its exit code.

    MelmillError                 1
    ├── ConfigError              2  the command line, the job file or a mel spec is wrong
    │   ├── StoreError           2  the input is no mel store, or not one we can read unambiguously
    │   └── CheckpointError      2  a checkpoint is none, asks for code, or not one of its config
    ├── ContractError            4  the store's mel contract does not fit the vocoder's
    ├── OwnedError               5  another run owns this output, or won the race
    ├── StorageError             6  storage failed: full, denied, unreachable
    │   ├── LostRecordError      6  a commit record is not there any more
    │   ├── DamagedRecordError   6  a commit record is none, or was changed
    │   └── ClusterError         6  the Dask scheduler or its workers cannot be reached
    │       └── CardError        6  a CUDA card fails, or has no memory left
    ├── TooManyFailuresError     7  more utterances were quarantined than max_failure_rate allows
    │   └── HopelessRunError     7  the first utterances all failed in the same way
    ├── InterruptedRunError     75  stopped by Ctrl-C or SIGTERM; run again to resume
    ├── UnfinishedError         75  shards are to be made yet, and nobody is at work on them
    └── UtteranceError           3  one utterance cannot be made; it is quarantined and the others go on
        ├── MissingChunkError    3  a Zarr chunk, or an inner chunk of a shard, is not there
        ├── CorruptChunkError    3  a Zarr chunk does not decode
        ├── BadMelError          3  NaN, infinity or an impossible value, a wrong width, no frames, too many
        ├── VocoderError         3  the vocoder fails on it
        └── WorkerLostError      3  whatever worker made it died or hung

A message says what is wrong with the values, where, and what to do, and no secret of a URL. All of them cross process
borders: an error is rebuilt from its message alone.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import quote

_LOUD = r"secret|passw(?:or)?d|passphrase|connection_?string|authorization"
_CALM = r"credentials?|signature|cookies?"
_SHORT = r"key|token|sas|auth"
"""What names of secrets have in them; in prose, only a part of a longer name is taken for one."""
_SECRET_NAME = re.compile(f"{_LOUD}|{_CALM}|{_SHORT}", re.I)
_PUBLIC_NAME = re.compile(r"signature_version|max_?keys|.*kms_?key_?id|auth(or|ority)", re.I)
_SECRETS = (
    (re.compile(r"(?<=://)(?<!\babfs://)(?<!\babfss://)[^/\s'\"]*@"), ""),  # user and password
    (re.compile(r"(?<=://)[^/\s'\"]*:[^/\s'\"]*@"), ""),  # abfs://container@account has neither
    (re.compile(r"\?[^\s'\"<>]*=[^\s'\"<>]*"), "?..."),  # a query: signatures and tokens have too many names to list
    (re.compile(r"(://[^\s'\"?]*\?)(?!\.\.\.)[^\s'\"<>]+"), r"\1..."),  # a query that is a token alone
    (  # an option: secret=..., 'password': '...', Authorization: Basic ...
        re.compile(
            rf"(?<![\w-])([\w-]*(?:{_LOUD})\w*|[\w-]*(?:{_CALM})|[\w-]+[_-](?:{_SHORT})"
            r"|[\w-]*(?:access|account|api|customer|private)key)\b(['\"]?\s*[=:]\s*)"
            r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?:basic |bearer )?[^\s'\"]\S*(?<![\s'\",;&)}\]]))",
            re.I,
        ),
        r"\1\2...",
    ),
)
_concealed: set[str] = set()
_SHORTEST = 6
"""Characters of what is taken out of messages wherever it stands: less would be found in harmless words."""


def may_be_secret(name: str) -> bool:
    """Whether the value of a client's option with this name may be a secret, of S3, Google, Azure or HTTP.

    >>> [may_be_secret(name) for name in ("SSECustomerKey", "X-API-Key", "signature_version", "endpoint_url")]
    [True, True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _PUBLIC_NAME.fullmatch(name)


def conceal(secret: str) -> None:
    """Have `redacted` take this value out of every text from now on, whatever it stands beside."""
    if len(secret) >= _SHORTEST:
        _concealed.update((secret, quote(secret, safe=""), repr(secret)[1:-1]))


def public_url(url: str) -> str:
    """A URL as it may be written down: without user, password and query. The same whatever is concealed.

    Also a text with URLs and options of clients in it; options whose names say that they are secret lose their values.

    >>> public_url("simplecache::https://me:secret@host/mels.zip?sig=abc")
    'simplecache::https://host/mels.zip?...'
    >>> public_url("abfs://mels@account.dfs.core.windows.net/folder")
    'abfs://mels@account.dfs.core.windows.net/folder'
    """
    for secret, instead in _SECRETS:
        url = secret.sub(instead, url)
    return url


def redacted(text: str) -> str:
    """A text with URLs and options of clients in it, as it may be shown: as `public_url`, without what is concealed.

    >>> redacted("no client takes {'key': 'anna', 'secret': 'abc'}")
    "no client takes {'key': 'anna', 'secret': ...}"
    """
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, "...")
    return public_url(text)


class MelmillError(Exception):
    """Base of all errors that melmill raises on purpose. Its message is without secrets of URLs, and can be printed."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message).encode("utf-8", "backslashreplace").decode())


class ConfigError(MelmillError):
    """The command line, the job file or a mel spec is wrong."""

    exit_code = 2


class StoreError(ConfigError):
    """The input is no mel store, or not one that can be read without guessing."""


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
    """A commit record is none, is of another version, or was changed after it was written."""


class ClusterError(StorageError):
    """The Dask scheduler or its workers cannot be reached."""


class CardError(ClusterError):
    """A CUDA card fails, or has no memory left: no utterance is to blame."""


class TooManyFailuresError(MelmillError):
    """More utterances were quarantined than `quality.max_failure_rate` allows."""

    exit_code = 7


class HopelessRunError(TooManyFailuresError):
    """The first utterances all failed in the same way: the run was stopped, since it cannot succeed."""


class InterruptedRunError(MelmillError):
    """The run was stopped by Ctrl-C or SIGTERM; running it again resumes it."""

    exit_code = 75


class UnfinishedError(MelmillError):
    """Shards are to be made yet, and nobody is at work on them; running the job or its parts again resumes it."""

    exit_code = 75


class UtteranceError(MelmillError):
    """One utterance cannot be made. It is quarantined with this message; the others go on."""

    exit_code = 3


class MissingChunkError(UtteranceError):
    """A Zarr chunk, or an inner chunk of a shard, is not there."""


class CorruptChunkError(UtteranceError):
    """A Zarr chunk does not decode."""


class BadMelError(UtteranceError):
    """A mel holds NaN, infinity or a value that no mel has, has a wrong width, no frames or too many."""


class VocoderError(UtteranceError):
    """The vocoder fails on a mel, or gives a waveform of another length than it says."""


class WorkerLostError(UtteranceError):
    """Whatever worker made the utterance died or hung, also when it was alone with it."""
