"""Options for fsspec's clients: as a job file has them, where no secret may stand, and as a client is given them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.redaction import conceal, may_be_secret, public_url

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_HARMLESS = re.compile(r"anon|browser|cache|cloud|google_default|.*\.json")
"""What Google's client takes as `token` besides a token: where to find one."""


def check_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, if no secret stands in them.

    Raises:
        ValueError: with the names of those that should be taken from the environment.
    """
    spelt = sorted({_shown(names) for names, value in _leaves(options) if _holds_secret(names, value)})
    if spelt:
        names = ", ".join(spelt)
        raise ValueError(
            f"{names} may be secret, and a job is written down: write the name of an environment variable, as "
            f"{spelt[0]}: $MY_VARIABLE, or leave it to the client, which finds credentials where its own tools do"
        )
    return options


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the values of environment variables in place of `$NAME`. Not to be kept, shown or sent.

    Values of those that may be secret are concealed from now on, in whatever words a client repeats them.

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
            f"the option {_shown(names)} is to be {value}, and there is no such environment variable here. Set it"
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
    """What is in a list, the second of two after the name that the first may be: headers can be written as pairs."""
    pair = len(values) == 2 and isinstance(values[0], str)
    for index, each in enumerate(values):
        yield ((values[0],) if pair and index else ()), each


def _shown(names: Sequence[str]) -> str:
    """An option's name in words. What is below one that may be secret is not shown: it may be the secret."""
    first = next((index for index, name in enumerate(names) if may_be_secret(name)), len(names))
    return ".".join(names[: first + 1])


def _holds_secret(names: Sequence[str], value: Any) -> bool:
    if value is None or isinstance(value, bool) or (isinstance(value, str) and _VARIABLE.fullmatch(value)):
        return False
    if isinstance(value, str) and public_url(value) != value:
        return True  # a password in a URL, such as a proxy's
    harmless = names[-1] == "token" and isinstance(value, str) and _HARMLESS.fullmatch(value)
    return any(map(may_be_secret, names)) and not harmless
