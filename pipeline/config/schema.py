"""The JSON Schema of a job file, for editors and validators, with what docstrings say of each key."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from typing import Any

from pipeline.config.cluster import KINDS, SecurityConfig
from pipeline.config.job import JobConfig
from pipeline.config.sections import InputConfig, OutputConfig, QualityConfig, Section, VocoderConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECTIONS: tuple[type[Section], ...] = (
    JobConfig, InputConfig, VocoderConfig, OutputConfig, QualityConfig, SecurityConfig, *KINDS.values()
)  # fmt: skip


def job_schema() -> dict[str, Any]:
    """The JSON Schema of a whole job, as plain values. It accepts what a job file may hold.

    A job file that leaves `input.store` or `output.url` to the flags is not whole, and this schema says so.

    >>> job_schema()["properties"]["input"]
    {'$ref': '#/$defs/InputConfig', 'description': 'Where the mels are and what they mean.'}
    """
    schema = JobConfig.model_json_schema()
    for section in _SECTIONS:
        described = schema if section is JobConfig else schema["$defs"].get(section.__name__)
        if described is None:
            continue
        described["description"] = _words(inspect.getdoc(section) or "")
        for name, text in key_words(section).items():
            if name in described["properties"]:
                described["properties"][name]["description"] = text
    for kind, section in KINDS.items():
        if kind != "local":  # without a kind, a cluster is a local one: no other may fit then
            required = schema["$defs"][section.__name__].setdefault("required", [])
            required.insert(0, "kind")
    for each in schema["properties"].values():
        if "$ref" in each:
            each["description"] = schema["$defs"][each["$ref"].rpartition("/")[2]]["description"]
    schema["description"] = "A job of melmill."
    return {"$schema": DIALECT, "title": "melmill job", **{key: schema[key] for key in schema if key != "title"}}


def key_words(section: type[Section]) -> dict[str, str]:
    """What the docstrings of a section say of its keys: key -> text without line breaks."""
    words: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if issubclass(each, Section) and each is not Section:
            words |= _own_words(each.__module__, each.__name__)
    return {name: text for name, text in words.items() if name in section.model_fields}


@functools.cache
def _own_words(module: str, name: str) -> dict[str, str]:
    """The docstring below each field of a class; pydantic would parse the source of every class at each start."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    body = next(each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)
    found = {}
    for field, below in itertools.pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[key] = _words(text)
    return found


def _words(docstring: str) -> str:
    return " ".join(docstring.split())
