"""A job in parts, each started by itself: as an array job of SLURM, AWS Batch or Kubernetes, or by GNU parallel.

Parts share the output's lock, and know of each other only what is committed. A part that is done while no other part is
at work publishes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config import JobConfig
from pipeline.errors import ConfigError, OwnedError, UnfinishedError
from pipeline.events import Listener, PartFinished
from pipeline.jobs.report import RunReport, judge
from pipeline.jobs.reporting import reporting
from pipeline.jobs.steps import (
    Made,
    describe_job,
    interruptible,
    make_shards,
    owner,
    replan_stale,
    totals_if_done,
)
from pipeline.jobs.tidying import tidied, tidied_later
from pipeline.output.totals import Totals
from pipeline.planning.parts import Part
from pipeline.planning.prepare import Prepared, prepare, replan
from pipeline.storage import Storage
from pipeline.wording import counted

_PATIENCE_SECONDS = 60.0
"""Longest wait of a part for another one that is just publishing."""
_LOOKS, _LOOK_SECONDS = 10, 1.0
_SHOWN = 3


@dataclass(frozen=True)
class PartReport:
    """How a part of a job ended.

    Args:
        run_id: name of this part's run; empty if there was nothing to do.
        made_seconds: seconds of audio that this part made.
        elapsed: wall-clock seconds that this part took.
        published: report on what is published, by this part or another; None while other parts are at work.
        repacked: number of shards whose audio this part copied, since only texts had changed.
    """

    run_id: str
    made_seconds: float
    elapsed: float
    published: RunReport | None
    repacked: int = 0


def run_part(config: JobConfig, part: Part, listener: Listener = lambda event: None, adopt: bool = False) -> PartReport:
    """Make one part of a job, help the others, and publish if no other part is at work any more.

    Args:
        config: the job; the same for all parts, except for the section `cluster`.
        part: the part to make.
        listener: callable that is told what happens.
        adopt: whether the output may have been made from a store at another place; see `run`.

    Raises:
        ConfigError: if the output may have a single writer only.
        OwnedError: if a whole run, or parts of another job, are working on the output.
        MelmillError: as `run`.
    """
    begun = time.monotonic()
    if config.output.single_writer:
        raise ConfigError(
            "output.single_writer: the parts of a job are several writers. Choose a store with conditional PUT"
        )
    with interruptible():
        prepared = prepare(config, adopt, part.count)
        if (totals := totals_if_done(prepared, retry=False)) is not None:
            report = _there(prepared, totals, listener, begun)
            return PartReport("", 0.0, report.elapsed, report)
        _check_same_job(prepared)
        run_id, storage = prepared.job.run_id, prepared.ledger.storage
        sharing = _shared(storage, f"part {part} of {owner(prepared.job)}")
        with sharing, reporting(storage, run_id, listener, part) as told:
            prepared = replan_stale(replan(prepared), told, chosen=part.owns)
            made = make_shards(prepared, told, config.quality.give_up_after, part)
            told(PartFinished(run_id, str(part), made.seconds, time.monotonic() - begun))
        published = _publish_if_last(prepared, part, made, listener, begun)
        return PartReport(run_id, made.seconds, time.monotonic() - begun, published, made.repacked)


def publish_parts(config: JobConfig, listener: Listener = lambda event: None, adopt: bool = False) -> RunReport:
    """Publish what the parts of a job have made, if the last part was killed before it could do so.

    Args:
        config: the job.
        listener: callable that is told what happens.
        adopt: whether the output may have been made from a store at another place; see `run`.

    Raises:
        OwnedError: if a run or parts are working on the output.
        UnfinishedError: if shards are still to be made; nothing is published then.
        MelmillError: as `run`.
    """
    begun = time.monotonic()
    with interruptible():
        prepared = prepare(config, adopt)
        if (totals := totals_if_done(prepared, retry=False)) is not None:
            return _there(prepared, totals, listener, begun)
        with prepared.ledger.storage.lock(owner(prepared.job)):
            prepared = replan_stale(replan(prepared), listener)
            if prepared.plan.todo:
                raise UnfinishedError(_unfinished(prepared))
            return _publish(prepared, Made((), 0.0, describe_job(prepared)), listener, begun)


def _publish_if_last(prepared: Prepared, part: Part, made: Made, listener: Listener, begun: float) -> RunReport | None:
    """Publish, unless other parts are at work: then the last of them does it.

    A part reads the superseded shards of its own that are needed again when it begins. Other parts may not have begun,
    so the one that publishes reads theirs.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(prepared.ledger.storage.lock(owner(prepared.job)))
        except OwnedError:
            return None
        mine, prepared = prepared, replan(prepared)
        if (totals := totals_if_done(prepared, retry=False)) is not None:
            report = RunReport(prepared.job.run_id, totals, made.seconds, time.monotonic() - begun, made.repacked)
            return judge(tidied(prepared, report, listener), prepared.job, listener)
        prepared = replan_stale(prepared, listener, chosen=lambda shard: not part.owns(shard))
        if {shard.name for shard in prepared.plan.todo} - {shard.name for shard in mine.plan.todo}:
            raise UnfinishedError(_unfinished(prepared))  # shards were found damaged, or commits or mels were changed
        return _publish(prepared, made, listener, begun)


def _publish(prepared: Prepared, made: Made, listener: Listener, begun: float) -> RunReport:
    with reporting(prepared.ledger.storage, prepared.job.run_id, listener) as told:
        described = {**describe_job(prepared), "started": made.described["started"]}
        totals = replace(made, described=described).publish(prepared)
        report = RunReport(prepared.job.run_id, totals, made.seconds, time.monotonic() - begun, made.repacked)
        return judge(tidied(prepared, report, told), prepared.job, told)


def _there(prepared: Prepared, totals: Totals, listener: Listener, begun: float) -> RunReport:
    """The report on what is published already."""
    report = tidied_later(prepared, RunReport("", totals, 0.0, time.monotonic() - begun), listener)
    return judge(report, prepared.job, listener)


@contextlib.contextmanager
def _shared(storage: Storage, words: str) -> Iterator[None]:
    """Share the output. If another part is just publishing, wait for it: that is soon over."""
    until = time.monotonic() + _PATIENCE_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(storage.share(words))
                break
            except OwnedError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_SECONDS)
        yield


def _check_same_job(prepared: Prepared) -> None:
    """Raises OwnedError if parts of another job are at work on this output."""
    ours = _work(describe_job(prepared))
    for _ in range(_LOOKS):  # a part that has just begun has not yet said what it does
        holder, described = prepared.ledger.storage.holder(), prepared.ledger.job() or {}
        theirs = _work(described)
        differing = sorted(name for name in ours if theirs.get(name) != ours[name])
        if holder is None or not theirs or "counts" in described or not differing:
            return
        time.sleep(_LOOK_SECONDS)
    raise OwnedError(
        f"parts of another job are working on {prepared.job.config.output.url}: {holder}. The jobs differ in "
        f"{', '.join(differing)}. Wait until they end; nothing was changed"
    )


def _work(described: dict[str, Any]) -> dict[str, Any]:
    """What two jobs must have in common to be the same work: everything except where it is done."""
    job = described.get("job", {})
    sections = {f"{name}.{key}": value for name, section in job.items() for key, value in dict(section).items()}
    return {key: value for key, value in sections.items() if not key.startswith("cluster.")} | {
        name: described.get(name) for name in ("mel", "vocoder", "store") if name in described
    }


def _unfinished(prepared: Prepared) -> str:
    lacking = [shard.name for shard in prepared.plan.todo]
    names = ", ".join(lacking[:_SHOWN]) + (", ..." if len(lacking) > _SHOWN else "")
    return (
        f"{prepared.job.config.output.url}: {counted(len(lacking), 'shard is', 'shards are')} still to be made "
        f"({names}), so nothing was published. Run the parts of the job again; any of them will do"
    )
