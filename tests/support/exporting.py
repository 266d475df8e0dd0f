"""Exports, made in one line."""

from pathlib import Path
from typing import Any

from pipeline.views.options import ExportOptions
from pipeline.views.run import export


def exported(out: Path, target: Path, to: str, **options: Any) -> Path:
    """The folder of an export of an output, just made."""
    assert export(str(out), str(target), ExportOptions(to, **options)).made
    return target
