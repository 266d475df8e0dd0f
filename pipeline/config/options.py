"""Options for fsspec's clients: as a job file has them, where no secret may stand, and as a client is given them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import ConfigError

_SECRET = re.compile(r"secret|token|passw|credential|authoriz|signature|connection_string|(^|_)(key|sas)($|_)", re.I)
"""Names of options whose values may be secrets, of S3, Google and Azure."""
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_HARMLESS = re.compile(r"anon|browser|cache|cloud|google_default|.*\.json")
"""What Google's client takes as `token` besides a token: where to find one."""


def check_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options, if no secret stands in them.

    Raises:
        ValueError: with the names of those that should be taken from the environment.
    """
    spelt = sorted(name for name, value in _leaves(options) if _may_be_secret(name, value))
    if spelt:
        names = ", ".join(spelt)
        raise ValueError(
            f"{names} may be secret, and a job is written down: write the name of an environment variable, as "
            f"{spelt[0]}: $MY_VARIABLE, or leave it to the client, which finds credentials where its own tools do"
        )
    return options


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the values of environment variables in place of `$NAME`. Not to be kept, shown or sent.

    Raises:
        ConfigError: if a variable is not set.
    """
    return {name: _resolved(name, value) for name, value in options.items()}


def _resolved(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return resolved(value)
    if not isinstance(value, str) or not (match := _VARIABLE.fullmatch(value)):
        return value
    if match[1] not in os.environ:
        raise ConfigError(f"the option {name} is to be {value}, and there is no such environment variable here. Set it")
    return os.environ[match[1]]


def _leaves(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _may_be_secret(name: str, value: Any) -> bool:
    own = name.rpartition(".")[2]
    return (
        bool(_SECRET.search(own))
        and isinstance(value, str)
        and not _VARIABLE.fullmatch(value)
        and not (own == "token" and _HARMLESS.fullmatch(value))
    )
