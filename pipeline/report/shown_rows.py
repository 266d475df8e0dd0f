"""A row of the manifest as the page shows it: all fields, texts cut where they are too long."""

from __future__ import annotations

from typing import Any

from pipeline.output.published_manifest import PlainRow
from pipeline.report.metadata_by_field import shortened

_LONGEST = 10_000
_MOST = 1000
"""Number of values in a list or an object."""


def shown_row(row: PlainRow) -> dict[str, Any]:
    """A row whose texts have 10,000 characters at most, and whose numbers JSON can express.

    `source.store` is only its name, as manifests have it unless the job asks for the whole URL.
    """
    shown: dict[str, Any] = _shown(row)
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value, _LONGEST)
    if isinstance(value, dict):
        return {_shown(name): _shown(each) for name, each in list(value.items())[:_MOST]}
    if isinstance(value, list):
        return [_shown(each) for each in value[:_MOST]]
    return None if isinstance(value, float) and value - value != 0 else value
