"""Names of members: keys of utterances, escaped reversibly so that no key leads out of its container."""

from __future__ import annotations

import re
from urllib.parse import quote

COMPONENT_BYTES = 200
"""Longest part of a name [bytes]; a longer name is cut into folders. File systems allow 255 bytes with extension."""


_CAPITAL = re.compile(r"(%[0-9A-F]{2})|[A-Z]")


def escape(key: str) -> str:
    """The name of a key's member, without extension: percent-encoded (RFC 3986), also dots and leading underscores.

    WebDataset takes everything after the first dot of a base name as the extension, and skips names like `__x__`.
    A name of more than `COMPONENT_BYTES` is cut by "/", which an escaped key does not otherwise contain. So the key of
    a name, also of one that `DistinctNames` changed, is `unquote(name.replace("/", ""))`, as the docs say.

    >>> escape("ru/voice.1")
    'ru%2Fvoice%2E1'
    """
    name = quote(key, safe="", errors="surrogatepass").replace(".", "%2E").replace("~", "%7E")
    if name.startswith("_"):
        name = "%5F" + name[1:]
    return _cut(name) or "%"


class DistinctNames:
    """Makes the names in one shard distinct also for file systems that ignore case, as on a Mac or on Windows."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def distinct(self, name: str) -> str:
        """The name that `escape` gave; if an earlier name differs only in case, with its capitals escaped.

        >>> names = DistinctNames()
        >>> names.distinct("anna"), names.distinct("Anna"), names.distinct("ANNA")
        ('anna', '%41nna', '%41%4E%4E%41')
        """
        if name.lower() in self._taken:
            name = _cut(_CAPITAL.sub(lambda found: found[1] or f"%{ord(found[0]):02X}", name.replace("/", "")))
        self._taken.add(name.lower())
        return name


def _cut(name: str) -> str:
    return "/".join(name[i : i + COMPONENT_BYTES] for i in range(0, len(name), COMPONENT_BYTES))
