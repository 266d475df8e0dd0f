"""What formats say to utterances without text, whose readers cannot do without."""

from __future__ import annotations

from pipeline.views.options import ExportOptions
from pipeline.views.rows import ExportRow


def no_text(row: ExportRow, options: ExportOptions, reader: str) -> str | None:
    """Why a row without text cannot be exported; None if it has one, or if a person allows that it has none.

    Args:
        row: row of the export.
        options: what is asked of the export.
        reader: name of what reads the export.
    """
    if row.common["text"].strip() or options.allow_empty_text:
        return None
    return (
        f"no text, which {reader} needs. Give them texts with input.meta, leave them out with --where \"text <> ''\", "
        "or pass --allow-empty-text"
    )
