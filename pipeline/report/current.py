"""Whether a report is of what is published now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.output.layout import MANIFEST
from pipeline.output.ledger import Ledger
from pipeline.planning.versions import installed
from pipeline.report.folder import MARKER
from pipeline.storage import NO_OPTIONS, open_storage


def published_just_now(url: str, options: Mapping[str, Any] = NO_OPTIONS) -> bool:
    """Whether all that runs have made of an output is published. While a run or a part of a job is at work, it is not.

    Args:
        url: path or URL of the output.
        options: options for the client of an object store.

    Raises:
        ConfigError: if there is no output.
        StorageError: if it cannot be read.
    """
    return "counts" in Ledger(open_storage(url, options)).existing_job()


def is_current(url: str, folder: Path, options: Mapping[str, Any] = NO_OPTIONS) -> bool:
    """Whether a folder holds a report of the last publication of an output, made by this melmill.

    Args:
        url: path or URL of the output.
        folder: the folder.
        options: options for the client of an object store.

    Raises:
        StorageError: if the output cannot be read.
    """
    publication = Ledger(open_storage(url, options)).publication()
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        (of,) = marker["outputs"]
        theirs = marker["melmill"], of["run_id"], of["manifest_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    published = {each.name: each.sha256 for each in publication.files} if publication is not None else {}
    return publication is not None and (installed()["melmill"], publication.run_id, published.get(MANIFEST)) == theirs
