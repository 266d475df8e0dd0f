"""The heads of commit records: all that a plan needs of them, in one file for all commits, and how each was made.

So a plan over a million utterances reads no commit record, and neither does the page of a report.

The commit records stay the truth. Each head stands beside the stamp of its record: what the storage says of its
version. A plan lists the records with their stamps, and takes a head from this file if its stamp is that of the record;
else it reads the record. So a file that is lost, damaged, behind, or of another output costs time and changes no plan.

Each line has a digest, a space, and a JSON array: name and stamp of the record, and the fields of its `CommitHead`.
Heads that were written before `making` was have none. Lines are in the order of the names. A run writes the file each
time it publishes, or if the file lacks a head and nothing else is to be done; from a listing that was made before the
records were read: a record that is replaced meanwhile has another stamp from then on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pipeline.errors import StorageError
from pipeline.output.layout import COMMIT_HEADS
from pipeline.output.records import Failure, Ingredients, Row, ShardId, ShardMaking, ShardRecord
from pipeline.storage import Storage

VERSION = "1"
"""Part of every line's digest. It is raised when the lines mean something else."""
DIGEST_BYTES = 16
"""Size of the digest of a mel."""


@dataclass(frozen=True, slots=True)
class CommitHead(ShardId):
    """All of a commit that planning needs, without its rows, and how it was made.

    Args:
        number, fingerprint, revision, texts: the identity of the shard; see ShardId.
        generation: number of the run that made it.
        ingredients: ingredients that it was made with.
        metadata: digest of all utterances' metadata when it was made, as hexadecimal; see ShardRecord.
        objects: names of its objects.
        size: size of its objects [bytes].
        made: number of its utterances that were made.
        keys: keys of its utterances: first those that were made, then those that were quarantined, in order.
        digests: digests of their mels, 16 bytes each.
        making: how it was made, for people; None in commits of early versions of melmill.
    """

    generation: int
    ingredients: Ingredients
    metadata: str
    objects: tuple[str, ...]
    size: int
    made: int
    keys: list[str] = field(repr=False)
    digests: bytes = field(repr=False)
    making: ShardMaking | None = field(default=None, kw_only=True)

    @property
    def failed(self) -> int:
        """Number of its utterances that were quarantined."""
        return len(self.keys) - self.made


def head_of(record: ShardRecord) -> CommitHead:
    """The head of a record. ValueError if the digest of a mel in it is not valid."""
    utterances: list[Row | Failure] = [*record.rows, *record.failures]
    digests = [bytes.fromhex(each.source.digest) for each in utterances]
    if any(len(each) != DIGEST_BYTES for each in digests):
        raise ValueError("the digest of a mel in it does not have 16 bytes")
    return CommitHead(
        record.shard,
        record.fingerprint,
        record.generation,
        record.ingredients,
        record.metadata,
        tuple(each.name for each in record.objects),
        record.size,
        len(record.rows),
        [each.key for each in utterances],
        b"".join(digests),
        revision=record.revision,
        texts=record.texts,
        making=record.making,
    )


def making_of(plain: Mapping[str, Any] | None) -> ShardMaking | None:
    """How a shard was made, from what `dataclasses.asdict` gave; None if its commit does not say it."""
    return ShardMaking.from_dict(plain) if plain is not None else None


class HeadsWriter:
    """Writes a file of heads. Use it as a context.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115

    def __enter__(self) -> HeadsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, head: CommitHead, stamp: str) -> None:
        """Add the head of the next commit, in the order of their names.

        Args:
            head: the head.
            stamp: stamp of its record, from before it was read; "" if there is none, so that it is read again.
        """
        if stamp:
            self._file.write(_line(head, stamp))


class KnownHeads:
    """The heads in the file of an output. They are asked for in the order of the commits' names, and read once.

    `lacked` says whether one was asked for that the file does not have, and could have.

    Args:
        storage: storage of the output.
    """

    def __init__(self, storage: Storage) -> None:
        self._lines = _lines(storage)
        self._next = next(self._lines, None)
        self.lacked = False

    def find(self, name: str, stamp: str) -> CommitHead | None:
        """The head of a commit, or None if the file does not have it.

        Args:
            name: name of the commit; not before that of the last call.
            stamp: stamp of its record.
        """
        head = self._found(name, stamp)
        self.lacked |= head is None and bool(stamp)
        return head

    def _found(self, name: str, stamp: str) -> CommitHead | None:
        while self._next is not None and self._next[0] < name:
            self._next = next(self._lines, None)
        if self._next is None or self._next[:2] != (name, stamp) or not stamp:
            return None
        try:
            head = _head(self._next[2])
        except (ValueError, KeyError, TypeError, AttributeError):  # another program made it
            return None
        return head if head.name == name else None


def _lines(storage: Storage) -> Iterator[tuple[str, str, bytes]]:
    """Name, stamp and line of each head in the file, without damaged lines and all that follow an error of storage."""
    try:
        with storage.read(COMMIT_HEADS) as file:
            yield from _good_lines(file)
    except (FileNotFoundError, StorageError):
        return


def _good_lines(file: IO[bytes]) -> Iterator[tuple[str, str, bytes]]:
    for line in file:
        digest, _, text = line.removesuffix(b"\n").partition(b" ")
        if digest == _digest(text):
            name, _, rest = text[2:].partition(b'", "')  # no quotation mark is in a name or a stamp
            yield name.decode(), rest.partition(b'"')[0].decode(), text


def _line(head: CommitHead, stamp: str) -> bytes:
    fields = [
        head.name,
        stamp,
        head.number,
        head.fingerprint,
        head.revision,
        head.texts,
        head.generation,
        vars(head.ingredients),
        head.metadata,
        head.objects,
        head.size,
        head.made,
        head.keys,
        head.digests.hex(),
        dataclasses.asdict(head.making) if head.making is not None else None,
    ]
    text = json.dumps(fields).encode()
    return _digest(text) + b" " + text + b"\n"


def _head(text: bytes) -> CommitHead:
    _, _, number, fingerprint, revision, texts, *rest = json.loads(text)
    generation, ingredients, metadata, objects, size, made, keys, digests, *making = rest
    found = bytes.fromhex(digests)
    if len(found) != DIGEST_BYTES * len(keys):
        raise ValueError("keys and digests do not belong together")
    return CommitHead(
        number,
        fingerprint,
        generation,
        Ingredients(**ingredients),
        metadata,
        tuple(objects),
        size,
        made,
        keys,
        found,
        revision=revision,
        texts=texts,
        making=making_of(making[0] if making else None),
    )


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16, person=VERSION.encode()).hexdigest().encode()
