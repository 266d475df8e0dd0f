"""What the JSON files beside the audio say besides the audio, and whether a commit's files still say it.

A shard whose audio is as it should be and whose texts are not is repacked: its audio is copied. No name of a shard with
one text is ever that of the shard with another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import Sidecar
from pipeline.output.commit_heads import CommitHead
from pipeline.output.records import Row
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

    def unchanged(self, commit: CommitHead) -> bool:
        """Whether nothing at all has changed since a shard was made, which is quickly seen."""
        then = self.metadata.digest if _is_early(commit) else self.metadata.state
        return self._same_kind(commit) and (self.kind == "none" or commit.metadata == then)

    def _same_kind(self, commit: CommitHead) -> bool:
        return (commit.ingredients.sidecar or "plain") == self.kind

    def rows_are_current(self, commit: CommitHead, members: Iterable[int]) -> bool:
        """Whether the rows of a commit have the metadata of now, as it is written now.

        Args:
            commit: the commit.
            members: positions of the shard's utterances in the catalogue, ascending.
        """
        if commit.metadata == self.metadata.state:
            return True
        told = bool(self.metadata.digest) and self.kind != "none"  # else `texts` says nothing of metadata
        return told and self._same_kind(commit) and commit.texts == self.digest(members)

    def compare(
        self, commit: CommitHead, positions: Mapping[str, int], rows: Callable[[], Sequence[Row]]
    ) -> tuple[bool, int]:
        """Whether the files of a committed shard say what they are to say, and how many of its rows changed.

        A text that cannot be read now counts as unchanged. A field that is added with "" is no change of a text. Shards
        of early versions of melmill may lack fields that other shards have; they can stay as they are.

        Args:
            commit: the commit.
            positions: key -> position in the catalogue, of the utterances of the shard that are still there.
            rows: gives its rows, which are seldom needed.

        Returns:
            Whether the shard can stay as it is, and the number of its utterances whose metadata has changed.
        """
        same = self._same_kind(commit)
        if self.unchanged(commit) or (same and commit.texts == self.digest(sorted(positions.values())) != ""):
            return True, 0
        made = rows()
        now = self.metadata.of((positions[row.key] for row in made if row.key in positions), _is_early(commit))
        pairs = [(row.meta, now.get(row.key, row.meta)) for row in made]
        changed = sum(_given(then) != _given(told) for then, told in pairs)
        return same and all(then == told for then, told in pairs), changed


def _is_early(commit: CommitHead) -> bool:
    """Whether a version of melmill made a shard that knew no kinds of sidecars, and wrote metadata as it was given."""
    return not commit.ingredients.sidecar


def _given(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an utterance has values for."""
    return {name: value for name, value in meta.items() if value not in (None, "")}
