"""Every key of a job: what it may be, its default, what it means. Made of the JSON Schema of the sections."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config.cluster import KINDS, kinds_with
from pipeline.config.schema import job_schema

_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)(?:[A-Za-z0-9_./@+-]|:(?=/))*")
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_KINDS_OF_VALUES = {"string": "text", "object": "mapping", "array": "list"}


@dataclass(frozen=True)
class JobKey:
    """A key of a job.

    Args:
        section: name of its section: `output`, or `cluster.security`.
        name: name of the key in that section.
        choices: the values that it may have, as YAML.
        sorts: descriptions of other values that it may have: "number above 0".
        default: its value if a job does not give it, as YAML; None if a job must give it.
        kinds: the kinds of cluster that have it; empty if it does not depend on them.
        words: what it means.
    """

    section: str
    name: str
    choices: tuple[str, ...]
    sorts: tuple[str, ...]
    default: str | None
    kinds: tuple[str, ...]
    words: str

    @property
    def path(self) -> str:
        """The key as `--set` takes it."""
        return f"{self.section}.{self.name}"

    @property
    def meaning(self) -> str:
        """The first sentence of its words."""
        return re.split(r"(?<=[.])\s+(?=[A-Z`])", self.words, maxsplit=1)[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {"choices": list(self.choices), "values": list(self.sorts), "default": self.default}
        return {"key": self.path, **values, "kinds": list(self.kinds), "meaning": self.words}


@functools.cache
def job_keys() -> tuple[JobKey, ...]:
    """Every key of a job, in the order of a job file; those of a section in a section come last in it."""
    schema = job_schema()
    found: list[JobKey] = []
    for section, described in schema["properties"].items():
        keys = _properties(described, schema)
        found += [_job_key(section, name, each, schema) for name, each in keys.items()]
        for name, each in keys.items():
            for inner, deeper in _properties(each[0][1], schema).items():
                found.append(_job_key(f"{section}.{name}", inner, deeper, schema))
    return tuple(found)


Described = list[tuple[str, dict[str, Any], bool]]
"""For each object that a section may be: its kind of cluster or "", the schema of a key, and whether it is needed."""


def _properties(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Described]:
    """The keys of an object, or of all the objects that it may be."""
    found: dict[str, Described] = {}
    for each in _alternatives(schema, root):
        properties = each.get("properties", {})
        kind = str(properties.get("kind", {}).get("const", ""))
        for name, described in properties.items():
            found.setdefault(name, []).append((kind, described, name in each.get("required", ())))
    return found


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if not (several := schema.get("anyOf", schema.get("oneOf"))):
        yield schema
    for each in several or ():
        yield from _alternatives(each, root)


def _job_key(section: str, name: str, described: Described, root: Mapping[str, Any]) -> JobKey:
    kinds = kinds_with(name) if section == "cluster" else []
    choices: list[str] = []
    sorts: list[str] = []
    for _, schema, _ in described:
        for each in _alternatives(schema, root):
            _add_values(each, choices, sorts)
    needed = all(needed for _, _, needed in described)
    if section == "cluster" and name == "kind":
        return JobKey(section, name, tuple(KINDS), (), "local", (), described[0][1].get("description", ""))
    default = None if needed else yaml_value(next(each.get("default") for _, each, must in described if not must))
    if section == "cluster.security":
        kinds = kinds_with("security")
    all_kinds = len(kinds) in (0, len(KINDS))
    words = next((each["description"] for _, each, _ in described if "description" in each), "")
    return JobKey(
        section, name, tuple(dict.fromkeys(choices)), tuple(dict.fromkeys(sorts)), default,
        () if all_kinds else tuple(kinds), words,
    )  # fmt: skip


def _add_values(schema: Mapping[str, Any], choices: list[str], sorts: list[str]) -> None:
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        choices += [yaml_value(value) for value in schema.get("enum", [schema.get("const")])]
    elif kind == "boolean":
        choices += ["true", "false"]
    elif kind in ("integer", "number"):
        sorts.append(_number("whole number" if kind == "integer" else "number", schema))
    elif kind in _KINDS_OF_VALUES:
        sorts.append(_KINDS_OF_VALUES[kind])


def _number(kind: str, schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{kind}, {low:g} to {high:g}"
    if low is not None:
        return f"{kind}, {low:g} or more"
    return f"{kind} above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else kind


def yaml_value(value: Any) -> str:
    """A value as a job file has it. A text that YAML might take for something else is quoted.

    >>> yaml_value(["jsonl"]), yaml_value(None), yaml_value(True), yaml_value(600.0), yaml_value({})
    ('[jsonl]', 'null', 'true', '600', '{}')
    >>> yaml_value("s3://bucket/mels.zarr"), yaml_value("10:00"), yaml_value("no")
    ('s3://bucket/mels.zarr', '"10:00"', '"no"')
    """
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_value, value))}]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS_OF_YAML
        return value if plain else f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{yaml_value(key)}: {yaml_value(each)}' for key, each in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(character: str) -> str:
    """A character between double quotes of YAML."""
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
