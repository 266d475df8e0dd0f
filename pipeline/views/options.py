"""What a person asks of an export, as a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import ConfigError

ONE_SPLIT = (("train", 1.0),)
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
"""Names of splits that all readers take: they become parts of names of files, and Hugging Face takes no more."""


@dataclass(frozen=True)
class ExportOptions:
    """What a person asks of an export.

    Args:
        to: name of the format.
        where: SQL expression that chooses utterances; empty for all.
        split: name of each split and its share; the shares add up to 1.
        by: field whose value decides on the split: `key`, another field of the manifest, or a field of the metadata.
        renamed: name of a metadata field, and its name in the export.
        shuffle: seed for the order of shards in lists of shards; None for the order of the manifest.
        base: URL that stands before the names of audio objects; empty for links, or for the URL of an output that is
            in an object store.
        audio: whether audio is copied into the export.
        allow_empty_text: whether utterances without text are exported to formats that cannot do without.
    """

    to: str
    where: str = ""
    split: tuple[tuple[str, float], ...] = ONE_SPLIT
    by: str = "key"
    renamed: tuple[tuple[str, str], ...] = ()
    shuffle: int | None = None
    base: str = ""
    audio: bool = False
    allow_empty_text: bool = False

    def __post_init__(self) -> None:
        _check_base(self.base)
        if self.base and self.audio:
            raise ConfigError(f"--base {self.base}: with --audio the audio is in the export. Leave one of the two out")

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return [name for name, _ in self.split]

    def to_dict(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return {**vars(self), "split": dict(self.split), "renamed": dict(self.renamed)}


def parse_split(text: str) -> tuple[tuple[str, float], ...]:
    """The splits that `--split` names.

    Raises:
        ConfigError: if it is not valid, or the shares do not add up to 1.

    >>> parse_split("train=0.95,dev=0.05")
    (('train', 0.95), ('dev', 0.05))
    """
    shares = []
    for name, share in _pairs("--split", text, "train=0.95,dev=0.05"):
        try:
            shares.append((name, float(share)))
        except ValueError:
            raise ConfigError(f"--split {text}: {share!r} is not a number. Write a share such as 0.05") from None
        if not _SPLIT.fullmatch(name):
            raise ConfigError(f"--split {text}: {name!r} is no name of a split. Use letters, digits and underscores")
        if not 0 < shares[-1][1] <= 1:
            raise ConfigError(f"--split {text}: the share of {name} is {share}. It must be above 0, and at most 1")
    if abs(sum(share for _, share in shares) - 1) > 1e-9:
        total = sum(share for _, share in shares)
        raise ConfigError(f"--split {text}: the shares add up to {total:.6g}, not to 1")
    return tuple(shares)


def parse_map(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The new names of metadata fields that `--map` gives.

    Raises:
        ConfigError: if one is not valid, or two fields get one name.

    >>> parse_map(["lang=language,spk=speaker"])
    (('lang', 'language'), ('spk', 'speaker'))
    """
    pairs = [pair for text in texts for pair in _pairs("--map", text, "lang=language")]
    for at, (_, name) in enumerate(pairs):
        if name in [other for _, other in pairs[:at]]:
            raise ConfigError(f"--map: two fields cannot both become {name}")
    return tuple(pairs)


def _pairs(option: str, text: str, example: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for each in text.split(","):
        name, sign, value = (part.strip() for part in each.partition("="))
        if not (name and sign and value):
            raise ConfigError(f"{option} {text}: {each!r} is not NAME=VALUE. Write it as in {option} {example}")
        if name in found:
            raise ConfigError(f"{option} {text}: {name} stands there twice")
        found[name] = value
    return list(found.items())


def _check_base(base: str) -> None:
    parts = urlsplit(base)
    if not base:
        return
    if not parts.scheme or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"--base {base}: it must be the URL of the output, such as s3://bucket/audio or https://example.org/audio, "
            "without user, password and query: it stands in the files of the export, which people pass on"
        )
