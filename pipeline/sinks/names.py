"""Keys as member names: escaped so that no key leaves its place, and reversibly."""

from __future__ import annotations

from urllib.parse import quote, unquote

COMPONENT_BYTES = 200
"""Longer names are cut into folders: file systems hold 255 bytes a name, and an extension follows."""


def escape(key: str) -> str:
    """The key as a member's name without extension: percent-encoded (RFC 3986), dots and leading underscores too.

    WebDataset takes everything after the first dot of a base name for the extension, and skips names like `__x__`.
    Names of more than `COMPONENT_BYTES` are cut by "/", which no escaped key holds otherwise.

    >>> escape("ru/voice.1")
    'ru%2Fvoice%2E1'
    """
    name = quote(key, safe="", errors="surrogatepass").replace(".", "%2E").replace("~", "%7E")
    if name.startswith("_"):
        name = "%5F" + name[1:]
    return "/".join(name[i : i + COMPONENT_BYTES] for i in range(0, len(name), COMPONENT_BYTES)) or "%"


def unescape(name: str) -> str:
    """The key that `escape` was given.

    >>> unescape("ru%2Fvoice%2E1")
    'ru/voice.1'
    """
    return "" if name == "%" else unquote(name.replace("/", ""), errors="surrogatepass")
