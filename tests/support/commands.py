"""Every command of melmill, and every group of commands, with its help."""

from __future__ import annotations

from typing import Any

import typer

from pipeline.cli import app
from pipeline.cli.lazy import LazyCommand


def all_commands() -> dict[str, Any]:
    """`run`, `vocoder list`, ... -> the command; `` and `vocoder` -> the group."""
    return dict(_below("", typer.main.get_command(app)))


def _below(name: str, command: Any) -> list[tuple[str, Any]]:
    found = [(name, command.imported() if isinstance(command, LazyCommand) else command)]
    for inner, each in getattr(command, "commands", {}).items():
        found += _below(f"{name} {inner}".strip(), each)
    return found
