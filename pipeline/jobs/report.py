"""How a run ended, and whether that is good enough."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import Job
from pipeline.errors import ClippedError, MelmillError, TooManyFailuresError
from pipeline.events import Listener, RunFinished
from pipeline.output.superseded import NOTHING, Superseded
from pipeline.output.totals import Totals
from pipeline.wording import counted


@dataclass(frozen=True)
class RunReport:
    """How a run ended.

    Args:
        run_id: name of this run; empty if there was nothing to do.
        totals: counts over the manifest.
        made_seconds: seconds of audio that this run made.
        elapsed: wall-clock seconds that this run took.
        repacked: number of shards whose audio this run copied, since only texts had changed.
        superseded: superseded shards that lie beside the current ones.
        deleted: superseded shards that this run has deleted, as `output.superseded: delete` says.
    """

    run_id: str
    totals: Totals
    made_seconds: float
    elapsed: float
    repacked: int = 0
    superseded: Superseded = NOTHING
    deleted: Superseded = NOTHING

    @property
    def failure_rate(self) -> float:
        """Share of utterances that were quarantined."""
        total = self.totals.utterances + self.totals.failed
        return self.totals.failed / total if total else 0.0


def judge(report: RunReport, job: Job, listener: Listener) -> RunReport:
    """Tell the listener how the run ended, and return the report.

    Args:
        report: how the run ended.
        job: the job that was done.
        listener: callable that is told.

    Raises:
        TooManyFailuresError: if more utterances failed than `quality.max_failure_rate` allows.
        ClippedError: if more samples were clipped than `quality.max_clipped_rate` allows.
    """
    totals = report.totals
    listener(
        RunFinished(
            report.run_id,
            totals.utterances,
            totals.failed,
            totals.seconds,
            report.made_seconds,
            report.elapsed,
            report.repacked,
        )
    )
    if (error := objection(report, job)) is not None:
        raise error
    return report


def objection(report: RunReport, job: Job) -> MelmillError | None:
    """The error with which a run ends though all is published; None if what it made is good enough."""
    config, totals = job.config, report.totals
    limit = config.quality.max_failure_rate
    if report.failure_rate > limit:
        return TooManyFailuresError(
            f"{totals.failed} of {counted(totals.utterances + totals.failed, 'utterance')} failed, "
            f"{report.failure_rate:.1%}, more than quality.max_failure_rate, {limit:.1%}. "
            f"{config.output.url}/failures.jsonl says why for each; what could be made is in the manifest. When the "
            f"cause is corrected: melmill retry {config.output.url}"
        )
    samples = round(totals.seconds * (config.output.sample_rate or job.mel.sample_rate))
    clipped = 0 if config.output.subtype == "FLOAT" else totals.over_full_scale_samples
    if clipped > (most := config.quality.max_clipped_rate) * samples:
        return ClippedError(
            f"{clipped / samples:.1%} of the samples in {config.output.url} are clipped, more than "
            f"quality.max_clipped_rate, {most:.1%}: {clipped} of {samples}, with a peak of "
            f"{totals.peak:.6g} (full scale is 1) in {totals.peak_key}. The manifest lists them all, and they sound "
            f"broken. If the full scale of the vocoder {config.vocoder.name} is another, import it again with melmill "
            "vocoder import --scale. If the mels are too loud, compute them again. To accept the audio, pass "
            "--set quality.max_clipped_rate=1"
        )
    return None
