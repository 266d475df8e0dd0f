"""The command `melmill plan`."""

from __future__ import annotations

import json

from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import Json
from pipeline.cli.printing import hours, needed_again_line, print_some, reason_line, refined_words, size, texts_line
from pipeline.jobs import run as jobs
from pipeline.wording import counted


@with_job_flags()
def plan(flags: JobFlags, as_json: Json = False) -> None:
    """Show what `melmill run` would do, and why.

    Writes nothing.

    Example:
        melmill plan --store mels.zarr --out audio --vocoder lift
    """
    found = jobs.plan(flags.config(), flags.adopt)
    if as_json:
        print(json.dumps(found.describe()))
        return
    print(f"store     {found.store}")
    print(f"vocoder   {found.vocoder} ({found.vocoder_digest[:8]})")
    if found.backend.runtime is not None:
        why = found.backend.why_not_native
        precision = ", mixed precision" if found.backend.precision == "mixed" else ""
        refined = refined_words(found.backend.refine)
        print(f"runtime   {found.backend.runtime}{precision}{refined}{f': {why}' if why is not None else ''}")
    if found.origin is not None:
        print(f"mels      {found.origin}: {found.why_origin}")
    for difference in found.differences:
        print(f"contract  {difference}")
    if found.unverified is not None:
        print(f"note      {found.unverified}")
    if found.metadata is not None:
        print(f"metadata  {found.metadata}")
    for note in found.metadata_notes:
        print(f"note      {note}")
    print(f"output    {found.output}")
    made = sum(shard.decoded for shard in found.shards_to_decode)
    shards = counted(len(found.shards_to_decode), "shard")
    print(f"to make   {counted(made, 'utterance')}, {hours(found.seconds)}, {shards}")
    if found.unchanged:
        others = counted(found.unchanged, "other utterance of", "other utterances of")
        print(f"copying   {others} these shards, whose mels did not change")
    if (texts := texts_line(found.texts_changed, found.repacked, len(found.shards_to_decode))) is not None:
        print(f"texts     {texts}")
    print_some([f"          {reason_line(reason)}" for reason in found.reasons])
    there = counted(sum(len(shard.members) for shard in found.done), "utterance")
    print(f"there     {there}, {counted(len(found.done), 'shard')}", end="")
    quarantined = sum(shard.failed for shard in found.done)
    print(f", {quarantined} of them quarantined (melmill retry makes those again)" if quarantined else "")
    if found.needed_again:
        print(f"again     {needed_again_line(found.needed_again)}")
    if found.publication_due is not None:
        print(f"publish   {found.publication_due}")
    print(f"refused   {counted(len(found.refused), 'utterance')}")
    print_some([f"          {failure.key}: {failure.reason}" for failure in found.refused])
    print(f"reading   {size(found.read_bytes)} of chunks for {size(found.wanted_bytes)} of mels, ", end="")
    print(f"amplification {found.read_amplification:.2f}")
    need = found.memory
    print(f"memory    up to {size(need.driver)} for the driver, {size(need.worker)} for each worker", end="")
    print(f" ({counted(found.workers, 'worker')})" if found.workers is not None else "", end="")
    print(f", {size(need.shared)} that those of a machine share" if need.shared else "", end="")
    print(f"; {size(need.first)} more while the first of a machine prepares the vocoder")
