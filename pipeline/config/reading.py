"""Reads a job: a YAML file, overridden by flags, and those by settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError


def load_job(
    origin: Path | Mapping[str, Any] | None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    settings: Sequence[str] = (),
) -> JobConfig:
    """A job from a YAML file, from flags and from settings. Flags override the file; settings override both.

    Args:
        origin: the job file, the values of an earlier job, or None if the flags say everything.
        overrides: values of the flags: dotted key -> value.
        settings: strings `a.b=c`; the value is read as YAML.

    Raises:
        ConfigError: if the file cannot be read, holds no mapping, or if any key or value is wrong.
    """
    values = read_yaml(origin, "job file") if isinstance(origin, Path) else deepcopy(dict(origin or {}))
    for key, value in overrides.items():
        _put(values, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: a setting must look like output.shard_seconds=60")
        _put(values, key, parse_yaml(text, f"--set {setting}"))
    if isinstance(values.get("input"), dict) and "mel" in values["input"]:
        values["input"]["mel"] = named_mel(values["input"]["mel"])
    for section, needed, flag in (("input", "store", "--store"), ("output", "url", "--out")):
        given = values.get(section, {})
        if isinstance(given, dict) and needed not in given and values.keys() <= JobConfig.model_fields.keys():
            raise ConfigError(f"the job names no {section}.{needed}; give it in a job file or with {flag}")
    return JobConfig.build(values, str(origin) if isinstance(origin, Path) else "the command line")


def named_mel(mel: Any) -> Any:
    """A mel contract as a user names it; if it is the path of a YAML file, what the file holds.

    Raises:
        ConfigError: if the file cannot be read or holds no mapping.
    """
    is_file = isinstance(mel, str) and mel.endswith((".yaml", ".yml"))
    return read_yaml(Path(mel), "mel contract") if is_file else mel


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Args:
        path: the file.
        what: name of this kind of file, for errors: "job file".

    Raises:
        ConfigError: if the file cannot be read or holds no mapping.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {what} {path}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the {what} {path} is not a text file in UTF-8") from error
    except OSError as error:
        raise ConfigError(f"the {what} {path} cannot be read: {error.strerror}") from error
    values = parse_yaml(text, str(path))
    if values is None:
        raise ConfigError(f"the {what} {path} is empty")
    if not isinstance(values, dict):
        raise ConfigError(f"the {what} {path} must be a mapping of keys to values, and is a {type(values).__name__}")
    return values


class _OneOfEachKey(SafeConstructor):
    """Plain values of YAML, where a key that stands twice is an error that shows neither of its values."""

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        """See SafeConstructor."""
        if key in mapping:
            raise DuplicateKeyError(problem=f"the key {key} stands twice", problem_mark=key_node.start_mark)
        return True


def parse_yaml(text: str, origin: str) -> Any:
    """The plain values of a YAML text, read safely.

    Args:
        text: the text.
        origin: what it is, for errors.

    Raises:
        ConfigError: if it is not valid, or a key stands twice.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _OneOfEachKey
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:  # its own message quotes the line, and with it, perhaps, a password
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise ConfigError(f"{origin} is not valid YAML: {error.problem or error.context}{where}") from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{origin} is not valid YAML: {error}") from error
    except LookupError as error:  # a tag that its value does not fit, as in `!!bool maybe`
        raise ConfigError(f"{origin} is not valid YAML: a value does not fit its tag ({error!r})") from error
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
