"""What may be shown: secrets are taken out of URLs, options and texts. Knows no other room."""

from __future__ import annotations

import re
from urllib.parse import quote

_LOUD = r"secret|passw(?:or)?d|passphrase|connection_?string|authorization"
_CALM = r"credentials?|signature|cookies?"
_SHORT = r"key|token|sas|auth"
"""What names of secrets have in them; in prose, only a part of a longer name is taken for one."""
_SECRET_NAME = re.compile(f"{_LOUD}|{_CALM}|{_SHORT}", re.I)
_PUBLIC_NAME = re.compile(r"signature_version|max_?keys|.*kms_?key_?id|auth(or|ority)", re.I)
_SECRETS = (
    (re.compile(r"(?<=://)(?<!\babfs://)(?<!\babfss://)[^/\s'\"]*@"), ""),  # user and password
    (re.compile(r"(?<=://)[^/\s'\"]*:[^/\s'\"]*@"), ""),  # abfs://container@account has neither
    (re.compile(r"\?[^\s'\"<>]*=[^\s'\"<>]*"), "?..."),  # a query: signatures and tokens have too many names to list
    (re.compile(r"(://[^\s'\"?]*\?)(?!\.\.\.)[^\s'\"<>]+"), r"\1..."),  # a query that is a token alone
    (  # an option: secret=..., 'password': '...', Authorization: Basic ...
        re.compile(
            rf"(?<![\w-])([\w-]*(?:{_LOUD})\w*|[\w-]*(?:{_CALM})|[\w-]+[_-](?:{_SHORT})"
            r"|[\w-]*(?:access|account|api|customer|private)key)\b(['\"]?\s*[=:]\s*)"
            r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?:basic |bearer )?[^\s'\"]\S*(?<![\s'\",;&)}\]]))",
            re.I,
        ),
        r"\1\2...",
    ),
)
_concealed: set[str] = set()
_SHORTEST = 6
"""Characters of what is taken out of messages wherever it stands: less would be found in harmless words."""


def may_be_secret(name: str) -> bool:
    """Whether the value of a client's option with this name may be a secret, of S3, Google, Azure or HTTP.

    >>> [may_be_secret(name) for name in ("SSECustomerKey", "X-API-Key", "signature_version", "endpoint_url")]
    [True, True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _PUBLIC_NAME.fullmatch(name)


def conceal(secret: str) -> None:
    """Have `redacted` take this value out of every text from now on, whatever it stands beside."""
    if len(secret) >= _SHORTEST:
        _concealed.update((secret, quote(secret, safe=""), repr(secret)[1:-1]))


def public_url(url: str) -> str:
    """A URL as it may be written down: without user, password and query. The same whatever is concealed.

    Also a text with URLs and options of clients in it; options whose names say that they are secret lose their values.

    >>> public_url("simplecache::https://me:secret@host/mels.zip?sig=abc")
    'simplecache::https://host/mels.zip?...'
    >>> public_url("abfs://mels@account.dfs.core.windows.net/folder")
    'abfs://mels@account.dfs.core.windows.net/folder'
    """
    for secret, instead in _SECRETS:
        url = secret.sub(instead, url)
    return url


def redacted(text: str) -> str:
    """A text with URLs and options of clients in it, as it may be shown: as `public_url`, without what is concealed.

    >>> redacted("no client takes {'key': 'anna', 'secret': 'abc'}")
    "no client takes {'key': 'anna', 'secret': ...}"
    """
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, "...")
    return public_url(text)
