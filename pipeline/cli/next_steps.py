"""The last lines of a run: what to do with its output now."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.config import OutputConfig


def _load(output: OutputConfig) -> str:
    options = f", {dict(output.options)!r}" if output.options else ""
    return f"import pipeline; dataset = pipeline.read({_python(output.url)}{options})"


def _verify(output: OutputConfig) -> str:
    return f"melmill verify {shlex.quote(output.url)}{_access(output.options)}"


def _report(output: OutputConfig) -> str:
    return f"melmill report {shlex.quote(output.url)}{_access(output.options)}"


LOOK = "look at it"
STEPS: Mapping[str, Callable[[OutputConfig], str]] = {"load it": _load, "check it": _verify, LOOK: _report}
"""What for -> makes the line of Python, or the command, that does it."""
_WIDTH = max(map(len, STEPS)) + len("to :")


def next_steps(output: OutputConfig, but: str = "") -> Sequence[str]:
    """Lines that say how to load an output, and how to look at it. Each can be copied and run as it is.

    Args:
        output: the section of the job, without secrets.
        but: step that is left out, since its command has a line of its own for it.

    >>> print(*next_steps(OutputConfig(url="audio")), sep="\\n")
    to load it:    import pipeline; dataset = pipeline.read("audio")
    to check it:   melmill verify audio
    to look at it: melmill report audio
    """
    return [step_line(purpose, made(output)) for purpose, made in STEPS.items() if purpose != but]


def step_line(purpose: str, what: str) -> str:
    """The line of one step.

    Args:
        purpose: what it is for.
        what: what to do.
    """
    return f"{f'to {purpose}:':{_WIDTH}} {what}"


def _python(text: str) -> str:
    return json.dumps(text) if text.isascii() else repr(text)


def _access(options: Mapping[str, Any]) -> str:
    """The options of an object store's client, as flags."""
    settings = (f"output.options.{name}={json.dumps(value)}" for name, value in options.items())
    return "".join(f" --set {shlex.quote(setting)}" for setting in settings)
