"""The command `melmill plan`."""

from __future__ import annotations

import json

from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import Json
from pipeline.cli.printing import hours, print_some, reason_line, size
from pipeline.jobs import run as jobs


@with_job_flags()
def plan(flags: JobFlags, as_json: Json = False) -> None:
    """Show what `melmill run` would do, and why.

    Writes nothing.
    """
    plan = jobs.plan(flags.config(), flags.adopt)
    if as_json:
        print(json.dumps(plan.describe()))
        return
    print(f"store     {plan.store}")
    print(f"vocoder   {plan.vocoder} ({plan.vocoder_digest[:8]})")
    for difference in plan.differences:
        print(f"contract  {difference}")
    if plan.unverified is not None:
        print(f"note      {plan.unverified}")
    if plan.metadata is not None:
        print(f"metadata  {plan.metadata}")
    print(f"output    {plan.output}")
    made = sum(len(shard.members) for shard in plan.todo)
    print(f"to make   {made} utterances, {hours(plan.seconds)}, {len(plan.todo)} shards")
    print_some([f"          {reason_line(reason)}" for reason in plan.reasons])
    print(f"there     {sum(len(shard.members) for shard in plan.done)} utterances, {len(plan.done)} shards", end="")
    quarantined = sum(shard.failed for shard in plan.done)
    print(f", {quarantined} of them quarantined (melmill retry makes those again)" if quarantined else "")
    if plan.publication_due is not None:
        print(f"publish   {plan.publication_due}")
    print(f"refused   {len(plan.refused)} utterances")
    print_some([f"          {failure.key}: {failure.reason}" for failure in plan.refused])
    print(f"reading   {size(plan.read_bytes)} of chunks for {size(plan.wanted_bytes)} of mels, ", end="")
    print(f"amplification {plan.read_amplification:.2f}")
    print(f"memory    about {size(plan.worker_bytes)} a worker", end="")
    print(f", {plan.workers} workers" if plan.workers is not None else "")
