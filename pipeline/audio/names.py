"""Keys as member names: escaped so that no key leaves its place, and reversibly."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

COMPONENT_BYTES = 200
"""Longer names are cut into folders: file systems hold 255 bytes a name, and an extension follows."""


_CAPITAL = re.compile(r"(%[0-9A-F]{2})|[A-Z]")


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
    return _cut(name) or "%"


class Apart:
    """Keeps the names of one shard apart also where upper and lower case are one: folders on a Mac or on Windows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, name: str) -> str:
        """What `escape` gave, or, if an earlier name differs from it in case alone, the same with its capitals escaped.

        >>> apart = Apart()
        >>> apart.name("anna"), apart.name("Anna"), apart.name("ANNA")
        ('anna', '%41nna', '%41%4E%4E%41')
        """
        if name.lower() in self._taken:
            name = _cut(_CAPITAL.sub(lambda found: found[1] or f"%{ord(found[0]):02X}", name.replace("/", "")))
        self._taken.add(name.lower())
        return name


def _cut(name: str) -> str:
    return "/".join(name[i : i + COMPONENT_BYTES] for i in range(0, len(name), COMPONENT_BYTES))


def unescape(name: str) -> str:
    """The key that `escape` was given, kept apart or not.

    >>> unescape("ru%2Fvoice%2E1")
    'ru/voice.1'
    """
    return "" if name == "%" else unquote(name.replace("/", ""), errors="surrogatepass")
