"""Opens clients of fsspec. Each client has errors of its own, and some connect as soon as they are made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import fsspec

from pipeline.errors import ConfigError, StorageError
from pipeline.storage.base import OBJECT_STORES

_SERVER_OPTIONS = ("endpoint_url", "account_name", "account_host", "connection_string")
"""Options of s3fs and adlfs that choose the server or account, in which a bucket has its name."""
_SERVER_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT_NAME")
"""Environment variables that choose it where no option does."""


def open_client(url: str, options: Mapping[str, Any], *passing: type[Exception], **ours: Any) -> tuple[Any, str]:
    """The client for a URL, and the path of the URL in that client.

    Args:
        url: any URL that fsspec takes.
        options: the user's options of the client, with variables replaced by their secrets.
        passing: kinds of error that are raised as they are.
        ours: melmill's own options of the client.

    Raises:
        ConfigError: if the protocol is not known, its library is not installed, or an option is not valid.
        StorageError: if the client finds no credentials, or cannot reach the store.
    """
    protocol = url.partition("://")[0]
    try:
        client, root = fsspec.core.url_to_fs(url, **ours, **options)
    except passing:
        raise
    except ImportError as error:
        if (extra := OBJECT_STORES.get(protocol)) is None:
            raise ConfigError(f"{url} cannot be opened: {error}") from error
        raise ConfigError(
            f"{url} needs fsspec's client for {protocol}://: pip install 'melmill[{extra}]' ({error})"
        ) from error
    except (TypeError, ValueError) as error:
        with_options = f" with the options {', '.join(options)}" if options else ""
        raise ConfigError(f"{url} cannot be opened{with_options}: {error}") from None
    except Exception as error:
        look = "; check the network, and the credentials and what they allow" if protocol in OBJECT_STORES else ""
        raise StorageError(f"{url} cannot be opened: {type(error).__name__}: {error}{look}") from error
    return client, str(root).rstrip("/")


def server_of(options: Mapping[str, Any]) -> str:
    """Digest of what says on which server the buckets are; some of it may be secret."""
    chosen = {**options, **options.get("client_kwargs", {})}
    words = [str(chosen.get(name, "")) for name in _SERVER_OPTIONS]
    words += [os.environ.get(name, "") for name in _SERVER_VARIABLES]
    return hashlib.blake2b("\0".join(words).encode(), digest_size=16).hexdigest()
