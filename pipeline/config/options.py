"""Options for fsspec's clients: as they stand in a job file, without secrets, and as a client receives them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.redaction import conceal, may_be_secret, public_url

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_HARMLESS = re.compile(r"anon|browser|cache|cloud|google_default|.*\.json")
"""Values of `token` that tell Google's client where to find a token, and are not tokens themselves."""


def check_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same options, if they hold no secret.

    Raises:
        ValueError: with the names of the options that must be taken from the environment.
    """
    spelt = sorted({_shown(names) for names, value in _leaves(options) if _holds_secret(names, value)})
    if spelt:
        names = ", ".join(spelt)
        raise ValueError(
            f"{names} may be secret, and a job is written down: give the name of an environment variable, such as "
            f"{spelt[0]}: $MY_VARIABLE, or leave the option out: the client finds credentials where its own tools do"
        )
    return options


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the values of environment variables in place of `$NAME`. Do not keep, show or send them.

    Values that may be secret are concealed from now on, in whatever message a client repeats them.

    Raises:
        ConfigError: if a variable is not set.
    """
    return {name: _resolved((name,), value) for name, value in options.items()}


def _resolved(names: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _resolved((*names, str(name)), each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved((*names, *above), each) for above, each in _listed(value)]
    if not isinstance(value, str) or not (match := _VARIABLE.fullmatch(value)):
        return value
    if match[1] not in os.environ:
        raise ConfigError(
            f"the option {_shown(names)} is {value}, but this environment variable is not set here. Set it"
        )
    if any(map(may_be_secret, names)):
        conceal(os.environ[match[1]])
    return os.environ[match[1]]


def _leaves(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, (*above, str(name)))
    elif isinstance(value, (list, tuple)):
        for names, each in _listed(value):
            yield from _leaves(each, (*above, *names))
    else:
        yield above, value


def _listed(values: Sequence[Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The items of a list. In a pair, the first may name the second: headers can be written as pairs."""
    pair = len(values) == 2 and isinstance(values[0], str)
    for index, each in enumerate(values):
        yield ((values[0],) if pair and index else ()), each


def _shown(names: Sequence[str]) -> str:
    """The name of an option, with dots. Names below one that may be secret are not shown: they may be the secret."""
    first = next((index for index, name in enumerate(names) if may_be_secret(name)), len(names))
    return ".".join(names[: first + 1])


def _holds_secret(names: Sequence[str], value: Any) -> bool:
    if value is None or isinstance(value, bool) or (isinstance(value, str) and _VARIABLE.fullmatch(value)):
        return False
    if isinstance(value, str) and public_url(value) != value:
        return True  # a password in a URL, such as a proxy's
    harmless = names[-1] == "token" and isinstance(value, str) and _HARMLESS.fullmatch(value)
    return any(map(may_be_secret, names)) and not harmless
