"""Metadata of utterances (text, speaker, ...): the store's own, and that of a list which overrides it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, UtteranceError
from pipeline.planning.fields import Fields, unified
from pipeline.stores import Catalogue, MelStore
from pipeline.stores.digests import digest, digest_column
from pipeline.stores.list_keys import match_rows
from pipeline.stores.metadata_lists import Metadata, read_metadata
from pipeline.wording import counted


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
        known: fields of this metadata, if an earlier run has written them down; None if they are to be found.
        note: text that says what is strange in the list; empty if nothing is.
    """

    store: MelStore
    catalogue: Catalogue
    listed: Mapping[str, str]
    path: str | None
    unknown: int
    digest: str
    known: Fields | None = None
    note: str = ""

    @classmethod
    def read(
        cls, store: MelStore, catalogue: Catalogue, path: str | None, published: Mapping[str, Any] | None = None
    ) -> UtteranceMetadata:
        """The metadata of a store, and of the list at `path` as `read_metadata` reads it.

        Args:
            store: the store, opened.
            catalogue: the store's utterances.
            path: path of the list, or None.
            published: what `describe` gave for an earlier run; None if there is none.

        Raises:
            ConfigError: if the list cannot be read, or has no row for any utterance of the store.
        """
        try:
            metadata = Metadata("", {}) if path is None else read_metadata(path)
            matched = match_rows(metadata, list(map(str, catalogue.keys)) if metadata.rows else (), store.url)
        except ConfigError as error:
            raise ConfigError(f"input.meta: {error}") from error
        listed = matched.rows
        note = "; ".join(note for note in (metadata.note, matched.note) if note)
        own = store.meta_digest()
        found = digest(own, *(part for item in listed.items() for part in item)).hex() if own or listed else ""
        known = published if published is not None and published["digest"] == found else None
        fields = Fields(dict(sorted(known["fields"].items())), tuple(known["notes"])) if known is not None else None
        return cls(store, catalogue, listed, path, len(matched.unused), found, fields, note)

    @cached_property
    def fields(self) -> Fields:
        """The fields of all metadata. Reads each utterance's metadata once, unless `known`."""
        if self.known is not None:
            return self.known
        return Fields.of(self._rows()) if self.digest else Fields({})

    @cached_property
    def state(self) -> str:
        """Digest of all metadata as it is written, with the types of its fields, as hexadecimal; empty if none."""
        return digest(self.digest, json.dumps(self.fields.types, sort_keys=True)).hex() if self.digest else ""

    def describe(self) -> dict[str, Any]:
        """The fields as plain JSON values, for job.json."""
        return {"digest": self.digest, **self.fields.to_dict()}

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The metadata of all utterances, as it is given. What cannot be read, or cannot be made, is left out."""
        for index, text in enumerate(self.store.meta_texts()):
            try:
                own = json.loads(text) if text else {}
            except (ValueError, RecursionError):
                continue
            if index not in self.catalogue.faults and isinstance(own, dict):
                yield described(own, self.listed.get(str(self.catalogue.keys[index])))

    @cached_property
    def digests(self) -> NDArray[np.uint8]:
        """Digest of the metadata of each utterance, `[utterances, 16] uint8`, by position in the catalogue."""
        own = zip(self.catalogue.keys, self.store.meta_texts(), strict=True)
        return digest_column(digest(text, self.listed.get(str(key), "")) for key, text in own)

    def words(self) -> str:
        """What the list has, as text for people."""
        matches = "matches" if self.unknown == 1 else "match"
        others = f"; {self.unknown} of its rows {matches} no utterance" if self.unknown else ""
        note = f"; {self.note}" if self.note else ""
        return f"{self.path}: for {len(self.listed)} of {counted(len(self.catalogue), 'utterance')}{others}{note}"

    def of(self, positions: Iterable[int], as_given: bool = False) -> dict[str, dict[str, Any]]:
        """Key -> metadata of the utterances at some positions of the catalogue. What cannot be read is left out.

        Args:
            positions: positions in the catalogue.
            as_given: as early versions of melmill wrote it, not with all fields of the corpus.
        """
        found = {}
        types = {} if as_given else self.fields.types
        for position in positions:
            utterance = self.catalogue[position]
            with contextlib.suppress(UtteranceError):
                own = self.store.meta(utterance)
                found[utterance.key] = unified(described(own, self.listed.get(utterance.key)), types)
        return found


def described(own: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    """An utterance's metadata.

    Args:
        own: the store's metadata of the utterance.
        given: JSON object from the list, whose fields override the store's; None if the list has none.
    """
    return {**own, **(json.loads(given) if given is not None else {})}
