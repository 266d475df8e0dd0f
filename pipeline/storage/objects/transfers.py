"""Objects below a URL, through fsspec's clients for S3, Google and Azure. A verb is done completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pipeline.config import resolved
from pipeline.errors import ConfigError, MelmillError, StorageError
from pipeline.storage.base import OBJECT_STORES, SCRATCH, remedy
from pipeline.storage.clients import open_client, server_of
from pipeline.storage.silence import waiting_for

_TRIES, _WAIT_SECONDS = 3, 0.1
"""Number of tries of a write, and length of the first wait. The clients also try each request several times."""
_BLOCK_BYTES = 8 << 20
"""Number of bytes that are read at once."""
_PART_BYTES, _PARTS_AT_ONCE = 16 << 20, 4
"""Size of a part of an upload, and number of parts that are uploaded at once.

A client holds each of these parts in memory. It uploads an object in parts if it has the size of at least two parts.
"""
_MOST_PARTS = 10_000
"""Largest number of parts of an upload."""
_NAME_BYTES = 1024
"""Largest number of bytes in the name of an object in its bucket: S3, Google and Azure have the same limit."""

_TAGS = ("ETag", "etag", "generation", "md5Hash")
"""What listings of S3, Azure and Google call the tag of an object's version. A time alone would be too coarse."""

Mode = Literal["create", "overwrite"]


class Files:
    """Named objects below a URL. `server` tells servers apart that have buckets of one name.

    Args:
        url: URL of the folder: `s3://bucket/folder`.
        options: options of the client; they may name environment variables.

    Raises:
        ConfigError: if the client is not installed, or an option is not valid.
        StorageError: if the client cannot begin.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        protocol = url.partition("://")[0]
        given = resolved(options)
        self.client, self._root = open_client(self.url, given, use_listings_cache=False)
        self._options = ", ".join(given)
        self.server = server_of(given)
        self._s3 = OBJECT_STORES[protocol] == "s3"

    @property
    def name_bytes(self) -> int:
        """See Storage."""
        return _NAME_BYTES - len(self._path("_").partition("/")[2].encode()) + 1

    def there(self, name: str) -> bool:
        """Whether an object is there."""
        with self._guarded("looking for", name):
            try:
                return bool(self.client.info(self._path(name))["type"] != "directory")
            except FileNotFoundError:
                return False

    def read(self, name: str) -> io.BufferedReader:
        """See Storage. From S3, all bytes come from one version; StorageError if it is replaced while it is read."""
        with self._guarded("reading", name, FileNotFoundError):
            return io.BufferedReader(_Reading(self._open(name), self, name), 1 << 18)

    def _open(self, name: str) -> Any:
        file = self.client.open(self._path(name), "rb", block_size=_BLOCK_BYTES, cache_type="readahead")
        if getattr(file, "details", {}).get("type") == "directory":
            raise FileNotFoundError(name)
        return file

    def content(self, name: str) -> bytes | None:
        """Content of a small object; None if the object is not there."""
        with self._guarded("reading", name):
            try:
                return bytes(self.client.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[str]:
        """See Storage. Holds the names of one folder at a time."""
        return (name for name, _ in self.stamps(prefix))

    def stamps(self, prefix: str) -> Iterator[tuple[str, str]]:
        """See Storage. A stamp is the size of the object and the tag that the store gives each version of it."""
        folders = []
        with self._guarded("listing", prefix):
            entries = self._entries(prefix)
        for entry in entries:
            name = self._name(entry)
            if name == prefix:
                continue  # some servers list an emptied folder, as an object or as a folder
            if entry["type"] == "directory":
                folders.append(name)
            elif not str(entry["name"]).endswith("/"):
                tags = [str(entry[tag]).replace('"', "") for tag in _TAGS if entry.get(tag)]
                yield name, ":".join((str(entry.get("size")), *tags)) if tags else ""
        for folder in folders:
            if folder != SCRATCH:
                yield from self.stamps(folder)

    def _entries(self, prefix: str) -> Sequence[Mapping[str, Any]]:
        path = self._path(prefix)
        self.client.invalidate_cache(path)
        try:
            return sorted(self.client.ls(path, detail=True), key=lambda entry: str(entry["name"]))
        except FileNotFoundError:
            return []

    def create(self, name: str, source: Path | bytes) -> bool:
        """Put an object if its name is free. False if another object is there; True also if an equal one is there.

        So a lost answer does no harm. If the lost answer reported success, the client asks again and hears that the
        name is taken, although this process itself put the object.
        """
        with self._guarded("writing", name):
            for tries in range(_TRIES):
                try:
                    self._put(name, source, "create")
                    return True
                except Exception:
                    if (won := self._holds(name, source)) is not None:
                        return won
                    if tries + 1 == _TRIES:
                        raise
                time.sleep(_WAIT_SECONDS * 2**tries)
        raise AssertionError("the last try returns or raises")

    def overwrite(self, name: str, source: Path | bytes) -> None:
        """Put an object, and replace the one that is there."""
        with self._guarded("writing", name):
            for tries in range(_TRIES):
                try:
                    self._put(name, source, "overwrite")
                    return
                except Exception:
                    if tries + 1 == _TRIES:
                        raise
                time.sleep(_WAIT_SECONDS * 2**tries)

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens if it is not there."""
        with self._guarded("deleting", name), contextlib.suppress(FileNotFoundError):
            self.client.rm_file(self._path(name))

    def _put(self, name: str, source: Path | bytes, mode: Mode) -> None:
        if isinstance(source, bytes):
            self.client.pipe_file(self._path(name), source, mode=mode)
            return
        size = source.stat().st_size
        parts: dict[str, int] = {}
        if self._s3:
            parts = {"chunksize": max(_PART_BYTES, -(-size // _MOST_PARTS)), "max_concurrency": _PARTS_AT_ONCE}
        self.client.put_file(str(source), self._path(name), mode=mode, **parts)

    def _holds(self, name: str, source: Path | bytes) -> bool | None:
        """Whether the object that is there has exactly these bytes; None if no object is there."""
        try:
            with self.read(name) as file:
                size = source.stat().st_size if isinstance(source, Path) else len(source)
                if file.seek(0, io.SEEK_END) != size:
                    return False
                file.seek(0)
                with open(source, "rb") if isinstance(source, Path) else io.BytesIO(source) as ours:
                    return _digest(file) == _digest(ours)
        except FileNotFoundError:
            return None

    # ---- unfinished uploads in parts; Google and Azure delete theirs by themselves

    def uploads(self) -> Iterator[tuple[str, str]]:
        """Name and id of each unfinished upload; nothing if the store cannot list them."""
        if not self._s3:
            return
        bucket, _, folder = self._root.partition("/")
        markers: dict[str, str] = {}
        while True:
            with self._guarded("listing the unfinished uploads of", ""):
                try:
                    page = self.client.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{folder}/", **markers)
                except (PermissionError, FileNotFoundError):
                    return
                except OSError as error:
                    if is_not_implemented(error):
                        return
                    raise
            for each in page.get("Uploads", ()):
                yield each["Key"].removeprefix(f"{folder}/"), each["UploadId"]
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"]}
            if upload := page.get("NextUploadIdMarker"):  # some servers leave it out
                markers["UploadIdMarker"] = upload

    def abort(self, name: str, upload: str) -> None:
        """Delete an unfinished upload and its parts; nothing happens if the upload is already gone."""
        bucket, _, folder = self._root.partition("/")
        with self._guarded("aborting an upload of", name), contextlib.suppress(FileNotFoundError):
            self.client.call_s3("abort_multipart_upload", Bucket=bucket, Key=f"{folder}/{name}", UploadId=upload)

    # ----

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _name(self, entry: Mapping[str, Any]) -> str:
        return str(entry["name"]).removeprefix(self._root).strip("/")

    @contextlib.contextmanager
    def _guarded(self, doing: str, name: str, *passing: type[OSError]) -> Iterator[None]:
        """Turn errors of the clients into errors of melmill that say what to do."""
        try:
            with waiting_for(f"{doing} {self.url}/{name}"):
                yield
        except Exception as error:  # each client has its own errors
            if isinstance(error, (MelmillError, *passing)):
                raise
            if isinstance(error, TypeError) and self._options:  # clients check most options at first use
                raise ConfigError(f"{self.url} cannot be opened with the options {self._options}: {error}") from None
            raise StorageError(f"{doing} {self.url}/{name}: {_explained(error)}") from error


class _Reading(io.RawIOBase):
    """An opened object. If reading fails, the error is one of melmill.

    A client notes the version of an object when it opens the object, and fetches that version at the first read. If the
    object is replaced in between, this class opens it again. That happens: all parts of a job write and read the job's
    records when they begin.
    """

    def __init__(self, file: Any, files: Files, name: str) -> None:
        self._file = file
        self._files = files
        self._name = name
        self._begun = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._files._guarded("reading", self._name):
            content = self._read(len(buffer))
        self._begun = True
        buffer[: len(content)] = content
        return len(content)

    def _read(self, size: int) -> bytes:
        for tries in range(_TRIES):
            try:
                return bytes(self._file.read(size))
            except OSError as error:
                if self._begun or not _is_of_another_version(error):
                    raise
            time.sleep(_WAIT_SECONDS * 2**tries)
            position = self._file.tell()
            self._file.close()
            self._file = self._files._open(self._name)
            self._file.seek(position)
        return bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._begun = self._begun or whence == io.SEEK_END  # the caller now relies on this version's size
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def is_not_implemented(error: BaseException | None) -> bool:
    """Whether a server said that it does not support the request."""
    return isinstance(error, OSError) and error.errno == errno.ENOSYS


def _is_of_another_version(error: OSError) -> bool:
    """Whether an error of s3fs says that the object was replaced after it was opened."""
    return type(error).__name__ == "FileExpired" or (error.errno == errno.EINVAL and "pre-condition" in str(error))


def _digest(file: Any) -> bytes:
    return hashlib.file_digest(file, "sha256").digest()


def _explained(error: Exception) -> str:
    """Text for people that describes a client's error and says what to do about it."""
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    kind = type(error).__name__
    if isinstance(error, PermissionError) or "Credentials" in kind:
        return f"{what or kind} (check the credentials and what they allow; what was committed is kept)"
    if isinstance(error, FileNotFoundError):
        return f"{what or kind} (check that the bucket exists)"
    return f"{what or kind} ({remedy(error)})"
