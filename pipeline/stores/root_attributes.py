"""What the attributes of a store's root state: the layout, its version and the mel contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError, StoreError
from pipeline.melspec import MelSpec, mel_spec

RAGGED_VERSION = 1
"""Version of the ragged layout that is written and read."""


def ragged_attributes(spec: MelSpec) -> dict[str, Any]:
    """The attributes of a ragged store's root."""
    return {"melmill": {"layout": "ragged", "version": RAGGED_VERSION, "mel": spec.to_dict()}}


def stated(attributes: Mapping[str, Any], name: str) -> Any:
    """The value of `name` in the attribute "melmill", whatever it is; None if it is not there."""
    ours = attributes.get("melmill")
    return ours.get(name) if isinstance(ours, Mapping) else None


def stated_spec(attributes: Mapping[str, Any], url: str) -> MelSpec | None:
    """The mel contract: `{"melmill": {"mel": {...}}}`, or `{"mel": a preset's name}`; None if there is neither.

    Args:
        attributes: attributes of the store's root.
        url: URL of the store, for messages.

    Raises:
        StoreError: if a contract is stated that is not valid.
    """
    given = stated(attributes, "mel") if isinstance(attributes.get("melmill"), Mapping) else attributes.get("mel")
    try:
        return mel_spec(given) if isinstance(given, str | Mapping) else None
    except (ConfigError, TypeError, ValueError) as exc:
        raise StoreError(f"The mel contract in the attributes of {url} is not valid: {exc}") from exc
