"""What a shell offers when Tab is pressed behind an option. Names are imported then: a shell waits for them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_WIDTH = 60
"""Number of characters that shells show of a meaning, beside the key."""


def vocoders(incomplete: str) -> Sequence[str]:
    """The names of vocoders. For anything else the shell offers files."""
    from pipeline.vocoders.registry import NAMES

    return NAMES


def presets(incomplete: str) -> Sequence[str]:
    """The names of mel presets. For anything else the shell offers files."""
    from pipeline.melspec import PRESETS

    return tuple(PRESETS)


def settings(incomplete: str) -> Sequence[tuple[str, str]]:
    """The keys of a job, `output.codec=`; and once the key is there, its values: `output.codec=flac`."""
    from pipeline.config.keys import job_keys

    key, equals, _ = incomplete.partition("=")
    if equals:
        return [(f"{key}={value}", "") for each in job_keys() if each.path == key for value in each.choices]
    return [(f"{each.path}=", textwrap.shorten(each.meaning, _WIDTH, placeholder=" ...")) for each in job_keys()]
