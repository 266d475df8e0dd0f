"""What a verification finds, as values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.events import Event

FindingKind = Literal["missing", "corrupt", "unexpected"]

EXIT_CODES: dict[FindingKind, int] = {"corrupt": 11, "missing": 10, "unexpected": 12}
"""The exit code of each kind, the gravest first: an output with several kinds gets the first."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        kind: missing (an object that should be there is not), corrupt (an object is there and not as it was written:
            bytes or lines were changed, lost or added) or unexpected (an object that nothing tells of).
        name: of the object, or of the utterance in it.
        what: is wrong, in words, and what to do.
        shard: name of the commit whose audio it concerns; None if it concerns what is written about it.
    """

    kind: FindingKind
    name: str
    what: str
    shard: str | None = None


@dataclass(frozen=True)
class ShardVerified(Event):
    """A shard was read again.

    Args:
        name: of its commit.
        utterances: in it.
        seconds: of audio in it.
        findings: in it.
    """

    name: str
    utterances: int
    seconds: float
    findings: int


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Args:
        utterances: rows in the manifest that were read again.
        failed: rows in failures.jsonl.
        seconds: of audio decoded.
        findings: all that is wrong; empty if the output is whole.
    """

    utterances: int
    failed: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 whole, 10 something is missing, 11 corrupt, 12 there is something unexpected; the gravest counts."""
        kinds = {finding.kind for finding in self.findings}
        return next((code for kind, code in EXIT_CODES.items() if kind in kinds), 0)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**dataclasses.asdict(self), "exit_code": self.exit_code}
