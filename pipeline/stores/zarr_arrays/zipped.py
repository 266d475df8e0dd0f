"""Zarr stores in a .zip: where in the archive the store is, and whether its members may be unpacked into memory."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors import StoreError
from pipeline.redaction import public_url
from pipeline.storage.clients import open_client

MAX_MEMBER_BYTES = 1 << 30
"""Largest compressed member that is unpacked. A member that is stored as it is takes its size in the archive, too."""
DAMAGED = (zipfile.BadZipFile, zlib.error)
"""Errors of a member that cannot be unpacked, or whose checksum is wrong."""
_ROOT_DOCUMENTS = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
_ENCRYPTED = 1  # flag of a member in the archive's directory


def inside_zip(url: str, options: dict[str, Any], *absent: type[Exception]) -> tuple[str, dict[str, Any]]:
    """The URL of the store inside an archive, and the options of its client; for any other URL, both as they are.

    The store is at the root of the archive (as Zarr's ZipStore and `zip -r` within the folder write it), or is the only
    folder there (`zip -r` of the folder).

    Args:
        url: local path or fsspec URL.
        options: options of the storage client.
        absent: kinds of error that mean that the archive is not there.

    Raises:
        StoreError: if the archive is not there, is encrypted or holds no store, or one of its members is too large.
        ConfigError, StorageError: as `open_client`.
    """
    path = url.removeprefix("file://")
    local = "://" not in path
    if not url.lower().endswith(".zip") or "::" in url or (local and not os.path.isfile(path)):
        return url, options
    if local and not zipfile.is_zipfile(path):
        raise broken_zip(path)
    given: Mapping[str, Any] = options if local or not options else {url.partition("://")[0]: options}
    try:
        client, _ = open_client(f"zip://::{url}", given, zipfile.BadZipFile, *absent)
    except zipfile.BadZipFile as exc:
        raise broken_zip(public_url(url)) from exc
    except absent as exc:
        raise StoreError(f"{public_url(url)} cannot be opened: {exc} is not there; check the path") from exc
    members = client.zip.infolist()
    _check_members(members, public_url(url))
    names = {member.filename for member in members}
    at_root = any(document in names for document in _ROOT_DOCUMENTS)
    folders = {name.partition("/")[0] for name in names if name.endswith(tuple(f"/{each}" for each in _ROOT_DOCUMENTS))}
    folder = "" if at_root else folders.pop() if len(folders) == 1 else None
    if folder is None or not any(f"{folder}/{document}".lstrip("/") in names for document in _ROOT_DOCUMENTS):
        raise StoreError(
            f"there is no Zarr group in {public_url(url)}, neither at its root nor as its only folder; unpack an "
            "archive of other files, and give the folder"
        )
    return f"zip://{folder}::{url}", dict(given)


def broken_zip(url: str) -> StoreError:
    """The error for an archive without a directory.

    Args:
        url: path or URL of the archive, without secrets.
    """
    return StoreError(f"{url} is not a zip archive, or is cut off; copy it again")


def _check_members(members: Iterable[zipfile.ZipInfo], url: str) -> None:
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise StoreError(f"{url} is encrypted ({member.filename}); unpack it, and give the folder")
        if member.compress_type != zipfile.ZIP_STORED and member.file_size > MAX_MEMBER_BYTES:
            raise StoreError(
                f"{url}: its member {member.filename} takes {member.file_size / 2**30:.1f} GiB unpacked; at most "
                f"{MAX_MEMBER_BYTES / 2**30:.0f} GiB is allowed; unpack it, and give the folder"
            )
