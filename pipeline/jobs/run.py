"""A job from beginning to end: plan it, run it. What the command line and Python users call."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Any

from pipeline.config import ClusterConfig, JobConfig
from pipeline.events import Listener, Reason
from pipeline.jobs.needed_again import needed_again
from pipeline.jobs.publish import why_due
from pipeline.jobs.report import RunReport, judge
from pipeline.jobs.reporting import reporting
from pipeline.jobs.steps import (
    interruptible,
    make_shards,
    owner,
    replan_stale,
    totals_if_done,
)
from pipeline.jobs.tidying import tidied, tidied_later
from pipeline.melspec import Difference, MelOrigin
from pipeline.planning.plan import Plan, reasons
from pipeline.planning.prepare import prepare, replan
from pipeline.vocoders import Backend

__all__ = ["RunPlan", "RunReport", "plan", "run"]


@dataclass(frozen=True)
class RunPlan(Plan):
    """The plan of a job, with everything that `melmill plan` prints.

    Args:
        store: description of the store.
        output: place of the output, without secrets.
        vocoder: name of the vocoder.
        vocoder_digest: digest of the vocoder.
        backend: what runs the vocoder's net.
        differences: differences between the store's contract and the vocoder's; melmill bridges all of them.
        unverified: description of what the store's values could not show of its contract; None if there is nothing.
        origin: what the vocoder takes the mels as; None if it treats all mels alike.
        why_origin: description of what that was decided by; None if it treats all mels alike.
        metadata: description of the list of metadata; None if the job names no list.
        metadata_notes: sentences about the fields of the metadata that become text.
        needed_again: number of shards that are there and superseded; a run reads their objects before it publishes
            them.
        publication_due: reason why the manifest is published although no shard is to be made; None if it is not.
        cluster: the section `cluster` of the job.
    """

    store: str
    output: str
    vocoder: str
    vocoder_digest: str
    backend: Backend
    differences: tuple[Difference, ...]
    unverified: str | None
    origin: MelOrigin | None
    why_origin: str | None
    metadata: str | None
    metadata_notes: tuple[str, ...]
    needed_again: int
    publication_due: str | None
    cluster: ClusterConfig

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why shards are to be made, the most frequent reason first."""
        return reasons(self.todo)

    @property
    def workers(self) -> int | None:
        """Number of local worker processes; None if the work is done elsewhere, or in this process."""
        return self.cluster.worker_count() if self.cluster.kind == "local" else None

    def describe(self) -> dict[str, Any]:
        """The plan and everything around it as plain JSON values: what `melmill plan --json` prints."""
        return {
            "store": self.store,
            "output": self.output,
            "vocoder": self.vocoder,
            "runtime": self.backend.runtime,
            "why_not_native": self.backend.why_not_native,
            "precision": self.backend.precision,
            "refine": self.backend.refine,
            "mels": self.origin,
            "why_mels": self.why_origin,
            "differences": [str(difference) for difference in self.differences],
            "doubt": self.unverified,
            "metadata_notes": list(self.metadata_notes),
            "needed_again": self.needed_again,
            "publish": self.publication_due,
            **self.to_dict(),
        }


def plan(config: JobConfig, adopt: bool = False) -> RunPlan:
    """What `run` would do, and why. Writes nothing.

    Args:
        config: the job.
        adopt: whether the output may have been made from a store at another place; see `run`.

    Raises:
        ConfigError: if the job, the store or the output is not valid.
        ContractError: if the store's mels do not fit the vocoder.
        StorageError: if the output cannot be read.
    """
    prepared = prepare(config, adopt)
    found, vocoder, metadata = prepared.plan, prepared.vocoder, prepared.sidecars.metadata
    return RunPlan(
        **{each.name: getattr(found, each.name) for each in fields(found)},
        store=prepared.store.describe(),
        output=prepared.job.config.public().output.url,
        vocoder=vocoder.name,
        vocoder_digest=vocoder.digest,
        backend=vocoder.backend,
        differences=prepared.differences,
        unverified=prepared.unverified,
        origin=prepared.job.config.vocoder.origin,
        why_origin=prepared.why_origin,
        metadata=None if metadata.path is None else metadata.words(),
        metadata_notes=metadata.fields.notes,
        needed_again=len(needed_again(prepared)),
        publication_due=None if found.todo else why_due(prepared.ledger, found, prepared.job),
        cluster=prepared.job.config.cluster,
    )


def run(
    config: JobConfig, listener: Listener = lambda event: None, adopt: bool = False, retry: bool = False
) -> RunReport:
    """Make what is missing, publish the manifest, and report what the manifest holds.

    In a script, call this under `if __name__ == "__main__":`, since local workers are new processes.

    Args:
        config: the job.
        listener: callable that is told what happens, in this process.
        adopt: whether the output may have been made from a store at another place; for stores that were moved.
        retry: whether shards with quarantined utterances are made again; what fails again is quarantined again,
            whatever `quality.give_up_after` says.

    Raises:
        ConfigError: if the job, the store or the output is not valid.
        ContractError: if the store's mels do not fit the vocoder.
        OwnedError: if another run is working on the output.
        StorageError: if the output cannot be written.
        ClusterError: if the scheduler or its workers cannot be reached.
        TooManyFailuresError: if more utterances failed than `max_failure_rate` allows; the manifest is published.
        ClippedError: if more samples were clipped than `max_clipped_rate` allows; the manifest is published.
        HopelessRunError: if the first utterances all failed in the same way.
        InterruptedRunError: on Ctrl-C or SIGTERM; what was committed is kept.
    """
    begun = time.monotonic()
    with interruptible():
        prepared = prepare(config, adopt)
        totals = totals_if_done(prepared, retry)
        if totals is None:
            with prepared.ledger.storage.lock(owner(prepared.job)):
                prepared = replan(prepared)  # another run may have ended since
                totals = totals_if_done(prepared, retry)
                if totals is None:
                    with reporting(prepared.ledger.storage, prepared.job.run_id, listener) as told:
                        prepared = replan_stale(prepared, told, retry)
                        made = make_shards(prepared, told, 0 if retry else config.quality.give_up_after)
                        totals = made.publish(prepared)
                        report = RunReport(
                            prepared.job.run_id, totals, made.seconds, time.monotonic() - begun, made.repacked
                        )
                        return judge(tidied(prepared, report, told), prepared.job, told)
        report = tidied_later(prepared, RunReport("", totals, 0.0, time.monotonic() - begun), listener)
    return judge(report, prepared.job, listener)
