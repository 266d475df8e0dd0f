"""What a verification finds, as values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.events import Event
from pipeline.output.superseded import NOTHING, Superseded

FindingKind = Literal["missing", "corrupt", "unexpected"]

EXIT_CODES: dict[FindingKind, int] = {"corrupt": 11, "missing": 10, "unexpected": 12}
"""Exit code of each kind, the most serious kind first: an output with several kinds gets the first code."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Args:
        kind: missing (an object that should be there is not), corrupt (an object is not as it was written: bytes or
            lines were changed, lost or added) or unexpected (an object in `data` or `_melmill` that no record
            names).
        name: name of the object, or of the utterance in it.
        what: text that says what is wrong, and what to do.
        shard: name of the commit whose audio is damaged or missing; None if only lists or records are.
        superseded: whether the shard is superseded, so that no run makes it again.
    """

    kind: FindingKind
    name: str
    what: str
    shard: str | None = None
    superseded: bool = False


@dataclass(frozen=True)
class ShardVerified(Event):
    """A shard was read again.

    Args:
        name: name of the shard's commit.
        utterances: number of utterances in it.
        seconds: duration of the audio in it [s].
        findings: number of findings in it.
    """

    name: str
    utterances: int
    seconds: float
    findings: int


Checked = tuple[ShardVerified, list[Finding]]
"""What the check of one shard gives."""


@dataclass(frozen=True)
class Look:
    """How much a quick look read.

    Args:
        utterances: number of utterances whose audio was read and decoded.
        of: number of utterances in the output.
        shards: number of shards that they are in.
        of_shards: number of shards in the output.
    """

    utterances: int
    of: int
    shards: int
    of_shards: int


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Args:
        utterances: number of manifest rows that were checked.
        failed: number of rows in failures.jsonl.
        seconds: duration of the audio that was decoded [s].
        findings: all that is wrong; empty if the output is whole.
        others: names of files and folders of other people at the top of the output, which are left alone.
        superseded: shards that lie beside the current ones until `gc` deletes them.
        look: how much was read, if it was a quick look; None if everything was read.
    """

    utterances: int
    failed: int
    seconds: float
    findings: tuple[Finding, ...]
    others: tuple[str, ...] = ()
    superseded: Superseded = NOTHING
    look: Look | None = None

    @property
    def exit_code(self) -> int:
        """0 if the output is whole, else that of the most serious finding: 11 corrupt, 10 missing, 12 unexpected."""
        kinds = {finding.kind for finding in self.findings}
        return next((code for kind, code in EXIT_CODES.items() if kind in kinds), 0)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**dataclasses.asdict(self), "exit_code": self.exit_code}
