"""What a store's consolidated metadata lists, and which of its entries are proven to be the array's own document."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipeline.errors import StoreError
from pipeline.stores.zarr_arrays.array_metadata import ArrayMetadata, parse_array

Documents = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The metadata document of an array, and in v2 its attributes."""
_MOST_ALIKE = 1 << 14  # number of documents whose digests are kept, since most arrays have that of another
# How libraries write a document: zarr-python 3, zarr-python 2, and two compact forms. One that writes it in another way
# costs time: its documents are read.
_STYLES: tuple[dict[str, Any], ...] = (
    {"indent": 2},
    {"indent": 4, "sort_keys": True, "separators": (",", ": ")},
    {},
    {"separators": (",", ":")},
)


@dataclass(frozen=True)
class ConsolidatedList:
    """The arrays that consolidated metadata lists.

    A list may be older than the arrays, and no clock tells: a copy may have any times. So an entry counts only if the
    store's listing of objects proves it: some object stores give the MD5 of each object, and an entry that is written
    as libraries write it has the MD5 of the array's document only if it is that document.

    Args:
        zarr_format: version of Zarr, 2 or 3.
        entries: documents of each array, by its path.
        outdated: paths of the arrays for which the list was found to be out of date. It grows while arrays are read.
    """

    zarr_format: Literal[2, 3]
    entries: Mapping[str, Documents] = field(default_factory=dict)
    outdated: set[str] = field(default_factory=set)

    @staticmethod
    def from_v3(listed: Mapping[str, Any], url: str) -> ConsolidatedList:
        """The list in the field `consolidated_metadata.metadata` of the root's `zarr.json`.

        Args:
            listed: content of the field.
            url: URL of the store, for messages.

        Raises:
            StoreError: if the list is not valid, or names an array outside the store.
        """
        paths = (path for path in listed if json_object(listed, url, path).get("node_type") == "array")
        return ConsolidatedList(3, {safe_path(path): (listed[path], {}) for path in paths})

    @staticmethod
    def from_v2(listed: Mapping[str, Any], url: str) -> ConsolidatedList:
        """The list in the field `metadata` of `.zmetadata`. As `from_v3`."""
        paths = [name.removesuffix("/.zarray") for name in listed if name.endswith("/.zarray")]
        documents = {
            safe_path(path): (
                json_object(listed, url, f"{path}/.zarray"),
                json_object(listed, url, f"{path}/.zattrs"),
            )
            for path in paths
        }
        return ConsolidatedList(2, documents)

    def children(self, path: str) -> list[str]:
        """Paths of the groups and arrays directly in a group, sorted."""
        prefix = f"{path}/" if path else ""
        below = [name.removeprefix(prefix) for name in self.entries if name.startswith(prefix)]
        return sorted({prefix + name.split("/")[0] for name in below})

    def compare(self, array: ArrayMetadata, own: Documents) -> None:
        """Notes an array whose own documents say something else than the list does.

        Args:
            array: metadata of the array, by its own documents.
            own: these documents.
        """
        if not self.entries or (listed := self.entries.get(array.path)) == own:
            return
        with contextlib.suppress(StoreError):
            if listed and replace(parse_array(array.path, *listed), document={}) == replace(array, document={}):
                return
        self.outdated.add(array.path)

    def remark(self) -> str:
        """What a description of the store adds if the list is out of date; else ""."""
        if not self.outdated:
            return ""
        more = f" and {len(self.outdated) - 3} more" if len(self.outdated) > 3 else ""
        names = ", ".join(sorted(self.outdated)[:3])
        return f"; consolidated metadata is out of date for {names}{more}, whose own metadata counts"

    def check_none_is_gone(self, absent: Collection[str], url: str) -> None:
        """Refuses a store that lists an array which is not there.

        Args:
            absent: paths of arrays that were found not to be there.
            url: URL of the store, for the message.

        Raises:
            StoreError: naming the first one that is listed.
        """
        if gone := sorted(path for path in absent if path in self.entries):
            raise StoreError(f"{url}: {self._gone(gone[0])}")

    def lost_mel(self, path: str) -> str:
        """What is wrong with an array whose own document is not there; "" if its entry shows that it is no mel."""
        if path not in self.entries:
            return f"array {path} vanished while the store was listed"
        self.outdated.add(path)
        with contextlib.suppress(StoreError):
            if len(parse_array(path, *self.entries[path]).shape) < 2:
                return ""
        return self._gone(path)

    def _gone(self, path: str) -> str:
        document = "zarr.json" if self.zarr_format == 3 else ".zarray"
        return (
            f"array {path} is listed in the store's consolidated metadata, but {path}/{document} is not there; restore "
            "the array, or consolidate the metadata again if it was deleted"
        )

    def is_proven(self, path: str, md5: Mapping[str, str]) -> bool:
        """Whether an array is listed and its own documents are proven to be the listed ones.

        Args:
            path: path of the array.
            md5: MD5 of the content of each object, as hexadecimal, by its path; "" where storage does not tell.
        """
        if path not in self.entries:
            return False
        document, attributes = self.entries[path]
        if self.zarr_format == 3:
            return _is(document, md5.get(f"{path}/zarr.json"))
        beside = md5.get(f"{path}/.zattrs")
        same = not attributes if beside is None else _is(attributes, beside)
        return same and _is(document, md5.get(f"{path}/.zarray"))


def _is(document: Mapping[str, Any], md5: str | None) -> bool:
    """Whether a document, written in one of the usual ways, has an MD5."""
    try:
        return bool(md5) and md5 in _digests(json.dumps(document))
    except RecursionError:
        return False


@functools.lru_cache(_MOST_ALIKE)
def _digests(document: str) -> Collection[str]:
    texts = (json.dumps(json.loads(document), **style) for style in _STYLES)
    return {hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts}


def json_object(document: Mapping[str, Any], url: str, *names: str) -> Mapping[str, Any]:
    """The JSON object at a path of names in a document of a store's root; empty if it is not there.

    Raises:
        StoreError: if another value is there.
    """
    for name in names:
        document = document.get(name) or {}
        if not isinstance(document, Mapping):
            raise StoreError(f"{url}: {name} in its metadata is {str(document)[:80]!r}, not a JSON object")
    return document


def safe_path(path: str) -> str:
    """The path of an array, if it lies within the store.

    Raises:
        StoreError: if it does not.
    """
    if not path or any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise StoreError(f"the store's metadata names the array {path!r}, which would lie outside the store")
    return path
