"""Commands that are imported when they are called, so that `--help` and every other command start without them.

The docstring of a command is its help. Its last section may be `Example:` with one command on each line; the help ends
with these, and a test runs them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pipeline.processes.collector import collect_from_now_on
from pipeline.processes.interrupts import interrupts_after_import

_EXAMPLE = "\n\nExample:\n"


class _WithExamples:
    """A command or a group of commands whose help ends with examples."""

    help: str | None

    @property
    def description(self) -> str:
        """What the command does, without the examples."""
        return inspect.cleandoc(self.help or "").partition(_EXAMPLE)[0]

    @property
    def examples(self) -> tuple[str, ...]:
        """The lines of the examples: commands that can be run one after the other."""
        lines = inspect.cleandoc(self.help or "").partition(_EXAMPLE)[2].splitlines()
        return tuple(line.strip() for line in lines)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self.description)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, each on a line of its own: so they can be copied."""
        if self.examples:
            with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(_WithExamples, TyperCommand):
    """A command whose docstring is its help."""


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
        collect_from_now_on()
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(self.name, cls=Command)(command)
        return get_command(app)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """The beginning of a call: from here on, the imported command is in charge."""
        return self.imported().make_context(*arguments, **more)


class LazyGroup(_WithExamples, TyperGroup):
    """A group with commands that are not imported yet. They stand before its other commands."""

    lazy: ClassVar[tuple[LazyCommand, ...]] = ()

    def __init__(self, *, commands: Mapping[str, Any], **more: Any) -> None:
        super().__init__(commands={**{str(each.name): each for each in self.lazy}, **commands}, **more)
