"""Every name in an output, written down once, and the one parser of the names of objects.

    manifest.jsonl  failures.jsonl  job.json      what readers read
    index.json                                    the current shards, in the format of wids
    manifest.parquet                              the manifest as columns, if the job asks for it
    data/000123-1a2b3c4d.tar                      a shard in one tar
    data/000123-1a2b3c4d/KEY.flac                 a shard in files: an audio file and a JSON file for each utterance
    data/000123-1a2b3c4d-5e6f7a8b.tar             the same shard, made beside an object that was damaged
    _melmill/commits/000123-1a2b3c4d.json         the commit record of the shard
    _melmill/commit-heads                         what plans need of all commit records
    _melmill/stale/000123-1a2b3c4d.json           a mark: make this shard again
    _melmill/publishing.json  published.json      what is about to be published, and what was
    _melmill/status.json  parts/000002.json       how far the run is, or each part of it
    _melmill/runs/20260102T030405Z-1a2b3c4d.json  how a run went that has ended, or a part of it
    _melmill/exports/1a2b3c4d5e6f7a8b.json        a note of where an export was written to
    _melmill/run.lock  scratch/...  probes/...    the lock, half-written files and trials, which belong to `storage`

Names are relative to the output, with forward slashes. `audio.member_names` makes a KEY of an utterance's key.
"""

from __future__ import annotations

import hashlib
import re

from pipeline.storage import PRIVATE
from pipeline.storage.clutter import is_clutter

MANIFEST = "manifest.jsonl"
FAILURES = "failures.jsonl"
INDEX = "index.json"
"""The list of the current shards; see `shard_index`."""
PARQUET = "manifest.parquet"
"""The manifest as columns. Unless a run has published one, a file of this name is of others."""
JOB = "job.json"
DATA = "data"
COMMITS = f"{PRIVATE}/commits"
COMMIT_HEADS = f"{PRIVATE}/commit-heads"
"""The heads of commit records; see `commit_heads`."""
STALE = f"{PRIVATE}/stale"
"""Folder of marks. A mark has the name of the commit whose shard is to be made again."""
PUBLISHED = f"{PRIVATE}/published.json"
PUBLISHING = f"{PRIVATE}/publishing.json"
"""The publication that was announced last. Until it is in place, each list may be the new one or the one before."""
STATUS = f"{PRIVATE}/status.json"
PARTS = f"{PRIVATE}/parts"
"""Folder of the statuses of a job's parts. While it holds one, they count instead of STATUS."""
RUNS = f"{PRIVATE}/runs"
"""Folder of the records of runs that have ended; see `run_records`."""
RECEIPT = "melmill-export.json"
"""The file in an export, and in no output, that says of what it was made; see `views.receipt`."""
EXPORTS = f"{PRIVATE}/exports"
"""Folder of notes of where exports are; see `exports`."""

_SHARD = r"[0-9]{6,}-[0-9a-f]{8}"
_RECORD = re.compile(rf"({_SHARD})\.json")
_OBJECT = re.compile(rf"{DATA}/({_SHARD})(?:(?:-[0-9a-f]{{8}})?\.tar|/.+)", re.DOTALL)


def shard_name(number: int, fingerprint: str, revision: int = 0, texts: str = "") -> str:
    """The name of a shard, of its commit and of its objects: its number and eight hexadecimal digits.

    The digits are the first of the fingerprint. For a later revision, and for a shard whose utterances have metadata,
    they are the first of the digest of fingerprint, revision and `texts`. So other texts never have the same name.

    >>> shard_name(123, "1a2b3c4d5e6f")
    '000123-1a2b3c4d'
    """
    if revision or texts:
        words = f"{fingerprint} {revision}" + (f" {texts}" if texts else "")
        fingerprint = hashlib.blake2b(words.encode(), digest_size=4).hexdigest()
    return f"{number:06d}-{fingerprint[:8]}"


def is_shard_name(text: str) -> bool:
    """Whether a text is a name that `shard_name` can give."""
    return re.fullmatch(_SHARD, text) is not None


def shard_path(name: str) -> str:
    """The folder of a shard's files. The shard's tar has the same path with `.tar`."""
    return f"{DATA}/{name}"


def path_apart(path: str, attempt: str) -> str:
    """The path for an object whose own path is taken by a damaged one.

    Args:
        path: path of the object, with an extension.
        attempt: identifier of the attempt that made the object, at least eight hexadecimal digits.

    >>> path_apart("data/000123-1a2b3c4d.tar", "5e6f7a8b9c")
    'data/000123-1a2b3c4d-5e6f7a8b.tar'
    """
    stem, dot, extension = path.rpartition(".")
    return f"{stem}-{attempt[:8]}{dot}{extension}"


def shard_of(path: str) -> str | None:
    """The name of the shard that an object belongs to, or None if no shard has an object at this path.

    >>> shard_of("data/000123-1a2b3c4d.tar"), shard_of("data/notes.txt")
    ('000123-1a2b3c4d', None)
    """
    match = _OBJECT.fullmatch(path)
    return match[1] if match else None


def publishing_order(name: str) -> tuple[int, str]:
    """Key by which commits are sorted where they are published: by the number of the shard, then by name."""
    return int(name.partition("-")[0]), name


def commit_path(name: str) -> str:
    """The path of the commit record of a shard."""
    return f"{COMMITS}/{name}.json"


def commit_of(path: str) -> str | None:
    """The name of the commit whose record is at a path, or None if the path is not that of a record."""
    return _record_in(COMMITS, path)


def stale_path(name: str) -> str:
    """The path of the mark that says: make the shard of this commit again."""
    return f"{STALE}/{name}.json"


def marked_commit(path: str) -> str | None:
    """The name of the commit that the mark at a path is for, or None if the path is not that of a mark."""
    return _record_in(STALE, path)


def part_path(index: int) -> str:
    """The path of the status of one part of a job."""
    return f"{PARTS}/{index:06d}.json"


def run_path(run_id: str) -> str:
    """The path of the record of a run, or of a part of a job."""
    return f"{RUNS}/{run_id}.json"


def of_others(path: str) -> str | None:
    """What other people have put beside the lists, if a path is part of it: a file, or a folder with a final slash.

    Only melmill writes to `data` and `_melmill`, so what is there is never of others, except for what systems leave
    lying about.

    >>> of_others("README.md"), of_others("plots/1.png"), of_others("data/notes.txt"), of_others("data/.DS_Store")
    ('README.md', 'plots/', None, 'data/.DS_Store')
    """
    if is_clutter(path):
        return path
    top, slash, _ = path.partition("/")
    ours = (DATA, PRIVATE) if slash else (MANIFEST, FAILURES, INDEX, JOB)
    return None if top in ours else top + slash


def _record_in(folder: str, path: str) -> str | None:
    match = _RECORD.fullmatch(path.removeprefix(f"{folder}/")) if path.startswith(f"{folder}/") else None
    return match[1] if match else None


def audio_object(shard: str, member: str) -> str:
    """Name of the object that holds an utterance's audio: its shard's tar, or the audio's own file."""
    return shard if shard.endswith(".tar") else f"{shard}/{member}"
