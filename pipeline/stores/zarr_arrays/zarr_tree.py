"""Metadata documents and listings of the objects in a Zarr group, read through fsspec. No values.

Consolidated metadata is a list that may be older than the arrays. Each array's own document is read, except where the
listing of objects proves that the list has the same one; see `ConsolidatedList`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal
from zipfile import BadZipFile

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
from pipeline.stores.zarr_arrays.consolidated_list import ConsolidatedList, Documents, json_object, safe_path
from pipeline.stores.zarr_arrays.local_files import list_files, read_files, subfolders
from pipeline.stores.zarr_arrays.zipped import DAMAGED, broken_zip, inside_zip

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError, KeyError)  # KeyError: fsspec's zip
# Entries of a listing that change when an object is rewritten, best first: S3, Google, Azure, zip, local, memory.
_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "CRC", "mtime", "LastModified", "last_modified", "created")
_BATCH = 4096  # number of metadata documents that are in memory at once
_MOST_ALIKE = 1 << 14  # number of parsed documents that are kept, to be reused for arrays with the same text
_CONCURRENT = 128  # number of documents that are requested from an object store at the same time
DOCUMENT_NAMES = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Names of metadata documents. They are read, and need no stamp."""
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')  # an ETag of S3, if the object was put in one request


class ZarrTree:
    """The Zarr group at a URL, opened read-only.

    Args:
        url: local path or any fsspec URL, also of a .zip that holds the group. The attribute `url` is for messages and
            records: it has no secrets.
        options: options of the storage client; they may name environment variables.

    Raises:
        ConfigError: if the URL's protocol is not known or its library is not installed.
        StoreError: if there is no Zarr group at the URL.
        StorageError: if storage cannot be reached.
    """

    def __init__(self, url: str, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        self.url = public_url(url)
        self._url, given = inside_zip(url, resolved(options), *_ABSENT)
        try:
            self._fs, self._root = open_client(self._url, given, BadZipFile, *_ABSENT)
        except BadZipFile as exc:
            raise broken_zip(self.url) from exc
        except _ABSENT as exc:  # the archive that the URL names
            raise StoreError(f"{self.url} cannot be opened: {exc} is not there; check the path") from exc
        self._fs.invalidate_cache()
        self._local = isinstance(self._fs, LocalFileSystem)
        self._at_root: list[str] | None = None
        self.zarr_format, self.attributes, self.listed = self._read_root()
        self.store = self._open_store(given)

    def _open_store(self, options: dict[str, Any]) -> Store:
        if self._local:
            return zarr.storage.LocalStore(self._root or "/", read_only=True)
        return zarr.storage.FsspecStore.from_url(self._url, storage_options=options, read_only=True)

    def _read_root(self) -> tuple[Literal[2, 3], Mapping[str, Any], ConsolidatedList]:
        if (document := self._json("zarr.json")) is not None:
            if document.get("node_type") != "group":
                raise self._is_an_array()
            listed = json_object(document, self.url, "consolidated_metadata", "metadata")
            return 3, json_object(document, self.url, "attributes"), ConsolidatedList.from_v3(listed, self.url)
        if (document := self._json(".zmetadata")) is not None:
            listed = json_object(document, self.url, "metadata")
            return 2, self._json(".zattrs") or {}, ConsolidatedList.from_v2(listed, self.url)
        if self._json(".zgroup") is not None:
            return 2, self._json(".zattrs") or {}, ConsolidatedList(2)
        if self._json(".zarray") is not None:
            raise self._is_an_array()
        what = "it is a file; give the group's folder, or a .zip of it" if self._is_file() else "check the path"
        raise StoreError(f"there is no Zarr group at {self.url} (neither zarr.json nor .zgroup); {what}")

    def _is_file(self) -> bool:
        return self._local and os.path.isfile(self._root)

    def _is_an_array(self) -> StoreError:
        return StoreError(f"{self.url} is a single Zarr array; a mel store is a group: give the folder above the array")

    def array(self, path: str) -> ArrayMetadata | None:
        """Metadata of the array at `path`, by its own document; None if there is no array.

        Raises:
            StoreError: if the metadata cannot be understood.
        """
        name = safe_path(path)
        document = self._json(f"{name}/{self._document}")
        if not document or document.get("node_type", "array") != "array":
            return None
        beside = (self._json(f"{name}/.zattrs") or {}) if self.zarr_format == 2 else {}
        array = parse_array(path, document, beside)
        self.listed.compare(array, (document, beside))
        return array

    @property
    def _document(self) -> str:
        return "zarr.json" if self.zarr_format == 3 else ".zarray"

    def children(self, path: str = "") -> list[str]:
        """Paths of the folders directly in a group, sorted, with the arrays that consolidated metadata lists there.

        The folders of the root are listed only once.
        """
        if path:
            return self._list(path)
        if self._at_root is None:
            self._at_root = self._list("")
        return self._at_root

    def _list(self, path: str) -> list[str]:
        listed = self.listed.children(path)
        try:
            return sorted({*listed, *self._folders(path)})
        except StoreError:  # an HTTP server that does not list
            if not listed:
                raise
            return listed

    def _folders(self, path: str) -> list[str]:
        if self._local:
            names = self._guard(lambda: subfolders(self._full(path) or "/"))
            return [f"{path}/{name}" if path else name for name in names]
        found = self._guard(lambda: self._fs.ls(self._full(path), detail=True))
        return [self._relative(entry["name"]) for entry in found if entry["type"] == "directory"]

    def first_arrays(self, limit: int) -> list[ArrayMetadata]:
        """Up to `limit` readable arrays, found by walking down from the root: a look at a store that may be large."""
        found: list[ArrayMetadata] = []
        pending = (self.listed.children("") or self.children())[::-1]
        while pending and len(found) < limit:
            path = pending.pop()
            try:
                array = self.array(path)
            except StoreError:
                continue
            if array is not None:
                found.append(array)
            elif path not in self.listed.entries:  # else it is an array that is gone
                pending += (self.listed.children(path) or self.children(path))[::-1]
        return found

    def objects(self, path: str = "") -> dict[str, str]:
        """All objects below `path`: for the path of each below the root, a stamp that changes when it is rewritten.

        The stamp of a metadata document is the MD5 of its content as hexadecimal; "" where storage does not tell.
        """
        if self._local:
            prefix = f"{path}/" if path else ""
            files = self._guard(lambda: list_files(self._full(path), frozenset(DOCUMENT_NAMES)))
            return {prefix + name: stamp for name, stamp in files.items()} if prefix else files
        listed = self._guard(lambda: self._fs.find(self._full(path), detail=True))
        return {
            self._relative(name): _md5(entry) if name.endswith(DOCUMENT_NAMES) else _stamp(entry)
            for name, entry in listed.items()
        }

    def arrays(self, objects: Mapping[str, str]) -> Iterator[ArrayMetadata | UnreadableArray]:
        """All arrays, sorted by path: those that are there, and those that consolidated metadata lists.

        Args:
            objects: all objects in the store, with their stamps.
        """
        ending = f"/{self._document}"
        there = (name.removesuffix(ending) for name in objects if name.endswith(ending))
        paths = sorted({*self.listed.entries, *there})
        alike: dict[Any, tuple[ArrayMetadata, Documents]] = {}  # most arrays of a corpus have the documents of another
        for batch in (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)):
            proven = {path for path in batch if self.listed.is_proven(path, objects)}
            unknown = [path for path in batch if path not in proven]
            contents = self._contents([name for path in unknown if (name := path + ending) in objects])
            if self.zarr_format == 2:
                contents |= self._contents([name for path in unknown if (name := path + "/.zattrs") in objects])
            for path in batch:
                if path not in proven and path + ending not in contents:
                    if lost := self.listed.lost_mel(path):
                        yield UnreadableArray(path, lost)
                    continue
                try:
                    text = repr(self.listed.entries[path]) if path in proven else contents[path + ending]
                    known = alike.get((text, contents.get(path + "/.zattrs")))
                    if known is None:
                        own = self.listed.entries[path] if path in proven else self._own(path, contents)
                        if own[0].get("node_type", "array") != "array":
                            continue
                        known = parse_array(path, *own), own
                        if len(alike) < _MOST_ALIKE:
                            alike[text, contents.get(path + "/.zattrs")] = known
                    array = known[0] if known[0].path == path else replace(known[0], path=path)
                    self.listed.compare(array, known[1])
                    yield array
                except StoreError as exc:
                    yield UnreadableArray(path, str(exc))

    def _own(self, path: str, contents: Mapping[str, bytes]) -> Documents:
        document = self._parsed(contents, f"{path}/{self._document}")
        return document, self._parsed(contents, f"{path}/.zattrs")

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
            if isinstance(content, DAMAGED):  # no JSON, so that this array alone is unreadable
                content = b""
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
        except StorageError as exc:
            if not isinstance(exc.__cause__, DAMAGED):
                raise
            raise StoreError(f"{self.url}: {name} is damaged ({exc.__cause__}); copy the archive again") from exc
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


def _stamp(entry: Mapping[str, Any]) -> str:
    written = next((str(entry[name]) for name in _STAMPS if entry.get(name) is not None), "")
    return f"{entry.get('size')}:{written}"


def _md5(entry: Mapping[str, Any]) -> str:
    """MD5 of an object's content as hexadecimal, if its entry in the listing states it; else ""."""
    if match := _MD5.fullmatch(str(entry.get("ETag"))):
        return match[1]
    stated = (
        entry.get("md5Hash") or entry.get("content_md5") or (entry.get("content_settings") or {}).get("content_md5")
    )
    with contextlib.suppress(ValueError, TypeError):
        return (base64.b64decode(stated) if isinstance(stated, str) else bytes(stated or b"")).hex()
    return ""
