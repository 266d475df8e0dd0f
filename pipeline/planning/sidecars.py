"""What the JSON files beside the audio say besides the audio, and whether a commit's files still say it.

A shard whose audio is as it should be and whose texts are not is repacked: its audio is copied. No name of a shard with
one text is ever that of the shard with another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config import Sidecar
from pipeline.output.records import ShardRecord
from pipeline.planning.utterance_metadata import UtteranceMetadata


@dataclass(frozen=True)
class Sidecars:
    """What the JSON files of a job's shards are to say.

    Args:
        metadata: metadata of the utterances, as it is now.
        kind: what lies beside each audio.
    """

    metadata: UtteranceMetadata
    kind: Sidecar = "plain"

    def digest(self, members: Iterable[int]) -> str:
        """Digest over what the files of a shard say besides its audio, as hexadecimal; empty if that is nothing.

        Args:
            members: positions of the shard's utterances in the catalogue, ascending.
        """
        told = bool(self.metadata.digest) and self.kind != "none"
        if self.kind == "plain" and not told:
            return ""
        found = hashlib.blake2b(self.kind.encode(), digest_size=16)
        if told:
            found.update(json.dumps(self.metadata.fields.types, sort_keys=True).encode())
            for position in members:
                found.update(self.metadata.digests[position])
        return found.hexdigest()

    def unchanged(self, record: ShardRecord) -> bool:
        """Whether nothing at all has changed since a shard was made, which is quickly seen."""
        then = self.metadata.digest if _is_early(record) else self.metadata.state
        return self._same_kind(record) and (self.kind == "none" or record.metadata == then)

    def _same_kind(self, record: ShardRecord) -> bool:
        return (record.ingredients.sidecar or "plain") == self.kind

    def compare(self, record: ShardRecord, positions: Mapping[str, int]) -> tuple[bool, int]:
        """Whether the files of a committed shard say what they are to say, and how many of its rows changed.

        A text that cannot be read now counts as unchanged. A field that is added with "" is no change of a text. Shards
        of early versions of melmill may lack fields that other shards have; they can stay as they are.

        Args:
            record: the commit record.
            positions: key -> position in the catalogue, of the utterances of the shard that are still there.

        Returns:
            Whether the shard can stay as it is, and the number of its utterances whose metadata has changed.
        """
        same = self._same_kind(record)
        if self.unchanged(record) or (same and record.texts == self.digest(sorted(positions.values())) != ""):
            return True, 0
        now = self.metadata.of((positions[row.key] for row in record.rows if row.key in positions), _is_early(record))
        pairs = [(row.meta, now.get(row.key, row.meta)) for row in record.rows]
        changed = sum(_given(then) != _given(told) for then, told in pairs)
        return same and all(then == told for then, told in pairs), changed


def _is_early(record: ShardRecord) -> bool:
    """Whether a version of melmill made a shard that knew no kinds of sidecars, and wrote metadata as it was given."""
    return not record.ingredients.sidecar


def _given(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an utterance has values for."""
    return {name: value for name, value in meta.items() if value not in (None, "")}
