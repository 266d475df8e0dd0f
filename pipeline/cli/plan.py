"""The command `melmill plan`."""

from __future__ import annotations

import json

from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import Json
from pipeline.cli.printing import hours, print_some, reason_line, size
from pipeline.jobs.publish import why_due
from pipeline.planning.plan import reasons
from pipeline.planning.prepare import prepare


@with_job_flags()
def plan(flags: JobFlags, as_json: Json = False) -> None:
    """Show what `melmill run` would do, and why.

    Writes nothing.
    """
    config = flags.config()
    prepared = prepare(config, flags.adopt)
    plan, listed = prepared.plan, prepared.metadata
    due = why_due(prepared.ledger, plan, prepared.job) if not plan.todo else None
    if as_json:
        facts = {
            "store": prepared.store.describe(),
            "output": prepared.job.config.public().output.url,
            "vocoder": prepared.vocoder.name,
            "differences": [str(difference) for difference in prepared.differences],
            "doubt": prepared.doubt,
            "publish": due,
        }
        print(json.dumps({**facts, **plan.to_dict()}))
        return
    print(f"store     {prepared.store.describe()}")
    print(f"vocoder   {prepared.vocoder.name} ({prepared.vocoder.digest[:8]})")
    for difference in prepared.differences:
        print(f"contract  {difference}")
    if prepared.doubt is not None:
        print(f"note      {prepared.doubt}")
    if config.input.meta is not None:
        print(f"metadata  {listed.words()}")
    print(f"output    {prepared.job.config.public().output.url}")
    made = sum(len(shard.members) for shard in plan.todo)
    print(f"to make   {made} utterances, {hours(plan.seconds)}, {len(plan.todo)} shards")
    print_some([f"          {reason_line(reason)}" for reason in reasons(plan.todo)])
    print(f"there     {sum(len(shard.members) for shard in plan.done)} utterances, {len(plan.done)} shards", end="")
    quarantined = sum(shard.failed for shard in plan.done)
    print(f", {quarantined} of them quarantined (melmill retry makes those again)" if quarantined else "")
    if due is not None:
        print(f"publish   {due}")
    print(f"refused   {len(plan.refused)} utterances")
    print_some([f"          {failure.key}: {failure.reason}" for failure in plan.refused])
    print(f"reading   {size(plan.read_bytes)} of chunks for {size(plan.wanted_bytes)} of mels, ", end="")
    print(f"amplification {plan.read_amplification:.2f}")
    cluster = prepared.job.config.cluster
    print(f"memory    about {size(plan.worker_bytes)} a worker", end="")
    print(f", {cluster.worker_count()} workers" if cluster.kind == "local" else "")
