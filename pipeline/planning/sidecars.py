"""What the JSON files beside the audio say besides the audio, and whether a commit's files still say it.

A shard whose audio is as it should be and whose texts are not is repacked: its audio is copied. No name of a shard with
one text is ever that of the shard with another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
        for position in members if told else ():
            found.update(self.metadata.digests[position])
        return found.hexdigest()

    def unchanged(self, record: ShardRecord) -> bool:
        """Whether nothing at all has changed since a shard was made, which is quickly seen."""
        return self._same_kind(record) and (self.kind == "none" or record.metadata == self.metadata.digest)

    def _same_kind(self, record: ShardRecord) -> bool:
        return (record.ingredients.sidecar or "plain") == self.kind

    def compare(self, record: ShardRecord, positions: Mapping[str, int]) -> tuple[bool, int]:
        """Whether the files of a committed shard say what they are to say, and how many of its rows changed.

        A text that cannot be read now counts as unchanged.

        Args:
            record: the commit record.
            positions: key -> position in the catalogue, of the utterances of the shard that are still there.

        Returns:
            Whether the shard can stay as it is, and the number of its utterances whose metadata has changed.
        """
        same = self._same_kind(record)
        if self.unchanged(record) or (same and record.texts == self.digest(sorted(positions.values())) != ""):
            return True, 0
        now = self.metadata.of(positions[row.key] for row in record.rows if row.key in positions)
        changed = sum(now.get(row.key, row.meta) != row.meta for row in record.rows)
        return same and not changed, changed
