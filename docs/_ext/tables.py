"""Reference tables from the code, as Markdown: job keys, commands, presets, exit codes, events. Needs no Sphinx."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer

import pipeline
from pipeline import errors, events
from pipeline.cli import app
from pipeline.cli.lazy import LazyCommand
from pipeline.config import keys
from pipeline.config.keys import JobKey, yaml_value


class MissingWordsError(ValueError):
    """A page does not describe something that the code has, or describes something that it has not."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def described(names: Sequence[str], words: Mapping[str, str], what: str) -> None:
    """Whether the page describes these names, each of them and no other.

    Raises:
        MissingWordsError: naming those that are missing or too many.
    """
    missing, strange = sorted(set(names) - set(words)), sorted(set(words) - set(names))
    if missing or strange:
        raise MissingWordsError(f"{what}: not described: {missing or 'none'}; not in the code: {strange or 'none'}")


# ---- the job file


def job_keys() -> dict[str, dict[str, JobKey]]:
    """Section -> key -> what the code says of it; the keys of `cluster.security` are a section of their own."""
    sections: dict[str, dict[str, JobKey]] = {}
    for key in keys.job_keys():
        sections.setdefault(key.section, {})[key.name] = key
    return sections


def job_key_table(section: str, words: Mapping[str, str]) -> str:
    """A section of the job file: key, values, default from the code; the meaning from the page."""
    found = job_keys()[section]
    described(list(found), words, f"the section {section} of the job file")
    rows = [[f"`{name}`", _allowed(key), _default(key), words[name]] for name, key in found.items()]
    return table(("key", "values", "default", "meaning"), rows)


def _allowed(key: JobKey) -> str:
    return ", ".join([*(f"`{choice}`" for choice in key.choices), *key.sorts])


def _default(key: JobKey) -> str:
    return "needed" if key.default is None else f"`{key.default}`"


# ---- the commands


def commands() -> dict[str, Any]:
    """`run`, `vocoder list`, ... -> the command, in the order of the help."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found.update({name: command} if inner is None else {f"{name} {each}": inner[each] for each in inner})
    return {
        name: command.imported() if isinstance(command, LazyCommand) else command for name, command in found.items()
    }


def options(command: Any) -> Iterator[tuple[str, str, str]]:
    """Arguments and options of a command: how it is written, its default, what it means."""
    for param in command.params:
        given = param.opts[0].startswith("-")
        values = _values(param)
        written = ", ".join(param.opts) + (f" {values}" if values else "") if given else param.metavar or param.name
        default = param.default.value if isinstance(param.default, enum.Enum) else param.default
        shown = "needed" if param.required else "" if default in (None, False) or callable(default) else f"`{default}`"
        yield written, shown, param.help or ""


def command_text(name: str) -> str:
    """The help of a command as Markdown: what it does, an example, then its arguments and options."""
    command = commands()[name]
    rows = [[f"`{written}`", default, meaning] for written, default, meaning in options(command)]
    lines = "\n".join(command.examples)
    example = f"```sh\n{lines}\n```\n\n" if lines else ""
    arguments = table(("argument or option", "default", "meaning"), rows) if rows else ""
    return f"{command.description}\n\n{example}{arguments}"


def _values(param: Any) -> str:
    """What an option takes; nothing for a switch."""
    if getattr(param, "is_flag", False):
        return ""
    if param.metavar:
        return str(param.metavar)
    kind = param.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(each.value) for each in kind)
    if choices := typing.get_args(kind):
        return "|".join(map(str, choices))
    return {int: "NUMBER", float: "NUMBER"}.get(kind, "TEXT")


# ---- presets


def preset_table(words: Mapping[str, str]) -> str:
    """The presets: what they are the mels of, from the page; their numbers, from the code."""
    described(list(pipeline.PRESETS), words, "mel presets")
    rows = []
    for name, spec in pipeline.PRESETS.items():
        sizes = "/".join(str(size) for size in (spec.sample_rate, spec.n_fft, spec.hop_length, spec.win_length))
        bands = f"{spec.n_mels}, {spec.fmin:g} to {spec.fmax:g} Hz"
        scale = f"{spec.mel_scale}, {spec.mel_norm}"
        rows.append([f"`{name}`", words[name], sizes, spec.framing, bands, scale, f"{spec.log}, {spec.floor:g}"])
    head = ("preset", "mels of", "rate/n_fft/hop/win", "framing", "bands", "scale, norm", "log, floor")
    return table(head, rows)


def spec_fields() -> list[str]:
    """The fields of a mel contract."""
    return [each.name for each in dataclasses.fields(pipeline.MelSpec)]


def spec_field_table(words: Mapping[str, str]) -> str:
    """The fields of a mel contract: default from the code, meaning from the page."""
    described(spec_fields(), words, "fields of a mel contract")
    rows = []
    for each in dataclasses.fields(pipeline.MelSpec):
        default = "needed" if each.default is dataclasses.MISSING else f"`{yaml_value(each.default)}`"
        rows.append([f"`{each.name}`", default, words[each.name]])
    return table(("field", "default", "meaning"), rows)


# ---- errors and events


def error_classes(of: type[errors.MelmillError] = errors.MelmillError) -> list[type[errors.MelmillError]]:
    """An error and all kinds of it."""
    return [of, *(each for kind in of.__subclasses__() for each in error_classes(kind))]


def error_table() -> str:
    """Every error that melmill raises on purpose, by exit code."""
    rows = [
        [f"`{each.__name__}`", f"`{each.__mro__[1].__name__}`", str(each.exit_code), inspect.getdoc(each) or ""]
        for each in error_classes()
    ]
    return table(("error", "is a", "exit code", "meaning"), sorted(rows, key=lambda row: int(row[2])))


def event_classes() -> dict[str, type[events.Event]]:
    """The events of a run by name."""
    kinds = inspect.getmembers(events, lambda each: inspect.isclass(each) and issubclass(each, events.Event))
    return {name: kind for name, kind in kinds if kind is not events.Event}


def event_table() -> str:
    """The events: name, meaning, fields."""
    rows = [
        [f"`{name}`", (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "), _fields(kind)]
        for name, kind in event_classes().items()
    ]
    return table(("event", "meaning", "fields"), rows)


def _fields(kind: type[Any]) -> str:
    return ", ".join(f"`{each.name}`" for each in dataclasses.fields(kind))


# ---- what pages write


DIRECTIVES: Mapping[str, Callable[..., str]] = {
    "job-keys": job_key_table,
    "command": command_text,
    "presets": preset_table,
    "mel-fields": spec_field_table,
    "errors": error_table,
    "events": event_table,
}
"""Name of a directive -> what makes its Markdown, of its argument and its words."""


def words_of(content: str) -> dict[str, str]:
    """Name -> words, of lines `name: words`; a line that is indented goes on with the one before.

    >>> words_of("store: Path\\n  or URL.\\nlayout: How.")
    {'store': 'Path or URL.', 'layout': 'How.'}
    """
    joined = content.replace("\n  ", " ").splitlines()
    return {name.strip(): words.strip() for name, _, words in (line.partition(":") for line in joined if line.strip())}


def directive(name: str, argument: str, content: str) -> str:
    """The Markdown of a directive.

    Raises:
        MissingWordsError: if its words are not those of the names that the code has.
    """
    arguments = [argument] if argument else []
    return DIRECTIVES[name](*arguments, **({"words": words_of(content)} if content.strip() else {}))
