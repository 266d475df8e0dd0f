"""The card of a data set, README.md, as Hugging Face reads it: its splits and features before a text for people.

A card that is there already keeps its text, and all of its settings except those that say what the export holds. What
melmill says to people stands between two marks, and is replaced there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.errors import ConfigError
from pipeline.planning.fields import FieldType

CARD = "README.md"
_SETTINGS = re.compile(r"\A---\r?\n(.*?)^---\r?\n", re.DOTALL | re.MULTILINE)
_BEGIN, _END = "<!-- written by melmill export -->", "<!-- end of what melmill export has written -->"
_TOLD = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)

Features = list[dict[str, Any]]
NO_AUDIO: Mapping[str, int] = {}


def card(before: str, data_files: Mapping[str, str | Sequence[str]], features: Features, told: str) -> str:
    """The text of a card.

    Args:
        before: the card that is there now; empty if there is none.
        data_files: name of each split -> its files, relative to the card, or a pattern of them.
        features: the columns; see `features_of`.
        told: text for people about what is there.

    Raises:
        ConfigError: if the settings of the card that is there cannot be read.
    """
    match = _SETTINGS.match(before)
    settings = _read(match[1] if match else "")
    paths = {split: path if isinstance(path, str) else list(path) for split, path in data_files.items()}
    files = [{"split": split, "path": path} for split, path in paths.items()]
    settings["configs"] = _quoted([{"config_name": "default", "data_files": files}])
    settings["dataset_info"] = _quoted({"features": features})
    text = before[match.end() :] if match else before
    block = f"{_BEGIN}\n{told}\n{_END}"
    text = _TOLD.sub(lambda _: block, text, count=1) if _TOLD.search(text) else f"{text.rstrip()}\n\n{block}\n".lstrip()
    return f"---\n{_written(settings)}---\n\n{text.lstrip()}"


def features_of(types: Mapping[str, FieldType | Features], audio: Mapping[str, int] = NO_AUDIO) -> Features:
    """The columns as the settings of a card have them (datasets 5.2.0, features.py, `_from_yaml_list`).

    Args:
        types: name of each column -> its type, or the features of a struct.
        audio: name of each column of audio, which comes first -> its sample rate [Hz]; 0 if there are several.
    """
    heads = [
        {"name": name, "dtype": {"audio": {"sampling_rate": rate}} if rate else "audio"} for name, rate in audio.items()
    ]
    return heads + [{"name": name, **_feature(known)} for name, known in types.items()]


def _feature(known: Any) -> dict[str, Any]:
    match known:
        case list():
            return {"struct": known}
        case {"object": inner}:
            return {"struct": features_of(inner)}
        case {"list": {"object": inner}}:
            return {"list": features_of(inner)}
        case {"list": inner}:
            plain = _feature(inner)
            return {"sequence": plain.get("dtype", plain)}
        case _:
            return {"dtype": {"integer": "int64", "number": "float64", "boolean": "bool"}.get(known, "string")}


def _quoted(value: Any) -> Any:
    """Settings with every text in quotation marks: readers take a bare `yes` or `2026-01-01` for something else."""
    match value:
        case dict():
            return {name: _quoted(each) for name, each in value.items()}
        case list():
            return [_quoted(each) for each in value]
        case str():
            return DoubleQuotedScalarString(value)
        case _:
            return value


def _read(settings: str) -> Any:
    try:
        found = YAML().load(settings) if settings.strip() else {}
    except YAMLError as error:
        raise ConfigError(
            f"the settings at the top of {CARD} are not valid YAML: {error}. Correct or delete them"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"the settings at the top of {CARD} are no mapping. Correct or delete them")
    return found


def _written(settings: Any) -> str:
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.width = 4096
    text = io.StringIO()
    yaml.dump(settings, text)
    return text.getvalue()
