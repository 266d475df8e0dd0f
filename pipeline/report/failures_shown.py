"""What was quarantined, by reason, with the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.errors import ConfigError
from pipeline.output.layout import FAILURES
from pipeline.output.records import Failure
from pipeline.report.metadata_by_field import shortened
from pipeline.report.page_data.runs import FailureGroup, FailureShown
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput

_MOST_GROUPS = 50
_EXAMPLES = 5
_LONGEST = 500
_OTHERS = "other reasons"
_VARYING = re.compile(r"\b[0-9a-f]{16,}\b|[+-]?\d+(?:[.,:e-]\d+)*")
"""What differs from one utterance to the next: digests and numbers."""

_WAYS_OUT = {
    "MissingChunkError": "Restore the chunks of the store, or pack it again.",
    "CorruptChunkError": "Restore the store from a copy, or pack it again.",
    "BadMelError": "Compute these mels again, and pack them.",
    "VocoderError": "Listen to what `melmill vocoder check` makes, or choose another vocoder.",
    "WorkerLostError": "Read the logs of the workers, which may lack memory, or take these utterances out of the "
    "store.",
    "UtteranceError": "Take these utterances out of the store, or accept that they are quarantined.",
}
_WAY_OUT = "This may be a defect of melmill: please report it with the reason."


def failures_shown(output: PublishedOutput) -> tuple[FailureGroup, ...]:
    """The rows of failures.jsonl by reason, the most frequent first. Memory does not grow with their number.

    Raises:
        ConfigError: if a row is not valid.
        StorageError: if it cannot be read.
    """
    texts, groups = PrivateTexts.of(output), dict[tuple[str, str], _Group]()
    for failure in _failures(output):
        reason = shortened(texts.shown(failure.reason), _LONGEST)
        alike = _VARYING.sub("…", reason.replace(repr(failure.key), "…").replace(failure.key, "…"))
        key = failure.error, alike
        if key not in groups and len(groups) >= _MOST_GROUPS:
            key = failure.error, _OTHERS
        group = groups.setdefault(key, _Group())
        group.count += 1
        if len(group.examples) < _EXAMPLES:
            group.examples.append(FailureShown(shortened(failure.key, _LONGEST), reason))
    retry = f" Then run: melmill retry {output.public_url}"
    return tuple(
        FailureGroup(error, alike, group.count, _WAYS_OUT.get(error, _WAY_OUT) + retry, tuple(group.examples))
        for (error, alike), group in sorted(groups.items(), key=lambda each: -each[1].count)
    )


@dataclass
class _Group:
    count: int = 0
    examples: list[FailureShown] = field(default_factory=list)


def _failures(output: PublishedOutput) -> Iterator[Failure]:
    try:
        with output.storage.read(FAILURES) as file:
            for number, line in enumerate(file, 1):
                try:
                    yield Failure.from_dict(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                    raise ConfigError(
                        f"line {number} of {output.url}/{FAILURES} is not valid ({error!r}). `melmill verify "
                        f"{output.url}` finds all that is damaged"
                    ) from error
    except FileNotFoundError:
        return
