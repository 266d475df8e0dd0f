"""What a job does about superseded shards when all of it is published: delete them, or say that they are there."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from pipeline.errors import OwnedError, StorageError
from pipeline.events import Listener, SupersededDeleted
from pipeline.jobs.report import RunReport, objection
from pipeline.jobs.steps import owner, totals_if_done
from pipeline.output.garbage import delete_superseded
from pipeline.output.superseded import superseded_beside
from pipeline.planning.prepare import Prepared, replan


def tidied(prepared: Prepared, report: RunReport, listener: Listener) -> RunReport:
    """Delete what is superseded, if the job says so, and report it. Use it while the output is locked and published.

    Nothing is deleted after a publication that lacks shards, or has too many failures or clipped samples: the
    superseded shards may be the better ones.

    Args:
        prepared: the job, planned.
        report: report on what is published.
        listener: callable that is told what is deleted.

    Raises:
        StorageError: if something cannot be deleted. The next run deletes the rest.
    """
    ledger = prepared.ledger
    publication = ledger.publication()
    good = publication is not None and publication.complete and objection(report, prepared.job) is None
    if not (good and _may_delete(prepared) and publication is not None and publication.superseded != {}):
        return replace(report, superseded=superseded_beside(ledger))
    deleted = delete_superseded(ledger)
    listener(SupersededDeleted(deleted.shards, deleted.bytes))
    return replace(report, deleted=deleted)


def tidied_later(prepared: Prepared, report: RunReport, listener: Listener) -> RunReport:
    """The same for a run that has nothing to do and has not locked the output: an earlier run may have been killed."""
    publication = prepared.ledger.publication()
    if _may_delete(prepared) and publication is not None and publication.superseded != {}:
        with contextlib.ExitStack() as held, contextlib.suppress(OwnedError):  # another run is at work, and deletes it
            held.enter_context(prepared.ledger.storage.lock(owner(prepared.job)))
            if totals_if_done(replan(prepared), retry=False) is not None:
                return tidied(prepared, report, listener)
    _renew_heads(prepared)
    return replace(report, superseded=superseded_beside(prepared.ledger))


def _renew_heads(prepared: Prepared) -> None:
    """Have the next plan read no commit record: an earlier melmill kept no heads of them, or the file was lost.

    It is not renewed beside a run that will do it, nor where nothing can be written.
    """
    if not prepared.scan.heads_lacked:
        return
    with contextlib.suppress(OwnedError, StorageError), prepared.ledger.storage.lock(owner(prepared.job)):
        prepared.ledger.renew_heads()


def _may_delete(prepared: Prepared) -> bool:
    return prepared.job.config.output.superseded == "delete"
