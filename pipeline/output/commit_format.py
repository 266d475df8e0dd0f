"""The commit record of a shard as it is stored: a head, its objects, its sums, and its rows as lines of the manifest.

A record is a JSON object, and each of its lines has a part of it:

    {"version": 2, "shard": ..., ..., "keys": [...], "digests": "...",   all that a plan needs
    "objects": [...],
    "sums": {...},
    "rows": [
    {...},                   one line for each row, as manifest.jsonl has it
    {...}
    ],
    "failures": [
    {...}
    ],
    "seal": "..."}           digest over all bytes before this line

So a plan parses the head alone, and a publication copies the rows as bytes. Records of version 1 are one line, without
these parts, and are parsed whole.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.config import StoreInRows
from pipeline.output.commit_heads import DIGEST_BYTES, CommitHead, head_of, making_of
from pipeline.output.published_rows import list_line
from pipeline.output.records import Failure, Ingredients, Row, ShardRecord, StoredObject, unsealed
from pipeline.output.totals import ShardSums

RECORD_VERSION = 2
"""It is raised with every change of a row's fields, too: lines of other versions are not copied into a manifest."""

_BEGIN = b'{"version": 2, '
_SEAL = b'"seal": "'
_END = b'"}\n'
_SEAL_BYTES = len(_SEAL) + 2 * 16 + len(_END)
_OBJECTS, _SUMS = b'"objects": ', b'"sums": '
_ROWS, _FAILURES, _LAST = b'"rows": [\n', b'\n],\n"failures": [\n', b"\n],\n"

_NOT_OF_ITS_HEAD = "its rows and failures are not those of its head"


class _Parts(NamedTuple):
    head: dict[str, Any]
    objects: bytes
    sums: bytes
    rows: bytes
    failures: bytes


class Commit:
    """A commit record as it is stored. Its seal holds and its head was parsed; the rest is parsed when it is asked for.

    Args:
        text: content of the record.

    Raises:
        ValueError: if it is not valid, is damaged, or has another version.
    """

    def __init__(self, text: bytes) -> None:
        try:
            if text.startswith(_BEGIN):
                self._parts: _Parts | None = _parts(text)
                self.head = _head(self._parts)
            else:
                self._parts = None
                self.record = _record_of_version_1(text)
                self.head = head_of(self.record)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a commit record: {error!r}") from error

    @functools.cached_property
    def record(self) -> ShardRecord:
        """All of it. ValueError if it is not valid."""
        assert self._parts is not None
        plain = self._parts.head
        try:
            record = ShardRecord(
                shard=self.head.number,
                fingerprint=self.head.fingerprint,
                attempt=plain["attempt"],
                generation=self.head.generation,
                ingredients=self.head.ingredients,
                objects=self.objects,
                rows=tuple(self._rows()),
                failures=tuple(self._failures()),
                revision=self.head.revision,
                metadata=self.head.metadata,
                texts=self.head.texts,
                copied_from=plain["copied_from"],
                copied_seconds=plain["copied_seconds"],
                making=self.head.making,
            )
            if head_of(record) != self.head:
                raise ValueError(_NOT_OF_ITS_HEAD)
            return record
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a commit record: {error!r}") from error

    @functools.cached_property
    def objects(self) -> tuple[StoredObject, ...]:
        """Its objects, with sizes and digests."""
        return self.record.objects if self._parts is None else _objects(self._parts)

    @functools.cached_property
    def sums(self) -> ShardSums:
        """The sums of its rows."""
        return ShardSums.of(self.record.rows) if self._parts is None else ShardSums.from_json(self._parts.sums)

    @property
    def store(self) -> str | None:
        """URL of the store that its mels came from, if all came from one and there are any."""
        if self._parts is not None:
            return self._parts.head["store"] or None
        return _common_store(self.record) or None

    def ready_lines(self) -> bytes | None:
        """Its rows as a manifest of its own run has them; None if it is of another version, which has no lines."""
        if self._parts is None:
            return None
        # Between the values of a JSON text, and nowhere in them, stands a comma before the end of a line.
        rows = self._parts.rows.replace(b",\n", b"\n")
        return rows + b"\n" if rows else b""

    def lines(self, store: StoreInRows) -> bytes:
        """Its rows as manifest.jsonl has them, with the metadata that it was made with.

        Args:
            store: what `source.store` of a row says: the store's name, or its whole URL.
        """
        ready = self.ready_lines()
        if ready is not None and self._parts is not None and self._parts.head["store_in_rows"] == store:
            return ready
        return b"".join(list_line(row, store) for row in self.record.rows)

    def rows_at(self, numbers: Sequence[int]) -> tuple[Row, ...]:
        """Some of its rows; of the others, nothing but their number is checked.

        Args:
            numbers: their indexes.

        Raises:
            ValueError: if one of them is not valid, or is not the one that the head names.
        """
        if self._parts is None:
            return tuple(self.record.rows[at] for at in numbers)
        lines = _split(self._parts.rows)
        if len(lines) != self.head.made:
            raise ValueError(_NOT_OF_ITS_HEAD)
        try:
            rows = tuple(Row.from_dict(self._plain(lines[at])) for at in numbers)
            found = [(row.key, bytes.fromhex(row.source.digest)) for row in rows]
            named = [(self.head.keys[at], self.head.digests[DIGEST_BYTES * at :][:DIGEST_BYTES]) for at in numbers]
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a commit record: {error!r}") from error
        if found != named:
            raise ValueError(_NOT_OF_ITS_HEAD)
        return rows

    def failures(self) -> tuple[Failure, ...]:
        """Its failures."""
        return self.record.failures if self._parts is None else tuple(self._failures())

    def _rows(self) -> Iterator[Row]:
        assert self._parts is not None
        return (Row.from_dict(self._plain(line)) for line in _split(self._parts.rows))

    def _failures(self) -> Iterator[Failure]:
        assert self._parts is not None
        return (Failure.from_dict(self._plain(line)) for line in _split(self._parts.failures))

    def _plain(self, line: str) -> dict[str, Any]:
        """A row or failure as its list has it, with the whole URL of its store."""
        assert self._parts is not None
        plain: dict[str, Any] = json.loads(line)
        if store := self._parts.head["store"]:
            plain["source"]["store"] = store
        return plain


def encoded(record: ShardRecord, store: StoreInRows = "name") -> bytes:
    """A commit record as it is stored.

    Args:
        record: the record.
        store: what `source.store` of its rows says: the store's name, or its whole URL.
    """
    head, common = head_of(record), _common_store(record)
    store = store if common else "url"
    plain = {
        "version": RECORD_VERSION,
        "shard": record.shard,
        "fingerprint": record.fingerprint,
        "revision": record.revision,
        "attempt": record.attempt,
        "generation": record.generation,
        "ingredients": vars(record.ingredients),
        "metadata": record.metadata,
        "texts": record.texts,
        "copied_from": record.copied_from,
        "copied_seconds": record.copied_seconds,
        "making": dataclasses.asdict(record.making) if record.making is not None else None,
        "store": common,
        "store_in_rows": store,
        "made": head.made,
        "keys": head.keys,
        "digests": head.digests.hex(),
    }
    objects = [vars(each) for each in record.objects]
    body = b"".join(
        (
            json.dumps(plain).encode()[:-1] + b",\n",
            _OBJECTS + json.dumps(objects).encode() + b",\n",
            _SUMS + ShardSums.of(record.rows).to_json() + b",\n",
            _ROWS,
            _joined(record.rows, store),
            _FAILURES,
            _joined(record.failures, store),
            _LAST,
        )
    )
    return body + _SEAL + _digest(body) + _END


def _parts(text: bytes) -> _Parts:
    """The parts of a record of version 2. ValueError if its seal does not match, or it has other lines."""
    body, seal = text[:-_SEAL_BYTES], text[-_SEAL_BYTES:]
    if not (seal.startswith(_SEAL) and seal.endswith(_END)):
        raise ValueError("it has no seal")
    if seal[len(_SEAL) : -len(_END)] != _digest(body):
        raise ValueError("it was changed after it was written: its seal does not match")
    head, objects, sums, rest = body.split(b",\n", 3)
    rows, found, failures = rest.removeprefix(_ROWS).partition(_FAILURES)
    if not rest.startswith(_ROWS) or not found or not failures.endswith(_LAST):
        raise ValueError("its lines are not those of a commit record")
    values = objects.removeprefix(_OBJECTS), sums.removeprefix(_SUMS)
    return _Parts(json.loads(head + b"}"), *values, rows, failures.removesuffix(_LAST))


def _head(parts: _Parts) -> CommitHead:
    plain, objects = parts.head, _objects(parts)
    keys, digests = plain["keys"], bytes.fromhex(plain["digests"])
    if len(digests) != DIGEST_BYTES * len(keys) or not all(map(_is_text, keys)):
        raise ValueError("its keys and digests do not belong together")
    return CommitHead(
        plain["shard"],
        plain["fingerprint"],
        plain["generation"],
        Ingredients(**plain["ingredients"]),
        plain["metadata"],
        tuple(each.name for each in objects),
        sum(each.bytes for each in objects),
        plain["made"],
        keys,
        digests,
        revision=plain["revision"],
        texts=plain["texts"],
        making=making_of(plain.get("making")),
    )


def _split(lines: bytes) -> list[str]:
    """The lines of rows or failures. Decoded at once, as `json.loads` decodes bytes; one by one takes longer."""
    return lines.decode("utf-8", "surrogatepass").split(",\n") if lines else []


def _is_text(value: object) -> bool:
    return type(value) is str


def _objects(parts: _Parts) -> tuple[StoredObject, ...]:
    return tuple(StoredObject(**each) for each in json.loads(parts.objects))


def _joined(values: Iterable[Row | Failure], store: StoreInRows) -> bytes:
    return b",\n".join(list_line(each, store)[:-1] for each in values)


def _common_store(record: ShardRecord) -> str:
    """The URL of the store that all rows and failures name; "" if they name several, or there are none."""
    stores = {row.source.store for row in record.rows} | {failure.source.store for failure in record.failures}
    return stores.pop() if len(stores) == 1 else ""


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _record_of_version_1(text: bytes) -> ShardRecord:
    plain = unsealed(text)
    version = plain.pop("version")
    if version != 1:
        raise ValueError(f"version {version}, this melmill reads 1 to {RECORD_VERSION}")
    return ShardRecord(
        **{
            **plain,
            "ingredients": Ingredients(**plain["ingredients"]),
            "objects": tuple(StoredObject(**each) for each in plain["objects"]),
            "rows": tuple(map(Row.from_dict, plain["rows"])),
            "failures": tuple(map(Failure.from_dict, plain["failures"])),
        }
    )
