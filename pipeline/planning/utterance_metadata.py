"""Metadata of utterances (text, speaker, ...): the store's own, and that of a list which overrides it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, UtteranceError
from pipeline.stores import Catalogue, MelStore
from pipeline.stores.digests import digest
from pipeline.stores.metadata_lists import Metadata, read_metadata


@dataclass(frozen=True)
class UtteranceMetadata:
    """The metadata of a store's utterances, as it is now.

    Args:
        store: the store, which may have metadata of its own.
        catalogue: the store's utterances.
        listed: key -> JSON object whose fields override the store's. Only keys of the store's utterances.
        path: path of the list, or None.
        unknown: number of keys in the list that are not utterances of the store.
        digest: digest of all metadata, as hexadecimal; empty if there is none.
        note: text that says what is strange in the list; empty if nothing is.
    """

    store: MelStore
    catalogue: Catalogue
    listed: Mapping[str, str]
    path: str | None
    unknown: int
    digest: str
    note: str = ""

    @classmethod
    def read(cls, store: MelStore, catalogue: Catalogue, path: str | None) -> UtteranceMetadata:
        """The metadata of a store, and of the list at `path` as `read_metadata` reads it.

        Raises:
            ConfigError: if the list cannot be read, or has no row for any utterance of the store.
        """
        try:
            metadata = Metadata("", {}) if path is None else read_metadata(path)
        except ConfigError as error:
            raise ConfigError(f"input.meta: {error}") from error
        rows = metadata.rows
        listed = {key: rows[key] for key in map(str, catalogue.keys) if key in rows}
        if rows and not listed:
            raise ConfigError(
                f"input.meta: {path} has no row for any utterance of {store.url}: its keys are like "
                f"{next(iter(rows))!r}, the store's like {str(catalogue.keys[0])!r}"
            )
        own = store.meta_digest()
        found = digest(own, *(part for item in listed.items() for part in item)).hex() if own or listed else ""
        return cls(store, catalogue, listed, path, len(rows) - len(listed), found, metadata.note)

    def words(self) -> str:
        """What the list has, as text for people."""
        others = f"; {self.unknown} of its rows match no utterance" if self.unknown else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.path}: for {len(self.listed)} of {len(self.catalogue)} utterances{others}{note}"

    def of(self, positions: Iterable[int]) -> dict[str, dict[str, Any]]:
        """Key -> metadata of the utterances at some positions of the catalogue. What cannot be read is left out."""
        found = {}
        for position in positions:
            utterance = self.catalogue[position]
            with contextlib.suppress(UtteranceError):
                found[utterance.key] = described(self.store.meta(utterance), self.listed.get(utterance.key))
        return found


def described(own: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    """An utterance's metadata.

    Args:
        own: the store's metadata of the utterance.
        given: JSON object from the list, whose fields override the store's; None if the list has none.
    """
    return {**own, **(json.loads(given) if given is not None else {})}
