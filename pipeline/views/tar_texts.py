"""What the tars of an output say beside the audio, compared with its manifest: whether it is current.

A run writes a shard again when its texts change. So they are current, unless the shard was made by an early version of
melmill, holds audio alone, or a run was stopped or published less than it made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipeline.config import Sidecar
from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.output.layout import shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.publication import METADATA
from pipeline.output.records import Row


class TarTexts:
    """The JSON in the tars of an output. Commit records are read only of shards that may be behind the manifest.

    Args:
        ledger: ledger of the output.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        publication = ledger.publication()
        self._metadata = publication.state.get(METADATA) if publication is not None else None
        heads = [(head.name, head.metadata, head.ingredients.sidecar) for head in ledger.heads()]
        self._then = {name: metadata for name, metadata, _ in heads}
        self._kinds = {name: cast(Sidecar, kind or "plain") for name, _, kind in heads}
        self._read: tuple[str, Mapping[str, Mapping[str, Any]]] = "", {}

    def kind(self, row: Row) -> Sidecar:
        """What lies beside the audio of an utterance."""
        return self._kinds.get(shard_of(row.object_name) or "", "plain")

    def are_stale(self, row: Row) -> bool:
        """Whether the JSON beside the audio of an utterance has other metadata than its row."""
        name = shard_of(row.object_name) or ""
        if self.kind(row) == "none" or (self._metadata is not None and self._then.get(name) == self._metadata):
            return False
        return _given(self._metas(name).get(row.key, row.meta)) != _given(row.meta)

    def _metas(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        if self._read[0] != name:
            try:
                rows = self._ledger.commit(name).record.rows
            except (LostRecordError, DamagedRecordError):
                rows = ()  # `melmill verify` finds it
            self._read = name, {row.key: row.meta for row in rows}
        return self._read[1]


def _given(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an utterance has values for: a shard of an early version may lack the others."""
    return {name: value for name, value in meta.items() if value not in (None, "")}
