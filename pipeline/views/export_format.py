"""What a format is: it takes the rows of an export one after the other, and writes what its readers want."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.output.published_manifest import PublishedManifest
from pipeline.planning.fields import Fields, FieldType
from pipeline.views.audio import AudioOfRows
from pipeline.views.files import ExportFiles
from pipeline.views.options import ExportOptions
from pipeline.views.rows import ExportRow


@dataclass(frozen=True)
class Making:
    """What a format makes an export with.

    Args:
        source: the output, and its rows.
        fields: the fields of the metadata, as the manifest has them.
        options: what is asked of the export.
        types: name of each field of the metadata in the export -> its type.
        files: files of the export.
        audio: audio of the output.
        opened: closes what a format opens, at the end, whether the export is finished or not.
        more: which of `published_rows.OPTIONAL_FIELDS` the rows have.
        notes: sentences that a person should read; a format may add some.
    """

    source: PublishedManifest
    fields: Fields
    options: ExportOptions
    types: Mapping[str, FieldType]
    files: ExportFiles
    audio: AudioOfRows
    opened: ExitStack
    more: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


class ExportFormat(Protocol):
    """Writes one export. Its class is called with a `Making`, and may raise ConfigError if the options do not fit."""

    def problem(self, row: ExportRow) -> str | None:
        """Why the format cannot say a row, and what to do about it, as text that names no key; None if it can.

        Rows with one text are refused together, with their number and first keys, and nothing is exported.
        """
        ...

    def add(self, row: ExportRow) -> None:
        """Take the next row, in the order of the manifest."""
        ...

    def finish(self) -> None:
        """Write what is left. No row follows."""
        ...
