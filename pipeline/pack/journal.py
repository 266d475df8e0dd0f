"""The journal of a packing, by which it is resumed: one JSON object per line for each step that is durable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.pack.result import PackFailure
from pipeline.storage.atomic import atomic_write


@dataclass
class Packed:
    """The sources that are done, in their order.

    Args:
        keys, frames, digests: key, length [frames] and digest of each utterance that was packed.
        failures: sources that could not be packed.
        shards: number of shards that are durable.
    """

    keys: list[str] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    failures: list[PackFailure] = field(default_factory=list)
    shards: int = 0

    @property
    def done(self) -> int:
        """Number of sources that are done, packed or failed."""
        return len(self.keys) + len(self.failures)


class Journal:
    """The journal of a packing. Its lines are durable up to the last `shard` line; the work after it is done again.

    Args:
        path: path of the journal.
        identity: parameters and sources of the packing; a journal with other ones is not resumed.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._path = path
        self._identity = json.loads(json.dumps(identity))
        self.packed = Packed()
        self.restarted: str | None = None
        self._read()

    def _read(self) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().split(b"\n")[:-1]  # a last line without a line break was cut off
        try:
            entries = [json.loads(line) for line in lines]
            found = entries[0]
            durable = max((at for at, entry in enumerate(entries) if "shard" in entry), default=0)
        except (ValueError, IndexError):
            self.restarted = "its journal cannot be read"
            return
        if changed := [name for name in self._identity if found.get(name) != self._identity[name]]:
            self.restarted = f"{' and '.join(changed)} changed since then"
            return
        for entry in entries[1 : durable + 1]:
            self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "shard" in entry:
            self.packed.shards = entry["shard"]
        elif "failure" in entry:
            self.packed.failures.append(PackFailure(entry["path"], entry["failure"]))
        else:
            self.packed.keys.append(entry["key"])
            self.packed.frames.append(entry["frames"])
            self.packed.digests.append(bytes.fromhex(entry["digest"]))

    def start(self) -> None:
        """Opens the journal for writing, holding what was kept and nothing that must be done again."""
        with atomic_write(self._path, beside=self._path.with_name(self._path.name + ".new")) as file:
            file.writelines(f"{json.dumps(entry)}\n".encode() for entry in self._entries())
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115  closed by close()

    def _entries(self) -> Iterator[dict[str, Any]]:
        """What was kept, as the journal's lines hold it."""
        kept = self.packed
        yield self._identity
        for key, frames, digest in zip(kept.keys, kept.frames, kept.digests, strict=True):
            yield {"key": key, "frames": frames, "digest": digest.hex()}
        for one in kept.failures:
            yield {"path": one.path, "failure": one.reason}
        yield {"shard": kept.shards}

    def utterance(self, key: str, frames: int, digest: bytes) -> None:
        """Records an utterance whose rows were all given to the writer."""
        self._write({"key": key, "frames": frames, "digest": digest.hex()})

    def failure(self, path: str, reason: str) -> None:
        """Records a source that could not be packed."""
        self._write({"path": path, "failure": reason})

    def shard(self, count: int) -> None:
        """Records that `count` shards are durable, and makes all lines durable."""
        self._write({"shard": count})
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._take(entry)

    def close(self) -> None:
        """Closes the file, if it was opened."""
        if hasattr(self, "_file"):
            self._file.close()
