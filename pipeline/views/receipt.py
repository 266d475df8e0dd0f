"""melmill-export.json: what an export was made of, when, and what is in it.

melmill_export   1
format           name of the format
made             when, UTC, ISO 8601
melmill          version that made it
output           {url, name, run_id, manifest}: where the output was, relative to the export if both are folders;
                 the run that published it; digest of its manifest.jsonl
options          what was asked for
made_of          digest of all that the export depends on
counts           {utterances, of, seconds, splits}: what is in it, of how many in the manifest
notes            what a person should know of it
files            [{name, bytes, sha256, made_of}], the files that were written
folders          number of entries in each folder
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.output.layout import RECEIPT
from pipeline.storage.clutter import is_clutter_file, is_clutter_folder

VERSION = 1


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export.

    Args:
        name: its name, relative to the export.
        bytes: its size.
        sha256: digest of its bytes, as hexadecimal.
        made_of: digest of what it was made of, if a later export may take it over; else empty.
    """

    name: str
    bytes: int
    sha256: str
    made_of: str = ""


@dataclass(frozen=True)
class Receipt:
    """What an export was made of, and what is in it. The fields are those of the file; see the module."""

    format: str
    made: str
    melmill: str
    output: Mapping[str, str]
    options: Mapping[str, Any]
    made_of: str
    counts: Mapping[str, Any]
    notes: tuple[str, ...]
    files: tuple[ExportedFile, ...]
    folders: Mapping[str, int]

    def to_json(self) -> bytes:
        """The receipt as it is stored."""
        return (json.dumps({"melmill_export": VERSION, **dataclasses.asdict(self)}, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> Receipt:
        """The receipt that `to_json` wrote. ValueError if it is not valid."""
        try:
            plain = json.loads(text)
            if plain.pop("melmill_export") != VERSION:
                raise ValueError("it has another version")
            files = tuple(ExportedFile(**each) for each in plain["files"])
            return cls(**{**plain, "files": files, "notes": tuple(plain["notes"])})
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not the receipt of an export: {error!r}") from error

    @classmethod
    def of(cls, folder: Path) -> Receipt | None:
        """The receipt in a folder; None if there is none. ValueError if it is not valid."""
        try:
            return cls.from_json((folder / RECEIPT).read_bytes())
        except FileNotFoundError:
            return None

    def is_whole(self, folder: Path) -> bool:
        """Whether everything is still there, by number in each folder, and by size where the receipt has it."""
        try:
            sizes = all((folder / each.name).stat().st_size == each.bytes for each in self.files)
        except OSError:
            return False
        return sizes and entries(folder) == self.folders

    def strangers(self, folder: Path) -> list[str]:
        """Names of files and folders in an export that it did not have when it was made, as far as they can be told."""
        now, named = entries(folder), {each.name for each in self.files} | {RECEIPT}
        found = []
        for inside, count in now.items():
            if inside not in self.folders:
                if os.path.dirname(inside) in self.folders:
                    found.append(f"{inside}/")
            elif count > self.folders[inside]:
                found += [name for name in _files_in(folder, inside) if name not in named]
        return sorted(found)


def entries(folder: Path) -> dict[str, int]:
    """Number of files, links and folders in each folder of an export, by its name: "" for the export itself."""
    found = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not is_clutter_folder(each)]
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        kept = [each for each in files if not is_clutter_file(each) and (name, each) != (".", RECEIPT)]
        found["" if name == "." else name] = len(kept) + len(folders)
    return found


def _files_in(folder: Path, inside: str) -> list[str]:
    """Names of the files in one folder of an export, without links."""
    with os.scandir(folder / inside) as found:
        kept = [each.name for each in found if each.is_file(follow_symlinks=False) and not is_clutter_file(each.name)]
    return [f"{inside}/{each}" if inside else each for each in kept]
