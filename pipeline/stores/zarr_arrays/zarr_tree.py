"""Metadata documents and listings of the objects in a Zarr group, read through fsspec. No values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import zarr
from fsspec.implementations.local import LocalFileSystem
from zarr.abc.store import Store

from pipeline.config import resolved
from pipeline.errors import StorageError, StoreError
from pipeline.redaction import public_url
from pipeline.storage import NO_OPTIONS
from pipeline.storage.clients import open_client
from pipeline.storage.silence import waiting_for
from pipeline.stores.zarr_arrays.array_metadata import ArrayMetadata, UnreadableArray, parse_array, parse_json
from pipeline.stores.zarr_arrays.local_files import list_files, read_files, subfolders

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError, KeyError)  # KeyError: fsspec's zip
# Entries of a listing that change when an object is rewritten, best first: S3, Google, Azure, zip, local, memory.
_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "CRC", "mtime", "LastModified", "last_modified", "created")
_BATCH = 4096  # number of metadata documents that are in memory at once
_MOST_ALIKE = 1 << 14  # number of parsed documents that are kept, to be reused for arrays with the same text
_CONCURRENT = 128  # number of documents that are requested from an object store at the same time
DOCUMENT_NAMES = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Names of metadata documents. They are read, and need no stamp."""
Documents = Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
"""For the path of each array its metadata document, and in v2 its attributes."""


class ZarrTree:
    """The Zarr group at a URL, opened read-only.

    Args:
        url: local path or any fsspec URL. The attribute `url` is for messages and records: it has no secrets.
        options: options of the storage client; they may name environment variables.

    Raises:
        ConfigError: if the URL's protocol is not known or its library is not installed.
        StoreError: if there is no Zarr group at the URL.
        StorageError: if storage cannot be reached.
    """

    def __init__(self, url: str, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        self.url = public_url(url)
        self._url = url
        given = resolved(options)
        try:
            self._fs, self._root = open_client(url, given, *_ABSENT)
        except _ABSENT as exc:  # the archive that the URL names
            raise StoreError(f"{self.url} cannot be opened: {exc} is not there; check the path") from exc
        self._fs.invalidate_cache()
        self._local = isinstance(self._fs, LocalFileSystem)
        self._at_root: list[str] | None = None
        self.zarr_format, self.attributes, self._consolidated = self._read_root()
        self.store = self._open_store(given)

    def _open_store(self, options: dict[str, Any]) -> Store:
        if self._local:
            return zarr.storage.LocalStore(self._root or "/", read_only=True)
        return zarr.storage.FsspecStore.from_url(self._url, storage_options=options, read_only=True)

    def _read_root(self) -> tuple[Literal[2, 3], Mapping[str, Any], Documents | None]:
        if (document := self._json("zarr.json")) is not None:
            if document.get("node_type") != "group":
                raise self._is_an_array()
            attributes = self._object(document, "attributes")
            if document.get("consolidated_metadata") is None:
                return 3, attributes, None
            return 3, attributes, self._from_v3(self._object(document, "consolidated_metadata", "metadata"))
        if (document := self._json(".zmetadata")) is not None:
            return 2, self._object(document, "metadata", ".zattrs"), self._from_v2(self._object(document, "metadata"))
        if self._json(".zgroup") is not None:
            return 2, self._json(".zattrs") or {}, None
        if self._json(".zarray") is not None:
            raise self._is_an_array()
        raise StoreError(f"there is no Zarr group at {self.url} (neither zarr.json nor .zgroup); check the path")

    def _is_an_array(self) -> StoreError:
        return StoreError(f"{self.url} is a single Zarr array; a mel store is a group: give the folder above the array")

    def _object(self, document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
        """The JSON object at a path of names in a document of the root; empty if it is not there.

        Raises:
            StoreError: if another value is there.
        """
        for name in names:
            document = document.get(name) or {}
            if not isinstance(document, Mapping):
                raise StoreError(f"{self.url}: {name} in its metadata is {str(document)[:80]!r}, not a JSON object")
        return document

    def _from_v3(self, listed: Mapping[str, Any]) -> Documents:
        arrays = (path for path in listed if self._object(listed, path).get("node_type") == "array")
        return {_safe(path): (listed[path], {}) for path in arrays}

    def _from_v2(self, listed: Mapping[str, Any]) -> Documents:
        paths = [name.removesuffix("/.zarray") for name in listed if name.endswith("/.zarray")]
        return {
            _safe(path): (self._object(listed, f"{path}/.zarray"), self._object(listed, f"{path}/.zattrs"))
            for path in paths
        }

    def array(self, path: str) -> ArrayMetadata | None:
        """Metadata of the array at `path`; None if there is no array.

        Raises:
            StoreError: if the metadata cannot be understood.
        """
        if self._consolidated is not None and path in self._consolidated:
            return parse_array(path, *self._consolidated[path])
        name = _safe(path)
        if self.zarr_format == 3:
            document = self._json(f"{name}/zarr.json")
            return parse_array(path, document) if document and document.get("node_type") == "array" else None
        document = self._json(f"{name}/.zarray")
        return parse_array(path, document, self._json(f"{name}/.zattrs")) if document else None

    def children(self, path: str = "") -> list[str]:
        """Paths of the folders directly in a group, sorted. The folders of the root are listed only once."""
        if path:
            return self._list(path)
        if self._at_root is None:
            self._at_root = self._list("")
        return self._at_root

    def _list(self, path: str) -> list[str]:
        if self._consolidated is not None:
            prefix = f"{path}/" if path else ""
            below = [name.removeprefix(prefix) for name in self._consolidated if name.startswith(prefix)]
            return sorted({prefix + name.split("/")[0] for name in below})
        if self._local:
            names = self._guard(lambda: subfolders(self._full(path) or "/"))
            return [f"{path}/{name}" if path else name for name in names]
        found = self._guard(lambda: self._fs.ls(self._full(path), detail=True))
        return sorted(self._relative(entry["name"]) for entry in found if entry["type"] == "directory")

    def first_arrays(self, limit: int) -> list[ArrayMetadata]:
        """Up to `limit` readable arrays, found by walking down from the root: a look at a store that may be large."""
        found: list[ArrayMetadata] = []
        pending = self.children()[::-1]
        while pending and len(found) < limit:
            path = pending.pop()
            try:
                array = self.array(path)
            except StoreError:
                continue
            if array is not None:
                found.append(array)
            else:
                pending += self.children(path)[::-1]
        return found

    def objects(self, path: str = "") -> dict[str, str]:
        """All objects below `path`: for the path of each below the root, a stamp that changes when it is rewritten.

        The stamp of a metadata document may be empty.
        """
        if self._local:
            prefix = f"{path}/" if path else ""
            files = self._guard(lambda: list_files(self._full(path), frozenset(DOCUMENT_NAMES)))
            return {prefix + name: stamp for name, stamp in files.items()} if prefix else files
        listed = self._guard(lambda: self._fs.find(self._full(path), detail=True))
        return {self._relative(name): _stamp(entry) for name, entry in listed.items()}

    def arrays(self, objects: Collection[str]) -> Iterator[ArrayMetadata | UnreadableArray]:
        """All arrays, sorted by path: those that consolidated metadata lists, and those that it lacks.

        Args:
            objects: paths of all objects in the store.
        """
        known = self._consolidated or {}
        ending = "/zarr.json" if self.zarr_format == 3 else "/.zarray"
        paths = sorted({*known, *(name.removesuffix(ending) for name in objects if name.endswith(ending))})
        alike: dict[Any, ArrayMetadata] = {}  # most arrays of a corpus have the same document as another
        for batch in (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)):
            unknown = [path for path in batch if path not in known]
            contents = self._contents([path + ending for path in unknown])
            if self.zarr_format == 2:
                contents |= self._contents([name for path in unknown if (name := path + "/.zattrs") in objects])
            for path in batch:
                try:
                    text = contents.get(path + ending), contents.get(path + "/.zattrs"), _as_text(path, known)
                    if (array := alike.get(text)) is None:
                        document, beside = known.get(path) or (
                            self._parsed(contents, path + ending),
                            self._parsed(contents, path + "/.zattrs"),
                        )
                        if path not in known and document.get("node_type", "array") != "array":
                            continue
                        array = parse_array(path, document, beside)
                        if len(alike) < _MOST_ALIKE:
                            alike[text] = array
                    yield array if array.path == path else replace(array, path=path)
                except StoreError as exc:
                    yield UnreadableArray(path, str(exc))

    def _contents(self, names: list[str]) -> dict[str, bytes]:
        """The content of each object that is there, fetched concurrently if the file system can."""
        full = [self._full(name) for name in names]
        if self._local:
            found = read_files(full)
        else:
            # Not `cat`, which reads a `*` or `[` in a name as a pattern.
            limit = {"batch_size": _CONCURRENT} if self._fs.async_impl else {}
            found = self._guard(lambda: self._fs.cat_ranges(full, None, None, on_error="return", **limit))
        contents = {}
        for name, content in zip(names, found, strict=True):
            if isinstance(content, _ABSENT):
                continue
            if isinstance(content, Exception):
                raise StorageError(f"{self.url}: {name} cannot be read: {content}") from content
            contents[name] = bytes(content)
        return contents

    def _parsed(self, contents: Mapping[str, bytes], name: str) -> dict[str, Any]:
        return parse_json(contents[name], f"{self.url}: {name}") if name in contents else {}

    def tail(self, name: str, size: int) -> bytes:
        """The last `size` bytes of the object `name`."""
        return bytes(self._guard(lambda: self._fs.cat_file(self._full(name), start=-size)))

    def head(self, name: str, size: int) -> bytes:
        """The first `size` bytes of the object `name`."""
        return bytes(self._guard(lambda: self._fs.cat_file(self._full(name), start=0, end=size)))

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            content = self._guard(lambda: self._fs.cat_file(self._full(name)))
        except StoreError:
            return None
        return parse_json(bytes(content), f"{self.url}: {name}")

    def _full(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root and name else (self._root or name)

    def _relative(self, full: str) -> str:
        return full.lstrip("/").removeprefix(self._root.lstrip("/")).strip("/")

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """A context for requests to the store: if a remote store does not answer, the user is told."""
        return contextlib.nullcontext() if self._local else waiting_for(f"reading {self.url}")

    def _guard(self, call: Any) -> Any:
        """`call()`, with the errors of file systems translated: absence is a StoreError, all else a StorageError."""
        try:
            with self.waiting():
                return call()
        except _ABSENT as exc:
            raise StoreError(f"{self.url}: {exc} is not there") from exc
        except Exception as exc:  # each remote file system has its own errors
            raise StorageError(f"{self.url} cannot be read: {type(exc).__name__}: {exc}") from exc


def _as_text(path: str, known: Documents) -> str | None:
    """An array's documents in consolidated metadata, as text to compare; None if they are not in it."""
    try:
        return json.dumps(known[path]) if path in known else None
    except RecursionError as exc:
        raise StoreError(f"array {path}: its Zarr metadata is nested too deeply") from exc


def _safe(path: str) -> str:
    if not path or any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise StoreError(f"the store's metadata names the array {path!r}, which would lie outside the store")
    return path


def _stamp(entry: Mapping[str, Any]) -> str:
    written = next((str(entry[name]) for name in _STAMPS if entry.get(name) is not None), "")
    return f"{entry.get('size')}:{written}"
