"""Commands that are imported when they are called, so that `--help` and every other command start without them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pipeline.interrupts import interrupts_after_import


class LazyCommand(TyperCommand):
    """A command that is not imported yet.

    Args:
        name: name of the command.
        place: module and function of the command, `module:function`.
        line: text for the list of commands: the first line of the function's docstring.
    """

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, short_help=line)
        self.place = place

    def imported(self) -> Any:
        """The command itself, with its options; imported now."""
        module, _, function = self.place.partition(":")
        with interrupts_after_import():
            command = getattr(importlib.import_module(module), function)
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(self.name)(command)
        return get_command(app)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """The beginning of a call: from here on, the imported command is in charge."""
        return self.imported().make_context(*arguments, **more)


class LazyGroup(TyperGroup):
    """A group with commands that are not imported yet. They stand before its other commands."""

    lazy: ClassVar[tuple[LazyCommand, ...]] = ()

    def __init__(self, *, commands: Mapping[str, Any], **more: Any) -> None:
        super().__init__(commands={**{str(each.name): each for each in self.lazy}, **commands}, **more)
