"""Has a format write the rows of an export, and refuses those that it cannot say, all at once and by their keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConfigError
from pipeline.output.records import Row
from pipeline.views.export_format import ExportFormat, Making
from pipeline.views.rows import ExportRow, chosen_rows
from pipeline.views.where import Where
from pipeline.wording import counted

_KEYS_SHOWN = 5


def write_rows(form: ExportFormat, making: Making) -> dict[str, Any]:
    """Have a format write all rows that were asked for.

    Returns:
        The counts for the receipt: utterances, of how many in the manifest, seconds, and the same of each split.

    Raises:
        ConfigError: if the format cannot say some rows, or no row was asked for.
    """
    splits = {name: {"utterances": 0, "seconds": 0.0} for name in making.options.splits}
    refusals = _Refusals(making.options.to)
    manifest = _Counted(making.source.rows())
    for row in _chosen(manifest, making):
        if (why := form.problem(row)) is not None:
            refusals.add(row.key, why)
        elif not refusals.reasons:  # what is written after the first refusal would be thrown away
            form.add(row)
            splits[row.split]["utterances"] += 1
            splits[row.split]["seconds"] += row.row.duration
    refusals.check()
    utterances = sum(int(each["utterances"]) for each in splits.values())
    if not utterances:
        why = "nothing was made yet, or all of it failed"
        if manifest.count:
            why = f"--where {making.options.where} is true for none of them"
        raise ConfigError(f"nothing to export of {counted(manifest.count, 'utterance')} in {making.source.url}: {why}")
    form.finish()
    empty = [name for name, found in splits.items() if not found["utterances"]]
    making.notes.extend(f"no utterance is in the split {name}" for name in empty)
    seconds = sum(each["seconds"] for each in splits.values())
    return {"utterances": utterances, "of": manifest.count, "seconds": seconds, "splits": splits}


def _chosen(rows: Iterable[Row], making: Making) -> Iterator[ExportRow]:
    types, options = making.fields.types, making.options
    if options.where:
        rows = Where(options.where, types).chosen(rows)
    return chosen_rows(rows, types, options)


class _Counted:
    """Rows, and how many were taken."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


@dataclass
class _Reason:
    """Utterances that a format cannot say for one reason: their number, and the first keys."""

    count: int = 0
    keys: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = f" and {self.count - len(self.keys):,} more" if self.count > len(self.keys) else ""
        return ", ".join(map(repr, self.keys)) + more


class _Refusals:
    def __init__(self, to: str) -> None:
        self._to = to
        self.reasons: dict[str, _Reason] = {}

    def add(self, key: str, why: str) -> None:
        reason = self.reasons.setdefault(why, _Reason())
        reason.count += 1
        if len(reason.keys) < _KEYS_SHOWN:
            reason.keys.append(key)

    def check(self) -> None:
        """Raises ConfigError if there are any."""
        if not self.reasons:
            return
        count = sum(each.count for each in self.reasons.values())
        told = "; ".join(f"{reason}: {why}" for why, reason in self.reasons.items())
        raise ConfigError(f"--to {self._to} cannot say {counted(count, 'utterance')}, so nothing was exported. {told}")
