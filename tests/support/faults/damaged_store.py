"""A store that may be damaged: where each utterance lies in it; and what a damage may do."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from support.faults.layouts import CHUNK, ITEMS, SHARD

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


@dataclass(frozen=True)
class Store:
    """A store that may be damaged, and what it held before."""

    name: str
    path: Path
    frames: dict[str, int]

    @property
    def layout(self) -> str:
        return self.name.split(",")[0]

    @property
    def sharded(self) -> bool:
        return self.layout == "ragged" or "sharded" in self.name

    @property
    def keys(self) -> list[str]:
        return list(self.frames)

    def files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    def mel_objects(self) -> list[Path]:
        """Chunks and shards of mels."""
        return [path for path in self.files() if path.name not in METADATA and not self.is_column(path)]

    def is_column(self, path: Path) -> bool:
        return path.relative_to(self.path).parts[0] in ("offsets", "keys", "digests", "lengths")

    def within(self, path: Path, inner: int | None = None) -> frozenset[str]:
        """The utterances that have frames in an object of mels, or in one inner chunk of it."""
        parts = path.relative_to(self.path).parts
        at = [int(part) for part in (parts[-1].split(".") if "." in parts[-1] else parts[parts.index("c") + 1 :])]
        size = CHUNK if inner is not None or not self.sharded else SHARD
        if self.layout == "grouped":
            first = at[1] * (SHARD if self.sharded else CHUNK) + CHUNK * (inner or 0)
            return frozenset({parts[0]} if first < self.frames[parts[0]] else ())
        if self.layout == "ragged":
            first = at[0] * 2 * SHARD + CHUNK * (inner or 0)
            return self._rows(first, first + (CHUNK if inner is not None else 2 * SHARD))
        per = SHARD // CHUNK
        many = 2 * ITEMS if self.sharded else ITEMS
        items = range(at[0] * many, (at[0] + 1) * many)
        if inner is not None:
            items = items[ITEMS * (inner // per) : ITEMS * (inner // per + 1)]
        first = (inner % per) * CHUNK if inner is not None else at[2] * size
        return frozenset(key for key in (self.keys[i] for i in items) if self.frames[key] > first)

    def _rows(self, first: int, last: int) -> frozenset[str]:
        bounds = np.cumsum([0, *self.frames.values()])
        pairs = zip(self.keys, bounds[:-1], bounds[1:], strict=True)
        return frozenset(key for key, begin, end in pairs if begin < last and end > first)


@dataclass(frozen=True)
class Damage:
    """What was done to a store.

    Args:
        what: in words.
        touched: keys of the utterances whose mel, place or name may be another now.
        lost: those that cannot be made any more.
        refused: whether the store as a whole may be refused, because nothing tells what it holds.
        hidden: whether what changed is under no checksum and no digest, so that a wrong mel cannot be told.
        renamed: new key -> the key under which the utterance was known.
    """

    what: str
    touched: frozenset[str]
    lost: frozenset[str] = frozenset()
    refused: bool = False
    hidden: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
