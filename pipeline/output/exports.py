"""Where the exports of an output are, as the output remembers it, and whether they are of the manifest of now.

An export says itself of which manifest it is. The output keeps a note of each place that an export was written to,
since only that can be looked at later. A note is a help for people: nothing is decided by it, an output that cannot be
written gets none, and an export that was moved is told as gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import MelmillError
from pipeline.output.layout import EXPORTS, MANIFEST, RECEIPT
from pipeline.output.ledger import Ledger
from pipeline.storage import Storage

_VERSION = 1
_NOT_A_NOTE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

ExportAge = Literal["up to date", "out of date", "gone", "not visible from here"]


@dataclass(frozen=True)
class ExportNote:
    """A note that an output was exported.

    Args:
        format: name of the format.
        target: absolute path of the export; empty if it is files in the output itself.
        host: name of the machine that it was written on.
        made: when, UTC, ISO 8601.
        manifest: digest of the manifest that it was made of.
        files: names of the files that it has in the output.
    """

    format: str
    target: str
    host: str
    made: str
    manifest: str
    files: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Name of the note in the output: that of the place, so that a later export to it replaces the note."""
        words = f"{self.host} {self.target}" if self.target else self.format
        return f"{EXPORTS}/{hashlib.blake2b(words.encode('utf-8', 'surrogateescape'), digest_size=8).hexdigest()}.json"

    def write(self, storage: Storage) -> bool:
        """Leave the note in an output. False if the output cannot be written."""
        text = json.dumps({"version": _VERSION, **dataclasses.asdict(self)}, indent=2) + "\n"
        try:
            storage.replace(self.path, text.encode())
        except MelmillError:
            return False
        return True


@dataclass(frozen=True)
class ExportState:
    """An export, and whether it is of the manifest of now.

    Args:
        note: note that the output has of it.
        age: `up to date`, `out of date`, `gone`, or `not visible from here`: it was written on another machine.
    """

    note: ExportNote
    age: ExportAge


def export_notes(storage: Storage) -> Iterator[ExportNote]:
    """The notes in an output, in the order of their names. Those that cannot be read are left out."""
    for name in storage.list(EXPORTS):
        with contextlib.suppress(FileNotFoundError, *_NOT_A_NOTE), storage.read(name) as file:
            plain = json.loads(file.read())
            if plain.pop("version", None) == _VERSION:
                yield ExportNote(**{**plain, "files": tuple(plain["files"])})


def exported_here(storage: Storage) -> set[str]:
    """Names of the files in an output that exports have written there."""
    return {name for note in export_notes(storage) if not note.target for name in note.files}


def export_states(ledger: Ledger) -> tuple[ExportState, ...]:
    """All exports that an output remembers, and how old they are."""
    publication = ledger.publication()
    files = publication.files if publication is not None else ()
    manifest = next((each.sha256 for each in files if each.name == MANIFEST), None)
    return tuple(ExportState(note, _age(note, manifest)) for note in export_notes(ledger.storage))


def forget_gone(ledger: Ledger) -> None:
    """Delete the notes of exports that were on this machine and are there no more."""
    for state in export_states(ledger):
        if state.age == "gone":
            with contextlib.suppress(MelmillError):
                ledger.storage.delete(state.note.path)


def _age(note: ExportNote, manifest: str | None) -> ExportAge:
    found = note.manifest
    if note.target:
        try:
            found = json.loads((Path(note.target) / RECEIPT).read_bytes())["output"]["manifest"]
        except (OSError, ValueError, KeyError, TypeError):
            return "gone" if note.host == socket.gethostname() else "not visible from here"
    return "up to date" if found == manifest else "out of date"
