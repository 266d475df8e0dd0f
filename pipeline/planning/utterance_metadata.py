"""Metadata of utterances (text, speaker, ...): the store's own, and that of a list which overrides it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, UtteranceError
from pipeline.stores import Catalogue, MelStore
from pipeline.stores.digests import digest, digest_column
from pipeline.stores.metadata_lists import read_metadata


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
    """

    store: MelStore
    catalogue: Catalogue
    listed: Mapping[str, str]
    path: str | None
    unknown: int
    digest: str

    @classmethod
    def read(cls, store: MelStore, catalogue: Catalogue, path: str | None) -> UtteranceMetadata:
        """The metadata of a store, and of the list at `path` as `read_metadata` reads it.

        Raises:
            ConfigError: if the list cannot be read, or has no row for any utterance of the store.
        """
        try:
            rows = read_metadata(path).rows if path is not None else {}
        except ConfigError as error:
            raise ConfigError(f"input.meta: {error}") from error
        listed = {key: rows[key] for key in map(str, catalogue.keys) if key in rows}
        if rows and not listed:
            raise ConfigError(
                f"input.meta: {path} has no row for any utterance of {store.url}: its keys are like "
                f"{next(iter(rows))!r}, the store's like {str(catalogue.keys[0])!r}"
            )
        own = store.meta_digest()
        found = digest(own, *(part for item in listed.items() for part in item)).hex() if own or listed else ""
        return cls(store, catalogue, listed, path, len(rows) - len(listed), found)

    @cached_property
    def digests(self) -> NDArray[np.uint8]:
        """Digest of the metadata of each utterance, `[utterances, 16] uint8`, by position in the catalogue."""
        own = zip(self.catalogue.keys, self.store.meta_texts(), strict=True)
        return digest_column(digest(text, self.listed.get(str(key), "")) for key, text in own)

    def words(self) -> str:
        """What the list has, as text for people."""
        others = f"; {self.unknown} of its rows match no utterance" if self.unknown else ""
        return f"{self.path}: for {len(self.listed)} of {len(self.catalogue)} utterances{others}"

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
