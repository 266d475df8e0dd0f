"""What changed with the last publication and why, and what it left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.output.run_records import RunRecord
from pipeline.output.superseded import superseded_beside
from pipeline.report.page_data.runs import ChangesShown, ReasonShown, SupersededShown
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput
from pipeline.report.run_traces import TracedShard

_SHOWN = 100


def changes_shown(
    output: PublishedOutput, shards: Iterable[TracedShard], records: Mapping[str, RunRecord], texts: PrivateTexts
) -> ChangesShown:
    """What changed with the last publication.

    Args:
        output: the output.
        shards: shards of the publication.
        records: identifier of a run -> its record.
        texts: takes private things out of reasons.
    """
    publication = output.publication
    generation = publication.generation if publication is not None else 0
    own = [shard.generation == generation for shard in shards]
    made, kept = sum(own), len(own) - sum(own)
    replaced = len(publication.superseded or ()) if publication is not None else 0
    record = records.get(publication.run_id) if publication is not None else None
    if record is None:
        first = not kept and not replaced
        return ChangesShown(_sentence(made, kept, first), None, None, made, kept, replaced, None)
    before = record.before
    return ChangesShown(
        _sentence(made, kept, first=before is None),
        tuple(ReasonShown(texts.shown(each.words), each.shards, each.utterances) for each in record.reasons),
        {"utterances": before.utterances, "failed": before.failed, "seconds": before.seconds} if before else None,
        made,
        kept,
        replaced,
        record.texts_changed,
    )


def superseded_shown(output: PublishedOutput) -> SupersededShown:
    """The superseded shards that lie beside the current ones."""
    beside, publication = superseded_beside(output.ledger), output.publication
    sizes = (publication.superseded or {}) if publication is not None else {}
    there = set(output.ledger.commit_names())
    shards = tuple((name, size) for name, size in sorted(sizes.items()) if name in there)
    what = f"To delete them: melmill gc {output.public_url} --yes" if beside.shards else ""
    return SupersededShown(beside.bytes, beside.shards, shards[:_SHOWN], what)


def _sentence(made: int, kept: int, first: bool) -> str:
    if first:
        return f"This is the first publication: {_shards(made + kept)}."
    return f"The last publication consists of {_shards(made)} that its run made, and {_shards(kept)} of earlier runs."


def _shards(count: int) -> str:
    return f"{count} shard" if count == 1 else f"{count} shards"
