"""Where an output lies, behind five verbs: read, list, put_if_absent, replace, delete.

`open_storage` takes a path or a URL and gives a Storage: a folder (`local`) or an object store (`objects`). `atomic`
and `filelock` write and lock files of this machine, for other rooms, too. It must not know what the objects mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pipeline.config import OutputConfig
from pipeline.errors import ConfigError
from pipeline.storage.base import OBJECT_STORES, PRIVATE, SCRATCH, Storage, exists, translated
from pipeline.storage.local import LocalStorage, local_path

__all__ = [
    "NO_OPTIONS",
    "PRIVATE",
    "SCRATCH",
    "LocalStorage",
    "Storage",
    "absolute_url",
    "exists",
    "open_output",
    "open_storage",
    "translated",
]

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
_AZURE = re.compile(r"abfss?://[^@:]+@[^@:]+")
"""Azure's own form: container@account.dfs.core.windows.net, where no user stands before the @."""


def open_storage(url: str, options: Mapping[str, Any] = NO_OPTIONS, single_writer: bool = False) -> Storage:
    """The storage at a local path or a URL: `file://`, `s3://`, `gs://`, `az://`. Nothing is written yet.

    Args:
        url: path or URL of a folder.
        options: options for the client of an object store; may name environment variables.
        single_writer: whether nothing except the workers of one job writes to the output; then the
            object store needs no conditional PUT.

    Raises:
        ConfigError: if melmill cannot write to this kind of URL, or its client is not installed.
    """
    if not _is_object_store(url):
        if options:
            raise ConfigError(f"{url}: output.options are for object stores; a local folder takes none")
        return LocalStorage(local_path(url))
    from pipeline.storage.objects import ObjectStorage  # takes a tenth of a second

    return ObjectStorage(absolute_url(url), options, single_writer)


def open_output(output: OutputConfig) -> Storage:
    """The storage of a job's output. Raises what `open_storage` raises."""
    return open_storage(output.url, output.options, output.single_writer)


def absolute_url(url: str) -> str:
    """The URL of an output in a form that means the same on every worker.

    Raises:
        ConfigError: if melmill cannot write to it, or it holds a secret.
    """
    if not _is_object_store(url):
        return str(local_path(url))
    parts = urlsplit(url)
    user = "@" in parts.netloc and not _AZURE.fullmatch(f"{parts.scheme}://{parts.netloc}")
    if user or parts.query or parts.fragment or not parts.netloc or not parts.path.strip("/"):
        raise ConfigError(
            f"{url}: an output is {parts.scheme}://bucket/folder; credentials and other options of the client belong "
            "into output.options"
        )
    return f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/')}"


def _is_object_store(url: str) -> bool:
    return "://" in url and url.partition("://")[0] in OBJECT_STORES
