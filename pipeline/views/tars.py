"""The tars of an export: those of the output, by link or URL, or with `--audio` new ones with the same bytes of audio.

A tar of the output holds one whole shard, and the JSON that a run has put there. So whatever chooses utterances, or
renames their fields, needs new tars. Tars are numbered in the order of the manifest: `SPLIT-000000.tar`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pipeline.config import Sidecar
from pipeline.errors import ConfigError
from pipeline.output.layout import INDEX, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.records import Row
from pipeline.views.audio import AudioOfRows
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow, shard_number
from pipeline.views.tar_file import write_tar
from pipeline.views.tar_texts import TarTexts
from pipeline.worker.sidecar import sidecar

_STALE = (
    "the JSON beside their audio in the tars has earlier metadata than the manifest; run the job again, which writes "
    "those tars again, or pass --audio for new tars"
)
_ALONE = "the tars hold audio alone, since the job says output.sidecar: none; --audio makes tars with the metadata, too"


@dataclass
class ExportedTar:
    """A tar of an export.

    Args:
        shard: number of the shard of the output that its utterances are from.
        url: its name in the export, or its URL.
        utterances: number of its utterances.
        bytes: its size; None if it is not known.
        sha256: gives the digest of its bytes, as hexadecimal.
    """

    shard: str
    url: str
    utterances: int
    bytes: int | None
    sha256: Callable[[], str]


class ExportedTars(Protocol):
    """Takes the rows of an export, and gives the tars that they are in."""

    by_split: dict[str, list[ExportedTar]]
    sidecars: set[Sidecar]
    """What lies beside the audio in them; more than one kind in outputs of early versions of melmill."""

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        ...

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        ...

    def finish(self) -> None:
        """See ExportFormat. The lists are complete then."""
        ...


def exported_tars(making: Making, pattern: str = "{split}-{number:06d}.tar") -> ExportedTars:
    """The tars of an export.

    Args:
        making: what the export is made with.
        pattern: name of a tar in the export: `{split}`, `{number}` of the tar in its split, and `{shard}`, a name that
            no tar of other content has.

    Raises:
        ConfigError: if the tars of the output cannot be what is asked for.
    """
    return _NewTars(making, pattern) if making.options.audio else _OutputTars(making, pattern)


def in_order(tars: list[ExportedTar], seed: int | None) -> list[ExportedTar]:
    """Tars in the order of a list: that of the manifest, or for a seed one that depends on it and the shards alone."""
    if seed is None:
        return tars
    return sorted(tars, key=lambda each: hashlib.blake2b(f"{seed} {each.shard}".encode()).digest())


class _OutputTars:
    """The tars of the output as they are."""

    def __init__(self, making: Making, pattern: str) -> None:
        self._making = making
        self._pattern = pattern
        self.by_split: dict[str, list[ExportedTar]] = {}
        options = making.options
        rewriting = {
            f"--where {options.where}": bool(options.where),
            "--map": bool(options.renamed),
            f"--split by {options.by}": len(options.split) > 1 and options.by != "shard",
        }
        if asked := [name for name, is_asked in rewriting.items() if is_asked]:
            raise ConfigError(
                f"--to {options.to} with {' and '.join(asked)}: the tars of the output hold whole shards as they are. "
                "Pass --audio to write new tars; the bytes of the audio stay the same"
                + (", or --by shard to split by whole shards" if asked == [f"--split by {options.by}"] else "")
            )
        self.sidecars: set[Sidecar] = set()
        self._texts = TarTexts(making.source.ledger)
        self._sizes = _sizes(making)
        self._shard = ""

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        if not row.row.shard.endswith(".tar"):
            return "the job says output.container: files, so their audio is in no tar; --audio writes tars"
        return _STALE if self._texts.are_stale(row.row) else None

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        tars = self.by_split.setdefault(row.split, [])
        if row.row.shard != self._shard:
            self._shard = row.row.shard
            self.sidecars.add(self._texts.kind(row.row))
            shard = self._shard.rpartition("/")[2].removesuffix(".tar")
            name = self._pattern.format(split=row.split, number=len(tars), shard=shard)
            url = self._making.audio.object(self._shard, name)
            digest = partial(_digest_of, self._making.source.ledger, self._shard)
            tars.append(ExportedTar(shard_number(self._shard), url, 0, self._sizes.get(self._shard), digest))
        tars[-1].utterances += 1

    def finish(self) -> None:
        """See ExportFormat."""
        if "none" in self.sidecars:
            self._making.notes.append(_ALONE)


class _NewTars:
    """New tars: for each shard and split one, with those of its utterances that are in the split."""

    def __init__(self, making: Making, pattern: str) -> None:
        self._making = making
        self._pattern = pattern
        self.by_split: dict[str, list[ExportedTar]] = {}
        self.sidecars: set[Sidecar] = {"full"}
        self._shard = ""
        self._waiting: dict[str, list[Row]] = {}

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        return None

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        if row.row.shard != self._shard:
            self.finish()
            self._shard = row.row.shard
        self._waiting.setdefault(row.split, []).append(row.row)

    def finish(self) -> None:
        """See ExportFormat."""
        for split in self._making.options.splits:
            if rows := self._waiting.pop(split, None):
                self._write(split, rows)

    def _write(self, split: str, rows: list[Row]) -> None:
        tars, files = self.by_split.setdefault(split, []), self._making.files
        texts = [sidecar(row, "full") for row in rows]
        made_of = _digest(rows, texts)
        shard = f"{shard_number(self._shard)}-{made_of[:8]}"
        name = self._pattern.format(split=split, number=len(tars), shard=shard)
        if not files.take_over(name, made_of):
            with files.made(name, made_of) as path:
                write_tar(path, _members(rows, texts, self._making.audio))
        digest = partial(files.sha256, name)
        tars.append(ExportedTar(shard_number(self._shard), name, len(rows), files.size(name), digest))


def _members(rows: list[Row], texts: list[bytes | None], audio: AudioOfRows) -> Iterator[tuple[str, bytes]]:
    """The members of a tar, under the names that they have in the output."""
    for row, text in zip(rows, texts, strict=True):
        yield row.member, audio.content(row)
        if text is not None:
            yield f"{row.member.rpartition('.')[0]}.json", text


def _digest(rows: list[Row], texts: list[bytes | None]) -> str:
    found = hashlib.blake2b(b"tar", digest_size=16)
    for row, text in zip(rows, texts, strict=True):
        found.update(f"{row.member} {row.bytes} {row.pcm_sha256} ".encode() + (text or b"") + b"\n")
    return found.hexdigest()


def _digest_of(ledger: Ledger, tar: str) -> str:
    """Digest of a tar of the output, as its commit record has it."""
    objects = ledger.commit(shard_of(tar) or "").objects
    return next(each.sha256 for each in objects if each.name == tar)


def _sizes(making: Making) -> dict[str, int]:
    """Sizes of tars, as the index of the output has them; early versions of melmill wrote none."""
    try:
        with making.source.ledger.storage.read(INDEX) as file:
            plain: dict[str, Any] = json.load(file)
            return {each["url"]: each["filesize"] for each in plain["shardlist"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
