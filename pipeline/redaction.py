"""Takes secrets out of URLs, options and texts before they are shown. Knows no other room."""

from __future__ import annotations

import re
from urllib.parse import quote

_ANYWHERE = r"secret|passw(?:or)?d|passphrase|connection_?string|authorization"
_LAST = r"credentials?|signature|cookies?"
_LAST_OF_SEVERAL = r"key|token|sas|auth"
"""Words in the names of secrets: those that count anywhere in a name, at its end, and only at the end of a longer
name."""
_SECRET_NAME = re.compile(f"{_ANYWHERE}|{_LAST}|{_LAST_OF_SEVERAL}", re.I)
_PUBLIC_NAME = re.compile(r"signature_version|max_?keys|.*kms_?key_?id|auth(or|ority)", re.I)
_SECRETS = (
    (re.compile(r"(?<=://)(?<!\babfs://)(?<!\babfss://)[^/\s'\"]*@"), ""),  # user and password
    (re.compile(r"(?<=://)[^/\s'\"]*:[^/\s'\"]*@"), ""),  # abfs://container@account has neither
    (re.compile(r"\?[^\s'\"<>]*=[^\s'\"<>]*"), "?..."),  # a query: signatures and tokens have too many names to list
    (re.compile(r"(://[^\s'\"?]*\?)(?!\.\.\.)[^\s'\"<>]+"), r"\1..."),  # a query that is a token alone
    (  # an option: secret=..., 'password': '...', Authorization: Basic ...
        re.compile(
            rf"(?<![\w-])([\w-]*(?:{_ANYWHERE})\w*|[\w-]*(?:{_LAST})|[\w-]+[_-](?:{_LAST_OF_SEVERAL})"
            r"|[\w-]*(?:access|account|api|customer|private)key)\b(['\"]?\s*[=:]\s*)"
            r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?:basic |bearer )?[^\s'\"]\S*(?<![\s'\",;&)}\]]))",
            re.I,
        ),
        r"\1\2...",
    ),
)
_concealed: set[str] = set()
_SHORTEST = 6
"""Smallest number of characters of a secret that is taken out wherever it is. Less would occur in harmless words."""


def may_be_secret(name: str) -> bool:
    """Whether the value of a client's option with this name may be a secret. Knows S3, Google, Azure and HTTP.

    >>> [may_be_secret(name) for name in ("SSECustomerKey", "X-API-Key", "signature_version", "endpoint_url")]
    [True, True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _PUBLIC_NAME.fullmatch(name)


def conceal(secret: str) -> None:
    """Have `redacted` take this value out of every text from now on, wherever it is."""
    if len(secret) >= _SHORTEST:
        _concealed.update((secret, quote(secret, safe=""), repr(secret)[1:-1]))


def public_url(url: str) -> str:
    """A URL without user, password and query, as it may be written down. It does not depend on what is concealed.

    It also takes a text with URLs and options of clients, and removes the values of options with secret names.

    >>> public_url("simplecache::https://me:secret@host/mels.zip?sig=abc")
    'simplecache::https://host/mels.zip?...'
    >>> public_url("abfs://mels@account.dfs.core.windows.net/folder")
    'abfs://mels@account.dfs.core.windows.net/folder'
    """
    for secret, instead in _SECRETS:
        url = secret.sub(instead, url)
    return url


def redacted(text: str) -> str:
    """A text as it may be shown: without secrets of URLs and options (see `public_url`), and without what is concealed.

    >>> redacted("no client takes {'key': 'anna', 'secret': 'abc'}")
    "no client takes {'key': 'anna', 'secret': ...}"
    """
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, "...")
    return public_url(text)
