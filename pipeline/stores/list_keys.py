"""The keys of a list, matched with those of utterances: equal, or alike in one way only."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.stores.metadata_lists import Metadata
from pipeline.wording import counted

EXTENSIONS = frozenset((
    "wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "mp4", "aac", "wma", "webm", "aif", "aiff", "au", "sph", "w64",
    "caf", "rf64", "npy", "npz", "h5", "hdf5", "pt", "pth", "ark", "zarr",
))  # fmt: skip
"""Extensions of audio and mels, in lower case, which lists leave at a key and `pack` takes away."""
_SHOWN = 3  # number of keys of each side that an error names


@dataclass(frozen=True)
class MatchedRows:
    """The rows of a list that belong to utterances.

    Args:
        rows: JSON object of the row, by the utterance's key, in the order of the utterances.
        unused: keys of the list that no utterance has, sorted.
        note: text that says how many keys were alike and not equal, and which fit several; empty if none.
    """

    rows: Mapping[str, str]
    unused: tuple[str, ...] = ()
    note: str = ""


def match_rows(metadata: Metadata, keys: Collection[str], of: str) -> MatchedRows:
    """Finds the row of each utterance.

    Equal keys match. Of the others, a key of the list and one of an utterance match if they differ only in their
    Unicode normalization (macOS writes decomposed file names), in an extension of audio or mels, or in a leading "./",
    and if no other row and no other utterance fit as well. The utterances' keys stay as they are.

    Args:
        metadata: the list.
        keys: keys of the utterances.
        of: path or URL of what has the utterances, for messages.

    Raises:
        ConfigError: if there are rows and utterances, and no row belongs to any.
    """
    exact = {key: metadata.rows[key] for key in keys if key in metadata.rows}
    if len(exact) == len(metadata.rows) or len(exact) == len(keys):
        return MatchedRows(exact, tuple(sorted(metadata.rows.keys() - exact.keys())))
    listed = _by_form(key for key in metadata.rows if key not in exact)
    alike: dict[str, str] = {}
    several: list[str] = []
    for form, mine in _by_form(key for key in keys if key not in exact).items():
        if (theirs := listed.get(form)) is None:
            continue
        if len(mine) == 1 and len({metadata.rows[key] for key in theirs}) == 1:
            alike[mine[0]] = theirs[0]
            listed.pop(form)
        else:
            several.append(f"{', '.join(map(repr, theirs))} and the utterances' {', '.join(map(repr, mine))}")
    rows = {key: metadata.rows[alike.get(key, key)] for key in keys if key in exact or key in alike}
    if not rows:
        raise ConfigError(_none_fits(metadata, keys, of, several))
    unused = sorted(key for theirs in listed.values() for key in theirs)
    return MatchedRows(rows, tuple(unused), _note(alike, several))


def _by_form(keys: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(_form(key), []).append(key)
    return found


def _form(key: str) -> str:
    """What keys that are alike have in common."""
    stem, extension = os.path.splitext(key.removeprefix("./"))
    return unicodedata.normalize("NFC", stem if extension[1:].lower() in EXTENSIONS else key.removeprefix("./"))


def _note(alike: Mapping[str, str], several: list[str]) -> str:
    composed = sum(unicodedata.normalize("NFC", mine) == unicodedata.normalize("NFC", alike[mine]) for mine in alike)
    notes = []
    if composed:
        notes.append(
            f"{counted(composed, 'key was', 'keys were')} matched whose only difference is their Unicode "
            "normalization, as macOS writes it"
        )
    if extended := len(alike) - composed:
        notes.append(f'{counted(extended, "key was", "keys were")} matched without extension or "./"')
    if several:
        fit = counted(len(several), "key fits several and was", "keys fit several and were")
        notes.append(f"{fit} not matched, first {several[0]}")
    return "; ".join(notes)


def _none_fits(metadata: Metadata, keys: Collection[str], of: str, several: list[str]) -> str:
    theirs, mine = (", ".join(map(repr, list(each)[:_SHOWN])) for each in (metadata.rows, keys))
    why = f"; {several[0]} fit several" if several else ""
    if not several and {os.path.basename(_form(key)) for key in metadata.rows} & {
        os.path.basename(_form(key)) for key in keys
    }:
        why = "; some are equal without their folders: use the same folders in both"
    return (
        f"{metadata.path} has no row for any utterance of {of}: its keys (field {metadata.field}) are like {theirs}, "
        f"the utterances' like {mine}{why}"
    )
