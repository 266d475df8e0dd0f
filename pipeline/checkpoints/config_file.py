"""Config files beside checkpoints: JSON, also with Coqui's comments, and YAML, also with SpeechBrain's tags."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError, YAMLWarning
from ruamel.yaml.nodes import MappingNode, SequenceNode

from pipeline.errors import ConfigError

CONFIG_NAMES = ("config.json", "config.yml", "config.yaml", "hyperparams.yaml")
"""Names that a config file may have beside its checkpoint; the first that is there is read."""
_MOST_BYTES = 1 << 20
# A string, or a comment: `//` to the end of the line. Coqui's own reader takes these out (TTS/config/__init__.py).
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*')


@dataclass(frozen=True)
class Tagged:
    """A scalar with a tag that is not standard, such as SpeechBrain's `!ref <n_fft>`. Its text is never evaluated.

    Args:
        tag: the tag, with its exclamation mark.
        text: the text after the tag.
    """

    tag: str
    text: str


def read_config(path: Path) -> dict[str, Any]:
    """The mapping that a config file holds.

    Args:
        path: the file, JSON if its name ends in .json, else YAML.

    Returns:
        Plain values. A YAML tag that is not standard is dropped from mappings and lists, and makes a `Tagged` of a
        scalar. Nothing is imported or called.

    Raises:
        ConfigError: if the file cannot be read, is too large or damaged, or does not hold a mapping.
    """
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise ConfigError(f"{path}: has {size} bytes; a config may have up to {_MOST_BYTES}")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_config(text, str(path), path.name.endswith(".json"))


def parse_config(text: str, where: str, is_json: bool = False) -> dict[str, Any]:
    """The mapping in the text of a config file; see `read_config`.

    Args:
        text: the text of the file.
        where: the file's name, for messages.
        is_json: whether the text is JSON; else it is YAML.
    """
    try:
        found = _parse_json(text) if is_json else _parse_yaml(text)
    except (ValueError, YAMLError, RecursionError) as error:
        kind = "JSON" if is_json else "YAML"
        raise ConfigError(f"{where}: cannot be read as {kind}: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: does not hold a {'JSON object' if is_json else 'mapping'}")
    return found


class _Plain(SafeConstructor):
    """Plain values, where a tag that YAML does not know is no error."""

    def unknown(self, suffix: str, node: Any) -> Any:
        """The value of a node with such a tag; nothing is imported or called."""
        if isinstance(node, MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, SequenceNode):
            return self.construct_sequence(node, deep=True)
        return Tagged(str(node.tag), str(node.value))


_Plain.add_multi_constructor("!", _Plain.unknown)
_Plain.add_multi_constructor("tag:yaml.org,2002:python/", _Plain.unknown)


def _parse_json(text: str) -> Any:
    return json.loads(_COMMENT.sub(lambda match: match.group(1) or "", text))


def _parse_yaml(text: str) -> Any:
    """The value of a text in YAML 1.1, which the libraries that write these files use: there `no` is false."""
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _Plain
    reader.version = (1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", YAMLWarning
        )  # of `1e-5`, for example, which YAML 1.1 does not take for a number
        return reader.load(text)
