"""Bytes of objects below any URL that fsspec takes, read by range: what reads an output needs no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pipeline.config import resolved
from pipeline.errors import MelmillError, StorageError
from pipeline.storage.base import remedy
from pipeline.storage.clients import open_client
from pipeline.storage.local import local_path
from pipeline.storage.silence import waiting_for

_WEB = ("http://", "https://")
"""Where a % in a name has to be quoted, since it is part of the name."""


class Ranges:
    """Reads objects below a URL. It can be pickled, and survives a fork: each process has a client of its own.

    Args:
        url: path or URL of a folder: any that fsspec takes.
        options: options for the client; may name environment variables, which each process looks up for itself.

    Raises:
        ConfigError: if the client is not installed, or an option is not valid.
        StorageError: if the client cannot begin.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        local = "://" not in url or url.startswith("file://")
        self.url = str(local_path(url)) if local else url.rstrip("/")
        self._options = dict(options)
        self._opened: tuple[int, Any, str] | None = None
        self._client()

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of an object, by one request.

        Args:
            name: name of the object, relative to the URL.
            start: first byte.
            size: number of bytes; None for all that follow. The result is shorter if the object is.

        Raises:
            FileNotFoundError: if the object is not there.
            StorageError: if it cannot be read.
        """
        client, root = self._client()
        try:
            with waiting_for(f"reading {self.url}/{name}"):
                path = f"{root}/{quote(name) if root.startswith(_WEB) else name}"
                stop = None if size is None else start + size
                content = client.cat_file(path, start=start or None, end=stop)  # s3fs has another second parameter
        except (MelmillError, FileNotFoundError):
            raise
        except Exception as error:  # each client has its own errors
            raise StorageError(
                f"reading {self.url}/{name}: {type(error).__name__}: {error} ({remedy(error)})"
            ) from error
        if size is not None and len(content) > size:  # a web server that knows no ranges sends everything
            return bytes(content[start : start + size])
        return bytes(content)

    def _client(self) -> tuple[Any, str]:
        """The client of this process, and the path of the URL in it. A client does not work after a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            client, root = open_client(self.url, resolved(self._options))
            self._opened = os.getpid(), client, root
        return self._opened[1:]

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the client."""
        return {**self.__dict__, "_opened": None}
