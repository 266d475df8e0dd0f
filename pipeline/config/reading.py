"""Reads a job: a YAML file, flags and settings over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError


def load_job(
    origin: Path | Mapping[str, Any] | None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    settings: Sequence[str] = (),
) -> JobConfig:
    """A job from a YAML file, the flags given beside it, and `a.b=c` settings, the later over the earlier.

    Args:
        origin: the job file, the values of an earlier job, or None where the flags say everything.
        overrides: dotted key -> value.
        settings: `a.b=c` strings; the value is read as YAML.

    Raises:
        ConfigError: if the file cannot be read, is no mapping, or any key or value is wrong.
    """
    values = read_yaml(origin, "job file") if isinstance(origin, Path) else deepcopy(dict(origin or {}))
    for key, value in overrides.items():
        _put(values, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: it must look like output.shard_seconds=60")
        _put(values, key, _parse_yaml(text, f"--set {setting}"))
    mel = values["input"].get("mel") if isinstance(values.get("input"), dict) else None
    if isinstance(mel, str) and mel.endswith((".yaml", ".yml")):
        values["input"]["mel"] = read_yaml(Path(mel), "mel spec")
    for section, needed, flag in (("input", "store", "--store"), ("output", "url", "--out")):
        if not isinstance(values.get(section), dict) or needed not in values[section]:
            raise ConfigError(f"the job names no {section}.{needed}; give it in a job file or with {flag}")
    return JobConfig.build(values, str(origin) if isinstance(origin, Path) else "the command line")


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; `what` names the file in errors.

    Raises:
        ConfigError: if it cannot be read or holds no mapping.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the {what} {path} cannot be read: {error}") from error
    values = _parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"the {what} {path} must be a mapping, not {type(values).__name__}")
    return values


class _OneOfEachKey(yaml.SafeLoader):
    """YAML where a key that stands twice is an error; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                what = f"the key {key.value} stands twice"
                raise yaml.constructor.ConstructorError(problem=what, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _OneOfEachKey)
    except yaml.MarkedYAMLError as error:  # whose own words quote the line, and with it, perhaps, a password
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise ConfigError(f"{origin} is not YAML: {error.problem or error.context}{where}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not YAML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{origin[:80]} is nested too deeply; a job has three levels") from None


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, last = dotted.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{dotted} cannot be set: {section} is {inner!r}, not a section")
        values = inner
    values[last] = value
