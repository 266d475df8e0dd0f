"""Rows as manifest.jsonl and failures.jsonl have them.

Fields that readers look for first stand at the top, no path of the maker is in them, and no row of the manifest has
null where another has a number.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.config import StoreInRows
from pipeline.output.common_fields import common_fields
from pipeline.output.not_measured import without_nulls
from pipeline.output.records import Failure, Row

OPTIONAL_FIELDS = "mel_distance_unrefined", "mel_origin"
"""Fields of a row that the manifest has only where they have a value."""


def published(value: Row | Failure, store: StoreInRows) -> dict[str, Any]:
    """A row or failure as plain JSON values, as the lists have it.

    Args:
        value: the row or failure, as its commit record has it.
        store: what `source.store` says: the store's name, or its whole URL.
    """
    plain = dict(vars(value))
    plain["source"] = dict(vars(value.source))
    if store == "name":
        plain["source"]["store"] = last_part(value.source.store)
    if isinstance(value, Failure):
        return plain
    for name in OPTIONAL_FIELDS:
        if plain[name] is None:
            del plain[name]
    return {"key": plain.pop("key"), **common_fields(value.meta), **without_nulls(plain)}


def list_line(value: Row | Failure, store: StoreInRows) -> bytes:
    """A row or failure as a line of its list. The arguments are those of `published`."""
    return (json.dumps(published(value, store)) + "\n").encode()


def last_part(url: str) -> str:
    """The last part of a path or URL. A name is its own name.

    >>> last_part("s3://corpora/2026/mels.zarr/"), last_part("mels.zarr")
    ('mels.zarr', 'mels.zarr')
    """
    return url.rstrip("/").rpartition("/")[2] or url
